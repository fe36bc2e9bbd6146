//! Keys of a lock that hold something else than the driver's.

use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::{Flavour, Redis, RedisOptions, fuzz};
use lockcore::ErrorKind::{Backend, Lost, NotHeld};
use lockcore::{LossCause, Renewal};

use super::{CANARY, at, connect, fails, keys, run, says, server, waiting};

#[tokio::test]
async fn an_acquisition_that_meets_a_foreign_key_fails_and_leaves_nothing() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    // The queue, the lock and those who share are looked at by all but a free mutex.
    for part in ["", "q", "f", "s"] {
        let planted = plant(&server, part).await;
        let rw_lock = locks.rw_lock("planted").unwrap();
        for (mode, call) in [("try_read", true), ("read", false)] {
            let what = format!("{mode} beside {planted}");
            let error = match call {
                true => fails(&what, rw_lock.try_read()).await,
                false => fails(&what, rw_lock.read()).await,
            };
            says(&error, Backend, &[mode_name(call), "something else", "remove the key"]);
            assert_eq!(keys(&server).await, [planted.as_str()], "{what}");
        }
        run(&server, &["DEL", &planted]).await;
        // Nobody who failed stands in the way.
        let guard = soon("the name afterwards", rw_lock.write()).await.unwrap();
        guard.release().await.unwrap();
        run(&server, &["FLUSHALL"]).await;
    }
}

#[tokio::test]
async fn a_mutex_that_meets_a_foreign_key_fails_and_leaves_nothing() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    for part in ["", "q", "f"] {
        let planted = plant(&server, part).await;
        let mutex = locks.mutex("planted").unwrap();
        says(&fails(&planted, mutex.try_lock()).await, Backend, &["something else"]);
        says(&fails(&planted, mutex.lock()).await, Backend, &["something else"]);
        assert_eq!(keys(&server).await, [planted.as_str()]);
        run(&server, &["FLUSHALL"]).await;
    }
    // What a lock that is free does not need does not hinder it.
    for part in ["s", "r"] {
        plant(&server, part).await;
        let guard = locks.mutex("planted").unwrap().try_lock().await.unwrap().unwrap();
        guard.release().await.unwrap();
        run(&server, &["FLUSHALL"]).await;
    }
}

#[tokio::test]
async fn a_fence_that_is_no_number_fails_acquisitions_of_all_modes() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    run(&server, &["SET", "{leasehold:planted}:f", CANARY]).await;
    let error = fails("a mutex", locks.mutex("planted").unwrap().lock()).await;
    says(&error, Backend, &["something else", "remove the key"]);
    let error = fails("a permit", locks.semaphore("planted", 2).unwrap().acquire()).await;
    says(&error, Backend, &["something else", "remove the key"]);
    assert_eq!(keys(&server).await, ["{leasehold:planted}:f"]);
}

#[tokio::test]
async fn records_of_another_type_fail_those_who_wait() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let held = locks.mutex("planted").unwrap().lock().await.unwrap();
    plant(&server, "r").await;
    let mutex = locks.mutex("planted").unwrap();
    says(&fails("a waiter", mutex.lock()).await, Backend, &["something else"]);
    run(&server, &["DEL", "{leasehold:planted}:r"]).await;
    held.release().await.unwrap();
    let next = soon("the name afterwards", mutex.lock()).await.unwrap();
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_holder_whose_key_became_a_list_is_told() {
    // The one has a command to delete by value, the other has not.
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = RedisOptions::new(flavour).start().await;
        let locks = connect(at(&server)).await;
        let mutex = locks.mutex("planted").unwrap();
        // No renewal tells them, so the release does.
        let rw_lock = locks.rw_lock("planted").unwrap().renewal(Renewal::Never);
        let semaphore = locks.semaphore("planted", 2).unwrap().renewal(Renewal::Never);
        for mode in 0..3 {
            let guard = match mode {
                0 => mutex.clone().renewal(Renewal::Never).lock().await.unwrap(),
                1 => rw_lock.read().await.unwrap(),
                _ => semaphore.acquire().await.unwrap(),
            };
            replace(&server).await;
            let error = fails("the release", guard.release()).await;
            says(&error, NotHeld, &["release"]);
            let kept: Vec<_> = keys(&server).await;
            assert_eq!(kept, ["leasehold:planted", "{leasehold:planted}:f"], "{mode}");
            run(&server, &["DEL", "leasehold:planted"]).await;
        }

        let guard = mutex.ttl(scaled(Duration::from_millis(600))).lock().await.unwrap();
        replace(&server).await;
        assert_eq!(soon("the next renewal", guard.lost()).await, LossCause::Revoked);
        says(&guard.renew().await.unwrap_err(), Lost, &["renew"]);
        says(&fails("the release", guard.release()).await, NotHeld, &["release"]);
        let kept = run(&server, &["LRANGE", "leasehold:planted", "0", "-1"]).await;
        assert_eq!(kept.as_slice().unwrap().len(), 1, "what is not ours stays");
    }
}

