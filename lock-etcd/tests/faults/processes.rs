//! Processes that are killed or frozen.

use std::time::{Duration, Instant};

use lock_conformance::time::{pause, soon};
use lockcore::FencingToken;

use crate::children::{report, spawn};
use crate::stage::{
    LONG, config, connect, etcd, keys, ms, nothing_left, take, ttl, until_keys, until_watched,
};

#[tokio::test]
async fn a_holder_that_is_killed_is_replaced_after_its_ttl() {
    let server = etcd().await;
    let mut holder = spawn("holder", server.port(), "name", 2);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let token = granted(&report(&mut holder).await);
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex("name").unwrap();
    let waiter = tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) });
    until_keys(&server, "name", 2).await;
    // What was not received when this was asked is served later.
    let renewed = || server.messages_received("LeaseKeepAlive");
    // Past the first TTL: it lives on because its process renews it.
    pause(ttl(2) + ms(200)).await;
    assert!(!waiter.is_finished(), "granted while the holder lived");
    // Killed right after a renewal of its own: the waiter's are 40 s apart.
    let before = renewed().await;
    let (mut last, mut asked) = (Instant::now(), Instant::now());
    while renewed().await == before {
        last = asked;
        pause(Duration::from_millis(2)).await;
        asked = Instant::now();
    }
    holder.kill();

    let (guard, granted) = soon("the waiter is granted", waiter).await.unwrap();
    let after = granted - last;
    println!("granted {after:?} after the last renewal of a holder with a TTL of {:?}", ttl(2));
    assert!(after >= ttl(2), "{after:?}: before the TTL was over");
    // Leases are looked through every half second.
    assert!(after <= ttl(2) + ms(1_500), "{after:?}");
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

/// Each restart gives all leases their whole TTL again, and the last one is what counts.
#[tokio::test]
async fn a_dead_holder_is_replaced_one_ttl_after_the_last_restart() {
    let server = etcd().await;
    let mut holder = spawn("holder", server.port(), "name", 2);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let token = granted(&report(&mut holder).await);
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex("name").unwrap();
    let waiter = tokio::spawn(async move { (take(&lock).await, Instant::now()) });
    until_keys(&server, "name", 2).await;
    holder.kill();
    let mut restarted = Instant::now();
    for _ in 0..RESTARTS {
        pause(ttl(2) / 2).await;
        server.restart().await;
        restarted = Instant::now();
    }
    let (guard, granted) = soon("the waiter is granted", waiter).await.unwrap();
    let after = granted.saturating_duration_since(restarted);
    println!("granted {after:?} after the last of {RESTARTS} restarts");
    // An election and a look through all leases, and a second for a busy machine.
    assert!(after <= ttl(2) + ms(2_000), "{after:?}");
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

const RESTARTS: usize = 3;

#[tokio::test]
async fn a_holder_that_was_frozen_knows_that_it_is_not_one_any_more() {
    let server = etcd().await;
    let mut holder = spawn("holder", server.port(), "name", 1);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let old = granted(&report(&mut holder).await);
    holder.pause();
    let frozen = Instant::now();
    let locks = connect(config(server.port()), LONG).await;
    let guard = soon("the next one", locks.mutex("name").unwrap().lock()).await.unwrap();
    assert!(guard.token() > old);
    pause((ttl(1) * 2).saturating_sub(frozen.elapsed())).await;

    // It lies in the pipe before the process goes on, so it is the first that it does.
    holder.send("is_held");
    holder.send("release");
    holder.resume();
    assert_eq!(report(&mut holder).await, ["false"]);
    assert_eq!(report(&mut holder).await, ["not_held"]);
    assert!(guard.is_held());
    assert_eq!(keys(&server, "name").await.len(), 1, "the old holder freed the new one's lock");
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

/// What it finds in its socket says that the one before it has left, and first or then that it was taken
/// out itself.
#[tokio::test]
async fn a_waiter_that_was_frozen_past_its_ttl_is_not_granted() {
    for is_released_first in [true, false] {
        let server = etcd().await;
        let locks = connect(config(server.port()), LONG).await;
        let lock = locks.mutex("name").unwrap();
        let holder = lock.lock().await.unwrap();
        let mut waiter = spawn("holder", server.port(), "name", 1);
        assert_eq!(report(&mut waiter).await, ["ready"]);
        until_keys(&server, "name", 2).await;
        until_watched(&server, 1).await;
        waiter.pause();
        if is_released_first {
            holder.release().await.unwrap();
            until_keys(&server, "name", 0).await;
        } else {
            until_keys(&server, "name", 1).await;
            holder.release().await.unwrap();
        }
        let guard = soon("the next one", lock.lock()).await.unwrap();
        waiter.resume();
        assert_eq!(report(&mut waiter).await, ["failed", "Lost"], "first: {is_released_first}");
        assert!(guard.is_held());
        guard.release().await.unwrap();
        nothing_left(&server).await;
    }
}

#[tokio::test]
async fn a_waiter_that_is_killed_at_the_head_is_passed_over() {
    let server = etcd().await;
    let locks = connect(config(server.port()), LONG).await;
    let holder = locks.mutex("name").unwrap().lock().await.unwrap();
    let mut head = spawn("holder", server.port(), "name", 1);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_keys(&server, "name", 2).await;
    let behind = connect(config(server.port()), LONG).await;
    let mut waiters = Vec::new();
    for place in 3..5 {
        let lock = behind.mutex("name").unwrap();
        waiters.push(tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) }));
        until_keys(&server, "name", place).await;
    }
    until_watched(&server, 3).await;
    head.kill();
    let mut released = Instant::now();
    let mut last = holder.token();
    holder.release().await.unwrap();
    // Its lease holds the first of them up, and nobody else.
    let mut most = ttl(1) + ms(1_500);
    for waiter in waiters {
        let (guard, granted) = soon("the next one is granted", waiter).await.unwrap();
        let took = granted.saturating_duration_since(released);
        assert!(took < most, "granted {took:?} after the release");
        assert!(guard.token() > last);
        (last, released, most) = (guard.token(), Instant::now(), ms(1_000));
        guard.release().await.unwrap();
    }
    nothing_left(&server).await;
}

fn granted(report: &[String]) -> FencingToken {
    assert_eq!(report[0], "granted", "{report:?}");
    FencingToken::new(report[1].parse().unwrap()).unwrap()
}
