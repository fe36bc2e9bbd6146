//! A thousand waiters in four processes.

use std::collections::BTreeMap;
use std::time::Instant;

use lock_conformance::load::{time_outs, times};
use lock_conformance::time::soon;
use lock_testkit::{Zk, ZkEventKind};
use lockcore::BootInstant;

use crate::children::{report, spawn};
use crate::stage::{
    LONG, NAME, children, config, connect, is_idle, ms, nothing_left, ttl, until_nodes,
};

const WAITERS: usize = 1_000;
const PROCESSES: usize = 4;

#[tokio::test]
async fn a_thousand_waiters_are_served_in_order_with_two_events_each() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = spawn("crowd", server.port(), NAME, LONG.as_millis() as u64);
        assert_eq!(report(&mut child).await, ["ready"]);
        processes.push(child);
    }
    let begun = Instant::now();
    for number in 0..WAITERS {
        processes[number % PROCESSES].send(&number.to_string());
    }
    lock_testkit::eventually("all stand in the queue", LONG * 2, || async {
        (children(&server, NAME).await.len() > WAITERS).then_some(())
    })
    .await;
    // Each watches the one before it, and the first one itself as well.
    lock_testkit::eventually("all listen", LONG * 2, || async {
        (server.watches().await.len() >= WAITERS).then_some(())
    })
    .await;
    let queued = begun.elapsed();
    let order = tokens(&server).await;
    let (events, requests) = counts(&server).await;
    let begun = Instant::now();
    guard.release().await.unwrap();

    let mut by_time = BTreeMap::new();
    for child in &mut processes {
        for _ in 0..WAITERS / PROCESSES {
            let report = report(child).await;
            assert_ne!(report[1], "failed:", "{report:?}");
            let (token, granted): (u64, u64) =
                (report[1].parse().unwrap(), report[2].parse().unwrap());
            assert_eq!(by_time.insert(granted, token), None, "two granted at once");
        }
    }
    soon("all is given back", nothing_left(&server)).await;
    let took = begun.elapsed();
    // All processes have one clock.
    assert_eq!(by_time.into_values().collect::<Vec<_>>(), order, "served out of order");
    let (after, sent) = counts(&server).await;
    let events = after - events;
    println!(
        "{WAITERS} waiters in {PROCESSES} processes: queued in {queued:?}, served in {took:?} \
         ({:?} each), {events} events for {} releases, {} packets",
        took / WAITERS as u32,
        WAITERS + 1,
        sent - requests,
    );
    // Who looks by itself at the right moment needs none.
    assert!(events >= WAITERS as u64 * 9 / 10, "{events} events: the count is wrong");
    assert!(events <= 2 * (WAITERS as u64 + 1), "{events} events for {} releases", WAITERS + 1);
}

#[tokio::test]
async fn a_thousand_time_outs_and_a_dead_head_cost_one_ttl() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    time_outs(&lock, times(1_000, 10_000)).await;
    is_idle(&locks).await;
    until_nodes(&server, NAME, 1).await;
    let mut head = spawn("holder", server.port(), NAME, 1_000);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_nodes(&server, NAME, 2).await;
    let waits = tokio::spawn(async move { (lock.lock().await.unwrap(), BootInstant::now()) });
    until_nodes(&server, NAME, 3).await;
    head.kill();
    let released = BootInstant::now();
    guard.release().await.unwrap();
    let (next, granted) = soon("the next one is granted", waits).await.unwrap();
    let took = granted.saturating_since(released);
    // Sessions are looked through every tick, and their ends rounded up to one.
    assert!(took < ttl(1_000) + ms(1_400), "granted {took:?} after the release");
    next.release().await.unwrap();
    nothing_left(&server).await;
}

/// Those of the waiters, in the order of their nodes: read at once, by one session.
async fn tokens(server: &Zk) -> Vec<u64> {
    let mut client = server.client().await.unwrap();
    let mut tokens = Vec::new();
    for child in children(server, NAME).await.iter().skip(1) {
        let stat = client.exists(&format!("/leasehold/{NAME}/{child}"), false).await.unwrap();
        tokens.push(stat.unwrap().czxid as u64);
    }
    client.close().await.unwrap();
    tokens
}

async fn counts(server: &Zk) -> (u64, u64) {
    let events = server.watches_fired(ZkEventKind::Deleted).await;
    (events, server.metric("zk_packets_received").await as u64)
}
