//! Administrators who delete keys, or shorten their time.

use std::sync::Arc;

use lock_conformance::time::{pause, soon};
use lock_testkit::Redis;
use lockcore::{BootInstant, ErrorKind, LossCause};
use tokio::task::JoinSet;

use crate::stage::{
    config, connect, key, ms, only_fences, redis, until_lost, until_waiting, value,
};

/// What is done to the key of a lock that is held.
#[derive(Clone, Copy, Debug)]
enum Meddling {
    Delete,
    Shorten,
    /// Somebody else's client sets the key to what it likes.
    Overwrite,
}

impl Meddling {
    async fn happens(self, server: &Redis, name: &str) {
        let key = key(name);
        let words: &[&str] = match self {
            Self::Delete => &["DEL", &key],
            Self::Shorten => &["PEXPIRE", &key, "1"],
            Self::Overwrite => &["SET", &key, "somebody", "PX", "600"],
        };
        let answer = server.resp().await.command(words).await;
        assert!(answer.as_error().is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_holder_whose_key_is_taken_away_learns_it_with_its_next_renewal() {
    let server = Arc::new(redis().await);
    let mut cells = JoinSet::new();
    for meddling in [Meddling::Delete, Meddling::Shorten, Meddling::Overwrite] {
        for has_waiter in [false, true] {
            cells.spawn(learns(server.clone(), meddling, has_waiter));
        }
    }
    while let Some(cell) = cells.join_next().await {
        cell.unwrap();
    }
}

async fn learns(server: Arc<Redis>, meddling: Meddling, has_waiter: bool) {
    let name = &format!("{meddling:?}-{has_waiter}");
    let holder = connect(config(server.addr()), ms(TTL_MS)).await;
    let other = connect(config(server.addr()), ms(TTL_MS)).await;
    let guard = holder.mutex(name).unwrap().lock().await.unwrap();
    let lock = other.mutex(name).unwrap();
    let acquire = async move { lock.lock().await.unwrap() };
    let waits = if has_waiter {
        let waits = tokio::spawn(acquire);
        until_waiting(&server, name, 1).await;
        // The holder renews once with the mark of the waiter in its value.
        pause(ms(TTL_MS / 2)).await;
        meddling.happens(&server, name).await;
        waits
    } else {
        meddling.happens(&server, name).await;
        tokio::spawn(acquire)
    };
    let meddled = BootInstant::now();

    until_lost(&guard).await;
    let took = meddled.elapsed();
    assert!(took < ms(TTL_MS / 3) + ms(400), "{name}: it learnt it after {took:?}");
    assert_eq!(guard.lost().await, LossCause::Revoked, "{name}");

    // Who waits looks as often as holders renew; nobody pushed anything.
    let next = soon(&format!("{name}: the next one"), waits).await.unwrap();
    let took = meddled.elapsed();
    assert!(took < ms(TTL_MS / 3 * 3 / 2) + ms(1_000), "{name}: granted after {took:?}");
    assert!(next.token() > guard.token(), "{name}");

    let owner = value(&server, name).await;
    assert!(owner.is_some(), "{name}");
    let error = guard.release().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotHeld, "{name}");
    assert_eq!(error.loss_cause(), Some(LossCause::Revoked), "{name}");
    assert_eq!(value(&server, name).await, owner, "{name}: it freed the lock of another");
    assert!(next.is_held(), "{name}");
    next.release().await.unwrap();
    only_fences(&server, name).await;
}

/// The release is the first to find out, so it says it.
#[tokio::test]
async fn a_release_after_the_key_was_taken_away_says_so() {
    for meddling in [Meddling::Delete, Meddling::Shorten, Meddling::Overwrite] {
        let server = redis().await;
        let locks = connect(config(server.addr()), ms(60_000)).await;
        let guard = locks.mutex("name").unwrap().lock().await.unwrap();
        meddling.happens(&server, "name").await;
        pause(ms(5)).await;
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{meddling:?}");
        let left = value(&server, "name").await;
        let expected = matches!(meddling, Meddling::Overwrite).then_some("somebody");
        assert_eq!(left.as_deref(), expected, "{meddling:?}");
    }
}

/// The queue is taken away with the lock, so who waited is told.
#[tokio::test]
async fn a_waiter_whose_place_is_taken_away_is_told() {
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(TTL_MS)).await;
    let guard = locks.mutex("name").unwrap().lock().await.unwrap();
    let lock = locks.mutex("name").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_waiting(&server, "name", 1).await;
    let flushed = BootInstant::now();
    server.resp().await.command(&["FLUSHALL"]).await;
    let error = soon("the waiter is told", waits).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(flushed.elapsed() < ms(TTL_MS / 3 * 3 / 2) + ms(500), "{:?}", flushed.elapsed());
    until_lost(&guard).await;
    drop(guard);
    let next = soon("a free lock", locks.mutex("name").unwrap().lock()).await.unwrap();
    next.release().await.unwrap();
    only_fences(&server, "name").await;
}

const TTL_MS: u64 = 2_400;
