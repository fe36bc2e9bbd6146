//! What is sent, and how much of it.

use lock_conformance::time::{pause, soon};
use lock_testkit::{Frame, FrameKind, Proxy, Zk};

use crate::stage::{LONG, NAME, config, connect, ms, ttl, until_nodes, until_watched};

const HELD: usize = 200;

/// What was asked for, without pings.
fn asked(proxy: &Proxy) -> Vec<String> {
    let record = proxy.record();
    let requests = record.iter().filter(|frame| frame.kind == FrameKind::Request);
    let names = requests.map(|frame| frame.text.split(' ').next().unwrap().to_owned());
    names.filter(|name| name != "ping").collect()
}

#[tokio::test]
async fn a_free_lock_costs_one_burst_and_its_release_one_request() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    let mut trips = Vec::new();
    for _ in 0..10 {
        proxy.clear_record();
        let guard = lock.lock().await.unwrap();
        assert_eq!(asked(&proxy), ["create", "getChildren"]);
        trips.push(Frame::round_trips(&proxy.record()));
        proxy.clear_record();
        guard.release().await.unwrap();
        assert_eq!(asked(&proxy), ["delete"]);
    }
    // The client library may write them apart, and leaves Nagle's algorithm on: then the second one
    // waits until the first is acknowledged, by its answer at the latest.
    println!("{trips:?} trips");
    assert!(trips.iter().all(|trips| *trips <= 2), "{trips:?} trips");
    // One that must not wait looks first.
    proxy.clear_record();
    let guard = lock.try_lock().await.unwrap().unwrap();
    assert_eq!(asked(&proxy), ["sync", "getChildren", "create", "getChildren"]);
    guard.release().await.unwrap();
}

#[tokio::test]
async fn one_that_waits_sends_little() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let holder = connect(config(server.port()), LONG).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    proxy.clear_record();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_nodes(&server, NAME, 2).await;
    until_watched(&server, 2).await;
    // Past the time of one look of its own, a fifth later or not.
    pause(ms(6_000)).await;
    let sent = asked(&proxy);
    // Both are watched, and then seen to be there.
    assert_eq!(sent, ["create", "getChildren", "exists", "exists", "exists", "exists"]);
    proxy.clear_record();
    guard.release().await.unwrap();
    let guard = soon("the waiter is granted", waits).await.unwrap().unwrap();
    // It was the first, so it needs not ask.
    assert_eq!(asked(&proxy), [""; 0]);
    guard.release().await.unwrap();
    until_watched(&server, 0).await;
}

#[tokio::test]
async fn many_locks_are_kept_by_one_message() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), ttl(3_000)).await;
    let mut guards = Vec::new();
    for number in 0..HELD {
        let lock = locks.mutex(format!("name-{number}")).unwrap();
        guards.push(lock.lock().await.unwrap());
    }
    proxy.clear_record();
    let periods = 3;
    pause(ttl(3_000) / 3 * periods + ms(300)).await;
    let sent = asked(&proxy);
    println!("{HELD} locks, {periods} periods: {sent:?}");
    let of = |name: &str| sent.iter().filter(|sent| *sent == name).count();
    let expected = periods as usize - 1..=periods as usize + 1;
    assert!(expected.contains(&of("multi")), "{sent:?}");
    assert!(of("getEphemerals") <= of("multi"), "{sent:?}");
    assert_eq!(sent.len(), of("multi") + of("getEphemerals"), "{sent:?}");
    assert!(guards.iter().all(lockcore::Guard::is_held));
}
