//! A thousand waiters in four processes.

use std::collections::BTreeMap;

use lock_conformance::load::{time_outs, times};
use lock_conformance::time::soon;
use lock_testkit::Resp;
use lockcore::BootInstant;

use crate::children::{report, spawn};
use crate::stage::{
    config, connect, ms, only_fences, redis, until_listening, until_waiting, waiting,
};

const NAME: &str = "name";
const WAITERS: usize = 1_000;
const PROCESSES: usize = 4;
const BEHIND: usize = 50;

#[tokio::test]
async fn a_thousand_waiters_are_served_in_order_with_one_message_each() {
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(60_000)).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = spawn("crowd", server.port(), NAME, 60_000);
        assert_eq!(report(&mut child).await, ["ready"]);
        children.push(child);
    }
    // One at a time, the processes by turns: so the order of arrival is known to all.
    for number in 0..WAITERS {
        children[number % PROCESSES].send(&number.to_string());
        until_waiting(&server, NAME, number as i64 + 1).await;
    }
    let mut resp = server.resp().await;
    let before = published(&mut resp).await;
    let first = guard.token().as_u64();
    guard.release().await.unwrap();

    let mut by_token = BTreeMap::new();
    for (process, child) in children.iter_mut().enumerate() {
        for _ in 0..WAITERS / PROCESSES {
            let report = report(child).await;
            assert_ne!(report[1], "failed", "{report:?}");
            let (number, token): (usize, u64) =
                (report[0].parse().unwrap(), report[1].parse().unwrap());
            assert_eq!(number % PROCESSES, process);
            assert!(token > first);
            assert_eq!(by_token.insert(token, number), None, "token {token} twice");
        }
    }
    let order: Vec<usize> = by_token.into_values().collect();
    assert_eq!(order, (0..WAITERS).collect::<Vec<_>>(), "served out of order");

    soon("all is given back", only_fences(&server, NAME)).await;
    let messages = published(&mut resp).await - before;
    let releases = WAITERS as u64 + 1;
    assert!(messages >= WAITERS as u64, "{messages} messages: the count is wrong");
    assert!(messages <= 2 * releases, "{messages} messages for {releases} releases");
}

/// How often the server was told to publish, within scripts or not.
async fn published(server: &mut Resp) -> u64 {
    let info = server.command(&["INFO", "commandstats"]).await;
    let line = info.as_str().unwrap().lines().find(|line| line.starts_with("cmdstat_publish:"));
    line.map_or(0, |line| {
        let calls = line.split("calls=").nth(1).unwrap().split(',').next().unwrap();
        calls.parse().unwrap()
    })
}

/// Their places are over at about the same time, and cost nothing from then on.
#[tokio::test]
async fn a_thousand_dead_in_the_queue_hold_others_up_for_one_ttl() {
    const PLACE_MS: u64 = 5_000;
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(60_000)).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    let mut child = spawn("crowd", server.port(), NAME, PLACE_MS);
    assert_eq!(report(&mut child).await, ["ready"]);
    for number in 0..WAITERS {
        child.send(&number.to_string());
    }
    until_waiting(&server, NAME, WAITERS as i64).await;
    let mut waits = Vec::new();
    for place in 1..=BEHIND {
        let lock = lock.clone();
        waits.push(tokio::spawn(async move { lock.lock().await.unwrap().release().await }));
        until_waiting(&server, NAME, (WAITERS + place) as i64).await;
    }
    let mut resp = server.resp().await;
    let before = published(&mut resp).await;
    child.kill();
    let killed = BootInstant::now();
    until_listening(&server, 1).await;
    guard.release().await.unwrap();
    assert_eq!(waiting(&mut resp, NAME).await, (WAITERS + BEHIND) as i64, "a place was lost");
    for wait in waits {
        soon("all who live are served", wait).await.unwrap().unwrap();
    }
    let took = killed.elapsed();
    assert!(took < ms(PLACE_MS + 2_500), "served {took:?} after the death");
    soon("the dead are gone", only_fences(&server, NAME)).await;
    let messages = published(&mut resp).await - before;
    // Each who looks while a turn is kept tries once whether somebody hears it.
    let limit = 2 * (BEHIND as u64 + 1) + 3 * BEHIND as u64;
    assert!(messages <= limit, "{messages} messages, more than {limit}");
}

#[tokio::test]
async fn a_thousand_time_outs_and_a_dead_head_cost_one_ttl() {
    const PLACE_MS: u64 = 2_000;
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(60_000)).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    time_outs(&lock, times(1_000, 10_000)).await;
    let mut head = spawn("holder", server.port(), NAME, PLACE_MS);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_waiting(&server, NAME, 1).await;
    let waits = tokio::spawn(async move { (lock.lock().await.unwrap(), BootInstant::now()) });
    until_waiting(&server, NAME, 2).await;
    until_listening(&server, 2).await;
    head.kill();
    let killed = BootInstant::now();
    until_listening(&server, 1).await;
    guard.release().await.unwrap();
    let (next, granted) = soon("the next one is granted", waits).await.unwrap();
    let took = granted.saturating_since(killed);
    assert!(took < ms(PLACE_MS + 1_000), "granted {took:?} after the death");
    next.release().await.unwrap();
}
