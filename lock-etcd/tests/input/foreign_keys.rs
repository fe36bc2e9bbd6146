//! Keys of other programs where the keys of locks are.

use lock_conformance::time::{eventually, soon};
use lock_testkit::{Etcd, fuzz};
use lockcore::ErrorKind::Backend;
use lockcore::{Locks, Mode};

use super::{CANARY, at, connect, fails, on_both, queue, quick, says, server, turn, waiting};

#[tokio::test]
async fn a_key_that_would_be_in_the_way_for_ever_is_named() {
    on_both(async |version| {
        let server = quick(version).start().await;
        let locks = connect(at(&server)).await;
        for planted in ["x", "0", "", "x/y\n", "694d95ba2f0c1b0a"] {
            let key = format!("leasehold/planted/{planted}");
            server.put(&key, CANARY).await;
            is_refused(&server, &locks, &key.escape_debug().to_string()).await;
            server.delete(&key).await;
            is_free(&locks).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_no_text_is_named_too() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let key = [b"leasehold/planted/", &[0xff, 0x00, 0xfe][..]].concat();
    server.put(&key, CANARY).await;
    for _ in 0..2 {
        let error = fails("a lock", locks.mutex("planted").unwrap().lock()).await;
        says(&error, Backend, &["leasehold/planted/", "no lease"]);
        let error = fails("a try", locks.mutex("planted").unwrap().try_lock()).await;
        says(&error, Backend, &["leasehold/planted/", "no lease"]);
    }
    server.delete(&key).await;
    // One that has a lease holds the lock, until it goes.
    let lease = server.grant_lease(60).await;
    server.put_with_lease(&key, CANARY, lease).await;
    let waiter = queue(&locks, "planted").await;
    server.revoke_lease(lease).await;
    turn("after its lease", waiter).await.release().await.unwrap();
    is_free(&locks).await;
}

#[tokio::test]
async fn a_key_that_comes_later_has_no_effect_on_who_is_there() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let held = locks.mutex("planted").unwrap().lock().await.unwrap();
    let queued = queue(&locks, "planted").await;
    server.put("leasehold/planted/x", CANARY).await;
    server.put("leasehold/planted/0", CANARY).await;
    held.renew().await.unwrap();
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    next.renew().await.unwrap();
    next.release().await.unwrap();
    is_refused(&server, &locks, "leasehold/planted/").await;
}

#[tokio::test]
async fn keys_beside_those_of_a_name_have_no_effect() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let beside = [
        "leasehold",
        "leasehold/",
        "leasehold/planted",
        "leasehold/plante",
        "leasehold/planted0",
        "leasehold/planted.",
        "leasehold/plantedx/x",
        "leasehold/planted-/x",
        "leasehold/Planted/x",
        "leasehold0",
        "leaseholdx/planted/x",
        "planted/x",
        "leasehold//planted/x",
        "leasehold/~/x",
        "leasehold/~/planted/x",
    ];
    for key in beside {
        server.put(key, CANARY).await;
    }
    let before = server.keys("").await;
    is_free(&locks).await;
    assert_eq!(server.keys("").await, before);
}

#[tokio::test]
async fn a_foreign_key_with_a_lease_holds_the_lock_alone() {
    on_both(async |version| {
        let server = quick(version).start().await;
        let locks = connect(at(&server)).await;
        for key in ["leasehold/planted/x", "leasehold/planted/694d95ba2f0c1b0a"] {
            let lease = server.grant_lease(60).await;
            server.put_with_lease(key, CANARY, lease).await;
            let picture = locks.inspect("planted").await.unwrap();
            let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
            assert_eq!((holder.mode(), holder.owner()), (Mode::Exclusive, None));
            assert!(!format!("{picture:?}").contains(CANARY));
            let table = locks.rw_lock("planted").unwrap();
            assert!(locks.mutex("planted").unwrap().try_lock().await.unwrap().is_none());
            assert!(table.try_read().await.unwrap().is_none());
            let reader = tokio::spawn(async move { table.read().await });
            waiting(&locks, "planted", 1).await;
            let waiter = queue(&locks, "planted").await;
            server.revoke_lease(lease).await;
            turn("the reader's turn", reader).await.release().await.unwrap();
            turn("the waiter's turn", waiter).await.release().await.unwrap();
            is_free(&locks).await;
        }
    })
    .await;
}

#[tokio::test]
async fn garbage_in_our_own_layout_is_shown_as_somebody() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let id = "0123456789abcdef0123456789abcdef";
    let owners =
        ["", "~s-", "~p3-", "~p0-", "~p99999999999999999999-", "~x-", "~", "~~", "~s", "-"];
    let long = "x".repeat(100_000);
    let values: [&[u8]; 9] = [
        b"",
        b"lh1",
        b"lh1 x",
        b"lh1 x 0 a",
        b"lh1 p0 1700000000000 a",
        b"lh1 x 99999999999999999999999 a",
        b"lh2 x 1 a",
        b"\xff\xfe\0",
        long.as_bytes(),
    ];
    for owner in owners {
        for value in values {
            let lease = server.grant_lease(60).await;
            let key = format!("leasehold/planted/{owner}{id}");
            server.put_with_lease(&key, value, lease).await;
            let picture = soon("a look", locks.inspect("planted")).await.unwrap();
            assert_eq!(picture.holders().len(), 1, "{picture:?}");
            // Busy, or another kind of lock: in no case free, and nothing breaks.
            let tried = soon("a try", locks.mutex("planted").unwrap().try_lock()).await;
            assert!(!matches!(tried, Ok(Some(_))), "{key}: {tried:?}");
            server.revoke_lease(lease).await;
        }
    }
    is_free(&locks).await;
}