#[tokio::test]
async fn a_waiter_whose_key_became_a_list_is_told_and_goes() {
    let server = server().await;
    let locks = connect(at(&server).recheck(Duration::from_millis(200)).unwrap()).await;
    let held = locks.mutex("planted").unwrap().lock().await.unwrap();
    let mutex = locks.mutex("planted").unwrap();
    let waiter = tokio::spawn(async move { mutex.lock().await });
    waiting(&locks, "planted", 1).await;
    replace(&server).await;
    let error = fails("the waiter", async { waiter.await.unwrap() }).await;
    says(&error, Backend, &["lock", "something else"]);
    eventually("its place is gone", async || {
        keys(&server).await == ["leasehold:planted", "{leasehold:planted}:f"]
    })
    .await;
    drop(held);
}

#[tokio::test]
async fn a_foreign_key_says_nothing_of_what_is_in_it() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    run(&server, &["SET", "leasehold:secret", CANARY]).await;
    let picture = locks.inspect("secret").await.unwrap();
    assert_eq!(picture.holders().len(), 1);
    assert!(!format!("{picture:?}").contains(CANARY), "{picture:?}");
    run(&server, &["DEL", "leasehold:secret"]).await;
    run(&server, &["RPUSH", "leasehold:secret", CANARY]).await;
    let error = fails("a look", locks.inspect("secret")).await;
    says(&error, Backend, &["inspect", "something else"]);
    assert_eq!(keys(&server).await, ["leasehold:secret"]);
}

/// Bytes of all sorts, of the types that are expected there.
#[tokio::test]
async fn garbage_in_our_own_layout_is_an_answer_or_an_error() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let mut dice = fuzz::dice();
    for _ in 0..fuzz::cases(60, 2_000) {
        let mut resp = server.resp().await;
        let id = format!("{:032x}", dice.u128(..));
        let holder = dice.bool().then(|| words(&mut dice, &id));
        let bits = dice.u8(..);
        for (bit, key) in ["q", "s", "r", "f"].into_iter().enumerate() {
            let key = format!("{{leasehold:planted}}:{key}");
            let (words, score) = (words(&mut dice, &id), dice.i64(..).to_string());
            let (member, value) = (id.as_bytes(), words.as_slice());
            let command: &[&[u8]] = match bit {
                _ if bits & 1 << bit == 0 => continue,
                0 | 1 => &[b"ZADD", key.as_bytes(), score.as_bytes(), member],
                2 => &[b"HSET", key.as_bytes(), member, value],
                _ => &[b"SET", key.as_bytes(), value],
            };
            resp.command(command).await;
        }
        if let Some(value) = &holder {
            resp.command(&[b"SET", &b"leasehold:planted"[..], value]).await;
        }
        let mutex = locks.mutex("planted").unwrap();
        let tried = soon("a try", mutex.try_lock()).await;
        let is_held = holder.as_ref().is_some_and(|value| !says_shared(value));
        assert!(!is_held || !matches!(tried, Ok(Some(_))), "{bits}, {holder:?}: {tried:?}");
        let waited = mutex.try_lock_for(Duration::from_millis(1));
        let (table, slots) =
            (locks.rw_lock("planted").unwrap(), locks.semaphore("planted", 2).unwrap());
        let _ = soon("a wait", waited).await;
        let _ = soon("a reader", table.try_read()).await;
        let _ = soon("a permit", slots.try_acquire()).await;
        let _ = soon("a look", locks.inspect("planted")).await;
        drop(tried);
        run(&server, &["FLUSHALL"]).await;
    }
    soon("afterwards", locks.mutex("clean").unwrap().lock())
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

/// What the driver might have written, with something else in it.
fn words(dice: &mut fastrand::Rng, id: &str) -> Vec<u8> {
    let head = [
        format!("lh x {id} "),
        format!("lh x {id} 1700000000000 a"),
        format!("1700000000000 x {id} 7 5000 "),
        "lh s".to_owned(),
        "lh p".to_owned(),
        String::new(),
    ];
    let mut words = head[dice.usize(..head.len())].clone().into_bytes();
    words.extend(fuzz::bytes(dice, 24));
    words
}

/// Whether it says that some share the lock. If nobody is found among these, it is free.
fn says_shared(value: &[u8]) -> bool {
    let permits = value.strip_prefix(b"lh p").filter(|permits| !permits.is_empty());
    value == b"lh s" || permits.is_some_and(|permits| permits.iter().all(u8::is_ascii_digit))
}

fn mode_name(is_try: bool) -> &'static str {
    if is_try { "try_lock" } else { "lock" }
}

/// Puts a list, or a string where a list would do, under one of the names of the lock `planted`.
async fn plant(server: &Redis, part: &str) -> String {
    let key = match part {
        "" => "leasehold:planted".to_owned(),
        part => format!("{{leasehold:planted}}:{part}"),
    };
    run(server, &["RPUSH", &key, CANARY]).await;
    key
}

async fn replace(server: &Redis) {
    run(server, &["DEL", "leasehold:planted"]).await;
    run(server, &["RPUSH", "leasehold:planted", CANARY]).await;
}
