//! A thousand waiters in four processes.

use std::collections::BTreeMap;
use std::time::Instant;

use lock_conformance::time::soon;
use lock_testkit::{Zk, ZkEventKind};

use crate::children::{report, spawn};
use crate::stage::{LONG, NAME, children, config, connect, nothing_left};

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
    assert!(events >= WAITERS as u64, "{events} events: the count is wrong");
    assert!(events <= 2 * (WAITERS as u64 + 1), "{events} events for {} releases", WAITERS + 1);
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
