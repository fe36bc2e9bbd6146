//! A thousand waiters in four processes.

use std::collections::BTreeMap;
use std::time::Instant;

use lock_conformance::load::{time_outs, times};
use lock_conformance::time::soon;
use lock_testkit::GrpcProxy;
use lockcore::BootInstant;

use crate::children::{report, spawn};
use crate::stage::{
    LONG, config, connect, etcd, keys, ms, nothing_left, ttl, until_keys, until_watched,
};

const NAME: &str = "name";
const WAITERS: usize = 1_000;
const PROCESSES: usize = 4;
const WATCH: &str = "Watch/Watch";

#[tokio::test]
async fn a_thousand_waiters_are_served_in_order_with_one_event_each() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(config(server.port()), LONG).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = spawn("crowd", proxy.addr().port(), NAME, LONG.as_secs());
        assert_eq!(report(&mut child).await, ["ready"]);
        children.push(child);
    }
    let begun = Instant::now();
    for number in 0..WAITERS {
        children[number % PROCESSES].send(&number.to_string());
    }
    until_keys(&server, NAME, WAITERS + 1).await;
    until_watched(&server, WAITERS as u64).await;
    let queued = begun.elapsed();
    let order: Vec<u64> =
        keys(&server, NAME).await.iter().skip(1).map(|key| key.create_revision as u64).collect();
    let before = Counts::of(&proxy);
    let begun = Instant::now();
    guard.release().await.unwrap();

    let mut by_time = BTreeMap::new();
    for child in &mut children {
        for _ in 0..WAITERS / PROCESSES {
            let report = report(child).await;
            assert_ne!(report[1], "failed", "{report:?}");
            let (token, granted): (u64, u64) =
                (report[1].parse().unwrap(), report[2].parse().unwrap());
            assert_eq!(by_time.insert(granted, token), None, "two granted at once");
        }
    }
    soon("all is given back", nothing_left(&server)).await;
    let took = begun.elapsed();
    // All processes have one clock.
    assert_eq!(by_time.into_values().collect::<Vec<_>>(), order, "served out of order");
    let counts = Counts::of(&proxy);
    let events = counts.events - before.events;
    println!(
        "{WAITERS} waiters queued in {queued:?}, served in {took:?}: {:?} each; {events} events, \
         {} transactions",
        took / WAITERS as u32,
        counts.transactions - before.transactions,
    );
    // Who looks by itself at the right moment needs none.
    assert!(events >= WAITERS as u64 * 9 / 10, "{events} events: the count is wrong");
    assert!(events <= 2 * (WAITERS as u64 + 1), "{events} events for {} releases", WAITERS + 1);
}

#[tokio::test]
async fn a_thousand_time_outs_and_a_dead_head_cost_one_ttl() {
    let server = etcd().await;
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    time_outs(&lock, times(1_000, 10_000)).await;
    until_keys(&server, NAME, 1).await;
    let mut head = spawn("holder", server.port(), NAME, 1);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_keys(&server, NAME, 2).await;
    let waits = tokio::spawn(async move { (lock.lock().await.unwrap(), BootInstant::now()) });
    until_keys(&server, NAME, 3).await;
    head.kill();
    let released = BootInstant::now();
    guard.release().await.unwrap();
    let (next, granted) = soon("the next one is granted", waits).await.unwrap();
    let took = granted.saturating_since(released);
    assert!(took < ttl(1) + ms(1_500), "granted {took:?} after the release");
    next.release().await.unwrap();
    nothing_left(&server).await;
}

/// What came to the children.
struct Counts {
    events: u64,
    transactions: u64,
}

impl Counts {
    /// The other messages of the server say that a watch began or ended: one for each that a client
    /// asked for.
    fn of(proxy: &GrpcProxy) -> Self {
        let said = proxy.messages_to_client(WATCH);
        let asked = proxy.messages_to_server(WATCH);
        Self { events: said.saturating_sub(asked), transactions: proxy.calls("KV/Txn") }
    }
}
