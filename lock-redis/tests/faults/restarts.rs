//! Servers that are killed and come back, with what they had or without.

use futures_util::future::join_all;
use lock_conformance::time::{pause, soon};
use lock_testkit::{Flavour, RedisOptions};
use lockcore::{BootInstant, ErrorKind, LossCause};

use crate::children::{report, spawn};
use crate::stage::{
    FLAVOURS, config, connect, hasty, ms, only_fences, take, until_lost, until_waiting, value,
};

const NAME: &str = "name";

#[tokio::test]
async fn a_server_that_comes_back_with_its_data_has_the_holder_and_the_queue() {
    let comes_back = FLAVOURS.map(async |flavour| {
        let server = RedisOptions::new(flavour).append_only().start().await;
        let holder = connect(hasty(server.addr()), ms(4_000)).await;
        let waiter = connect(hasty(server.addr()), ms(4_000)).await;
        let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
        let lock = waiter.mutex(NAME).unwrap();
        let waits = tokio::spawn(async move { lock.lock().await });
        until_waiting(&server, NAME, 1).await;
        let before = value(&server, NAME).await;

        for _ in 0..2 {
            server.restart().await;
            assert!(guard.is_held(), "{flavour:?}: lost");
            assert_eq!(value(&server, NAME).await, before, "{flavour:?}");
            until_waiting(&server, NAME, 1).await;
        }
        // Renewals find the new server, or the lock would be over.
        pause(ms(4_500)).await;
        guard.renew().await.unwrap();
        assert!(guard.is_held() && !waits.is_finished());
        let token = guard.token();
        guard.release().await.unwrap();
        let next = soon("the waiter is granted", waits).await.unwrap().unwrap();
        assert!(next.token() > token, "{flavour:?}: {} after {token}", next.token());
        next.release().await.unwrap();
        only_fences(&server, NAME).await;
    });
    join_all(comes_back).await;
}

#[tokio::test]
async fn a_server_that_comes_back_without_its_data_tells_the_holder_and_draws_greater_tokens() {
    let server = RedisOptions::new(Flavour::Redis).start().await;
    let holder = connect(hasty(server.addr()), ms(TTL_MS)).await;
    let other = connect(hasty(server.addr()), ms(TTL_MS)).await;
    let lock = other.mutex(NAME).unwrap();
    // Tokens that grew by more than time would fall with the counter.
    for _ in 0..20 {
        lock.lock().await.unwrap().release().await.unwrap();
    }
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    let waits = {
        let lock = lock.clone();
        tokio::spawn(async move { take(&lock).await })
    };
    until_waiting(&server, NAME, 1).await;

    server.restart_empty().await;
    let empty = BootInstant::now();
    let next = soon("the waiter is granted", waits).await.unwrap();
    assert!(next.token() > guard.token(), "the token fell with the data");
    until_lost(&guard).await;
    let took = empty.elapsed();
    // A third of the TTL until it asks, and some time to connect.
    assert!(took < ms(TTL_MS / 3) + ms(1_000), "it learnt it after {took:?}");
    assert_eq!(guard.lost().await, LossCause::Revoked);

    let (owner, held) = (value(&server, NAME).await, next.token());
    assert!(owner.is_some());
    let error = guard.release().await.unwrap_err();
    assert_eq!((error.kind(), error.loss_cause()), (ErrorKind::NotHeld, Some(LossCause::Revoked)));
    assert_eq!(value(&server, NAME).await, owner, "it freed the lock of another");
    assert!(next.is_held());
    next.release().await.unwrap();
    let last = soon("a free lock", lock.lock()).await.unwrap();
    assert!(last.token() > held);
    last.release().await.unwrap();
    only_fences(&server, NAME).await;
}