/// Keys and values of all bytes.
#[tokio::test]
async fn random_garbage_with_a_lease_is_shown_as_somebody() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let mut dice = fuzz::dice();
    for _ in 0..fuzz::cases(60, 2_000) {
        let parts = ["~s-", "~p3-", "~", "-", "0123456789abcdef0123456789abcdef", ""];
        let mut key = b"leasehold/planted/".to_vec();
        key.extend(parts[dice.usize(..parts.len())].as_bytes());
        key.extend(fuzz::bytes(&mut dice, 8));
        key.extend(parts[dice.usize(..parts.len())].as_bytes());
        let heads = ["lh1 x 1700000000000 ", "lh1 p", "lh1 ", ""];
        let mut value = heads[dice.usize(..heads.len())].as_bytes().to_vec();
        value.extend(fuzz::bytes(&mut dice, 60));
        let lease = server.grant_lease(60).await;
        server.put_with_lease(&key, &value, lease).await;
        let picture = soon("a look", locks.inspect("planted")).await.unwrap();
        assert_eq!(picture.holders().len(), 1, "{key:?} {value:?}: {picture:?}");
        let tried = soon("a try", locks.mutex("planted").unwrap().try_lock()).await;
        assert!(!matches!(tried, Ok(Some(_))), "{key:?} {value:?}: {tried:?}");
        let _ = soon("a reader", locks.rw_lock("planted").unwrap().try_read()).await;
        server.revoke_lease(lease).await;
    }
    is_free(&locks).await;
}

/// As after a copy to another cluster, which has no leases.
#[tokio::test]
async fn a_key_of_our_own_that_lost_its_lease_is_named_to_those_who_wait() {
    on_both(async |version| {
        let server = quick(version).start().await;
        let locks = connect(at(&server)).await;
        let key = "leasehold/planted/0123456789abcdef0123456789abcdef";
        server.put(key, "lh1 x 1700000000000 a").await;
        let mutex = locks.mutex("planted").unwrap();
        assert!(mutex.try_lock().await.unwrap().is_none());
        let words = [key, "no lease", "remove it"];
        says(&fails("a lock", mutex.lock()).await, Backend, &words);
        let table = locks.rw_lock("planted").unwrap();
        says(&fails("a reader", table.read()).await, Backend, &words);
        eventually("nothing of ours stays", async || server.keys("").await.len() == 1).await;
        server.delete(key).await;
        is_free(&locks).await;
    })
    .await;
}

/// Every mode is refused because of this key, and leaves nothing.
async fn is_refused(server: &Etcd, locks: &Locks, key: &str) {
    let before = server.keys("leasehold/planted/").await;
    let words = [key, "no lease", "remove it"];
    let mutex = locks.mutex("planted").unwrap();
    says(&fails("a lock", mutex.lock()).await, Backend, &words);
    says(&fails("a try", mutex.try_lock()).await, Backend, &words);
    let table = locks.rw_lock("planted").unwrap();
    says(&fails("a reader", table.read()).await, Backend, &words);
    says(&fails("a reader", table.try_read()).await, Backend, &words);
    says(&fails("a writer", table.write()).await, Backend, &words);
    let slots = locks.semaphore("planted", 3).unwrap();
    says(&fails("a permit", slots.acquire()).await, Backend, &words);
    says(&fails("a permit", slots.try_acquire()).await, Backend, &words);
    assert_eq!(server.keys("leasehold/planted/").await, before, "nothing of ours stays");
    let picture = locks.inspect("planted").await.unwrap();
    assert!(!picture.is_free() && !format!("{picture:?}").contains(CANARY), "{picture:?}");
}

/// All modes are granted at once.
async fn is_free(locks: &Locks) {
    assert!(locks.inspect("planted").await.unwrap().is_free());
    let held = locks.mutex("planted").unwrap().try_lock().await.unwrap().unwrap();
    let queued = queue(locks, "planted").await;
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
    let held = locks.rw_lock("planted").unwrap().try_read().await.unwrap().unwrap();
    held.release().await.unwrap();
    let held = locks.semaphore("planted", 3).unwrap().try_acquire().await.unwrap().unwrap();
    held.release().await.unwrap();
}
