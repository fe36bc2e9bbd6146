//! Connections that the server closes.

use std::time::Duration;

use lock_conformance::time::{pause, soon};
use lock_testkit::Proxy;
use lockcore::BootInstant;

use crate::stage::{
    config, connect, hasty, ms, only_fences, redis, until_listening, until_waiting, value, waiting,
};

const NAME: &str = "name";

/// Nobody listens when the lock is given back, so nobody is told; who listens again looks.
#[tokio::test]
async fn a_release_that_the_waiter_could_not_hear_is_made_good_when_it_listens_again() {
    let server = redis().await;
    let proxy = Proxy::resp(server.addr()).await;
    let holder = connect(config(server.addr()), ms(60_000)).await;
    // It looks by itself every five seconds.
    let waiter = connect(config(proxy.addr()), ms(60_000)).await;
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    let lock = waiter.mutex(NAME).unwrap();
    let waits = tokio::spawn(async move { (lock.lock().await.unwrap(), BootInstant::now()) });
    until_waiting(&server, NAME, 1).await;

    let subscriptions = proxy.hold_requests(|words| words[0].eq_ignore_ascii_case(b"SUBSCRIBE"));
    let mut resp = server.resp().await;
    // That of the holder's client is among them.
    let killed = resp.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.as_int();
    assert_eq!(killed, Some(2));
    subscriptions.held(Duration::from_secs(10)).await;
    let token = guard.token();
    guard.release().await.unwrap();
    // The lock is free, and the waiter still in the queue: its turn is kept.
    assert_eq!(value(&server, NAME).await, None);
    assert_eq!(waiting(&mut resp, NAME).await, 1);

    let listens = BootInstant::now();
    subscriptions.release();
    let (guard, granted) = soon("the waiter is granted", waits).await.unwrap();
    let took = granted.saturating_since(listens);
    assert!(took < ms(1_500), "granted {took:?} after it could listen");
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    only_fences(&server, NAME).await;
}

/// The server believes that it has told the waiter, and made it the holder.
#[tokio::test]
async fn a_grant_whose_message_was_lost_is_found_by_looking() {
    let server = redis().await;
    let proxy = Proxy::resp(server.addr()).await;
    let holder = connect(config(server.addr()), ms(60_000)).await;
    let waiter = connect(config(proxy.addr()).recheck(ms(300)).unwrap(), ms(60_000)).await;
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    let lock = waiter.mutex(NAME).unwrap();
    let waits = tokio::spawn(async move { (lock.lock().await.unwrap(), BootInstant::now()) });
    until_waiting(&server, NAME, 1).await;
    proxy.drop_notifications(true);
    let token = guard.token();
    let released = BootInstant::now();
    guard.release().await.unwrap();
    assert_eq!(waiting(&mut server.resp().await, NAME).await, 0, "it was not granted");
    let (guard, granted) = soon("the waiter looks", waits).await.unwrap();
    assert_eq!(proxy.notifications_lost(), 1);
    let took = granted.saturating_since(released);
    assert!(took < ms(1_000), "granted {took:?} after the release");
    assert!(guard.token() > token);
    let seen = waiter.inspect(NAME).await.unwrap();
    assert_eq!(seen.holders()[0].token(), Some(guard.token()), "it was granted twice");
    guard.release().await.unwrap();
    only_fences(&server, NAME).await;
}

#[tokio::test]
async fn a_holder_whose_connection_is_killed_keeps_its_lock() {
    let server = redis().await;
    let locks = connect(hasty(server.addr()), ms(1_500)).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let rival = connect(hasty(server.addr()), ms(1_500)).await.mutex(NAME).unwrap();
    let mut resp = server.resp().await;
    let end = BootInstant::now().saturating_add(ms(4_000));
    let mut killed = 0;
    while BootInstant::now() < end {
        // All but the one that asks.
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        killed += resp.command(&kill).await.as_int().unwrap();
        pause(ms(300)).await;
        assert!(guard.is_held(), "lost to a connection");
    }
    assert!(killed >= 4, "{killed} connections were killed");
    assert!(rival.try_lock().await.unwrap().is_none());
    guard.release().await.unwrap();
    assert!(rival.try_lock().await.unwrap().is_some());
}

#[tokio::test]
async fn a_waiter_whose_connections_are_killed_keeps_its_place() {
    let server = redis().await;
    let holder = connect(config(server.addr()), ms(60_000)).await;
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    let mut waits = Vec::new();
    for place in 1..4 {
        let locks = connect(hasty(server.addr()), ms(60_000)).await;
        let lock = locks.mutex(NAME).unwrap();
        waits.push(tokio::spawn(async move { lock.lock().await.unwrap() }));
        until_waiting(&server, NAME, place).await;
    }
    let mut resp = server.resp().await;
    for kind in ["normal", "pubsub"] {
        let kill = ["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"];
        assert_eq!(resp.command(&kill).await.as_int(), Some(4), "{kind}");
    }
    until_listening(&server, 4).await;
    let mut last = guard.token();
    guard.release().await.unwrap();
    for waiter in waits {
        let guard = soon("the next one is granted", waiter).await.unwrap();
        assert!(guard.token() > last);
        last = guard.token();
        guard.release().await.unwrap();
    }
    only_fences(&server, NAME).await;
}