/// The end of a TTL is a time of the day, which no restart moves.
#[tokio::test]
async fn a_dead_holder_is_replaced_after_its_ttl_over_restarts() {
    let server = RedisOptions::new(Flavour::Redis).append_only().start().await;
    let mut holder = spawn("holder", server.port(), NAME, TTL_MS);
    assert_eq!(report(&mut holder).await, ["ready"]);
    assert_eq!(report(&mut holder).await[0], "granted");
    let config = hasty(server.addr()).recheck(ms(200)).unwrap();
    let locks = connect(config, ms(60_000)).await;
    let lock = locks.mutex(NAME).unwrap();
    let waits = tokio::spawn(async move { (take(&lock).await, BootInstant::now()) });
    until_waiting(&server, NAME, 1).await;
    holder.kill();
    let killed = BootInstant::now();
    for _ in 0..2 {
        pause((ms(TTL_MS / 2) * 4 / 5).saturating_sub(ms(100))).await;
        server.restart().await;
    }
    let (guard, granted) = soon("the waiter is granted", waits).await.unwrap();
    let took = granted.saturating_since(killed);
    assert!(took < ms(TTL_MS + 1_500), "granted {took:?} after the end of the holder");
    guard.release().await.unwrap();
    only_fences(&server, NAME).await;
}

/// A limit holds although nobody answers, or nobody is there.
#[tokio::test]
async fn nobody_waits_longer_for_a_server_that_is_gone_than_they_said() {
    let server = RedisOptions::new(Flavour::Redis).start().await;
    let locks = connect(config(server.addr()), ms(TTL_MS)).await;
    let lock = locks.mutex(NAME).unwrap();
    for is_killed in [false, true] {
        soon("the lock", take(&lock)).await.release().await.unwrap();
        match is_killed {
            true => server.kill(),
            false => server.pause(),
        }
        let asked = BootInstant::now();
        match lock.try_lock_for(ms(1_000)).await {
            Ok(granted) => assert!(granted.is_none(), "nobody can have answered"),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        assert!(asked.elapsed() < ms(1_200), "killed {is_killed}: {:?}", asked.elapsed());
        if is_killed { server.restart().await } else { server.resume() }
    }
    soon("the lock", take(&lock)).await.release().await.unwrap();
    only_fences(&server, NAME).await;
}

/// As if the clock had been set back: the last token is from a time that is still to come.
#[tokio::test]
async fn tokens_rise_although_the_clock_of_the_server_is_behind() {
    const FUTURE: u64 = 4_000_000_000_000_000;
    for flavour in FLAVOURS {
        let server = RedisOptions::new(flavour).start().await;
        let lock = connect(hasty(server.addr()), ms(TTL_MS)).await.mutex(NAME).unwrap();
        let fence = format!("{{leasehold:{NAME}}}:f");
        server.resp().await.command(&["SET", &fence, &FUTURE.to_string()]).await;
        for number in 1..4 {
            let guard = lock.lock().await.unwrap();
            assert_eq!(guard.token().as_u64(), FUTURE + number, "{flavour:?}");
            guard.release().await.unwrap();
        }
        only_fences(&server, NAME).await;
    }
}

/// While a server is down, everything ends in an error that says that nothing was done, in time.
#[tokio::test]
async fn a_server_that_is_down_is_said_to_be() {
    let server = RedisOptions::new(Flavour::Redis).start().await;
    let locks = connect(hasty(server.addr()), ms(TTL_MS)).await;
    let lock = locks.mutex(NAME).unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    server.kill();
    for attempt in 0..5 {
        let asked = BootInstant::now();
        let error = lock.lock().await.unwrap_err();
        assert!(asked.elapsed() < ms(2_000), "{:?}", asked.elapsed());
        // The first may have been written into the connection that was about to end.
        let kinds = [ErrorKind::Unavailable, ErrorKind::Indeterminate];
        assert!(kinds.contains(&error.kind()), "attempt {attempt}: {error}");
    }
    server.restart().await;
    let guard = soon("the lock", take(&lock)).await;
    guard.release().await.unwrap();
    only_fences(&server, NAME).await;
}

const TTL_MS: u64 = 3_000;
