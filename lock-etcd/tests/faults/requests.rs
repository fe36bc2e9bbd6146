//! What is sent, and how much of it.

use std::time::Duration;

use lock_conformance::time::{pause, soon};
use lock_testkit::GrpcProxy;

use crate::stage::{LONG, config, connect, etcd, ms, ttl, until_keys};

const HELD: usize = 200;

#[tokio::test]
async fn a_free_lock_costs_one_transaction_and_so_does_its_release() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let lock = locks.mutex("name").unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    for tries in [false, true] {
        let before = proxy.record().len();
        let guard = match tries {
            true => lock.try_lock().await.unwrap().unwrap(),
            false => lock.lock().await.unwrap(),
        };
        guard.release().await.unwrap();
        let sent = &proxy.record()[before..];
        assert_eq!(sent, ["/etcdserverpb.KV/Txn"; 2]);
    }
}

#[tokio::test]
async fn one_that_waits_sends_little() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let holder = connect(config(server.port()), LONG).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let lock = locks.mutex("name").unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    let guard = holder.mutex("name").unwrap().lock().await.unwrap();
    let before = proxy.record().len();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_keys(&server, "name", 2).await;
    // Past the time of one look of its own, a fifth later or not.
    pause(Duration::from_secs(6)).await;
    let sent = proxy.record()[before..].to_vec();
    println!("one waiter, six seconds: {sent:?}");
    // It queues, watches, looks when that has begun, and once more after five seconds.
    assert!(sent.len() <= 5, "{sent:?}");
    guard.release().await.unwrap();
    soon("the waiter is granted", waits).await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn many_locks_are_kept_by_one_message() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), ttl(3)).await;
    let mut guards = Vec::new();
    for number in 0..HELD {
        let lock = locks.mutex(format!("name-{number}")).unwrap();
        guards.push(lock.lock().await.unwrap());
    }
    let path = "Lease/LeaseKeepAlive";
    let (calls, messages) = (proxy.calls(path), proxy.messages_to_server(path));
    let periods = 3;
    pause(ttl(3) / 3 * periods + ms(300)).await;
    let sent = proxy.messages_to_server(path) - messages;
    println!("{HELD} locks, {periods} periods: {sent} messages");
    assert!((u64::from(periods) - 1..=u64::from(periods) + 1).contains(&sent), "{sent} messages");
    assert!(proxy.calls(path) <= calls + 1, "a stream for each renewal");
    assert!(guards.iter().all(lockcore::Guard::is_held));
}
