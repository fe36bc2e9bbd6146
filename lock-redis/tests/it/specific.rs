//! What only this driver has to show of queues and sharers.

use std::time::Duration;

use lock_conformance::time::{eventually, pause, scaled, soon};
use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Proxy, Redis};
use lockcore::Locks;

async fn client(port: u16) -> Locks {
    let config = RedisConfig::single("127.0.0.1", port);
    Locks::new(config.connect().await.unwrap())
}

async fn waits(locks: &Locks, name: &str, waiters: usize) {
    eventually("it waits", || async {
        locks.inspect(name).await.unwrap().waiters().len() == waiters
    })
    .await;
}

/// Between the end of a TTL and the look of the first waiter the lock is free; whoever comes then
/// lets the waiter go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_does_not_overtake_after_an_expiry() {
    let server = Redis::options(Flavour::Redis).start().await;
    let proxy = Proxy::resp(server.addr()).await;
    let (slow, new) = (client(proxy.addr().port()).await, client(server.port()).await);
    let mut resp = server.resp().await;
    let ttl = scaled(Duration::from_millis(500)).as_millis().to_string();
    resp.command(&["SET", "leasehold:name", "somebody", "PX", &ttl]).await;
    let waiter = tokio::spawn({
        let mutex = slow.mutex("name").unwrap();
        async move { mutex.lock().await }
    });
    waits(&new, "name", 1).await;
    // It cannot look, but the server believes that it listens.
    proxy.cut();
    eventually("the end of the TTL", || async {
        let mut resp = server.resp().await;
        resp.command(&["EXISTS", "leasehold:name"]).await.as_int() == Some(0)
    })
    .await;
    assert!(new.mutex("name").unwrap().try_lock().await.unwrap().is_none(), "overtaken");
    proxy.restore();
    let guard = soon("the waiter goes", waiter).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

/// One of several that have died: its place is free when its own TTL is over, though others hold on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_sharer_is_pruned() {
    let server = Redis::options(Flavour::Redis).start().await;
    let proxy = Proxy::resp(server.addr()).await;
    let (dies, lives) = (client(proxy.addr().port()).await, client(server.port()).await);
    let brief = scaled(Duration::from_millis(500));
    let dead = dies.semaphore("name", 2).unwrap().ttl(brief).acquire().await.unwrap();
    let slots = lives.semaphore("name", 2).unwrap();
    let held = slots.acquire().await.unwrap();
    assert!(slots.try_acquire().await.unwrap().is_none());
    proxy.cut();
    let next = soon("the place of the dead", slots.acquire()).await.unwrap();
    assert!(!dead.is_held() && held.is_held());
    next.release().await.unwrap();
    held.release().await.unwrap();
}

/// They have no key of their own to be renewed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharers_and_permits_are_renewed() {
    let server = Redis::options(Flavour::Redis).start().await;
    let (locks, other) = (client(server.port()).await, client(server.port()).await);
    let brief = scaled(Duration::from_millis(500));
    let readers = locks.rw_lock("table").unwrap().ttl(brief);
    let (one, two) = (readers.read().await.unwrap(), readers.read().await.unwrap());
    let slot = locks.semaphore("slots", 1).unwrap().ttl(brief).acquire().await.unwrap();
    pause(brief * 3).await;
    assert!(one.is_held() && two.is_held() && slot.is_held());
    assert!(other.rw_lock("table").unwrap().try_write().await.unwrap().is_none());
    assert!(other.semaphore("slots", 1).unwrap().try_acquire().await.unwrap().is_none());
    for guard in [one, two, slot] {
        guard.release().await.unwrap();
    }
    assert!(other.rw_lock("table").unwrap().try_write().await.unwrap().is_some());
}
