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

/// A client whose waiters hardly look by themselves.
async fn patient(port: u16) -> Locks {
    let config = RedisConfig::single("127.0.0.1", port).recheck(Duration::from_secs(60));
    Locks::new(config.unwrap().connect().await.unwrap()).ttl(Duration::from_secs(60)).unwrap()
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

/// A hand-over is a message, not a look: the waiters here would look in twenty seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_needs_no_look() {
    let server = Redis::options(Flavour::Redis).start().await;
    let (locks, other) = (patient(server.port()).await, patient(server.port()).await);
    let holder = locks.mutex("name").unwrap().lock().await.unwrap();
    let mut waiters = Vec::new();
    for place in 0..4 {
        let mutex = if place % 2 == 0 { &locks } else { &other }.mutex("name").unwrap();
        waiters.push(tokio::spawn(async move { mutex.lock().await }));
        waits(&locks, "name", place + 1).await;
    }
    let mut last = holder.token();
    holder.release().await.unwrap();
    for waiter in waiters {
        let guard = soon("its turn", waiter).await.unwrap().unwrap();
        assert!(guard.token() > last);
        last = guard.token();
        guard.release().await.unwrap();
    }
}

/// Neither is the departure of a writer that readers wait behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_when_the_writer_before_them_gives_up() {
    let server = Redis::options(Flavour::Redis).start().await;
    let locks = patient(server.port()).await;
    let table = locks.rw_lock("table").unwrap();
    let reader = table.read().await.unwrap();
    let writer = tokio::spawn({
        let table = table.clone();
        async move { table.write().await }
    });
    waits(&locks, "table", 1).await;
    let behind = tokio::spawn({
        let table = table.clone();
        async move { table.read().await }
    });
    waits(&locks, "table", 2).await;
    writer.abort();
    let second = soon("the reader behind it", behind).await.unwrap().unwrap();
    second.release().await.unwrap();
    reader.release().await.unwrap();
}

/// Somebody else's value under our key: it is neither renewed nor removed, and we learn of our loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_extends_nobody_else() {
    let server = Redis::options(Flavour::Redis).start().await;
    let locks = client(server.port()).await;
    let brief = scaled(Duration::from_millis(600));
    let guard = locks.mutex("name").unwrap().ttl(brief).lock().await.unwrap();
    let mut resp = server.resp().await;
    resp.command(&["SET", "leasehold:name", "theirs"]).await;
    soon("the loss", guard.lost()).await;
    assert_eq!(resp.command(&["PTTL", "leasehold:name"]).await.as_int(), Some(-1), "it has a TTL");
    guard.release().await.unwrap_err();
    assert_eq!(resp.command(&["GET", "leasehold:name"]).await.as_str(), Some("theirs"));
}

/// A colon in a prefix is not one in a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_are_apart() {
    let server = Redis::options(Flavour::Redis).start().await;
    let mut held = Vec::new();
    for (prefix, name) in [("a", "b:c"), ("a:b", "c"), ("", "a:b:c"), ("", "{a:b:c}:q")] {
        let config = RedisConfig::single("127.0.0.1", server.port()).prefix(prefix).unwrap();
        let locks = Locks::new(config.connect().await.unwrap());
        let guard = locks.mutex(name).unwrap().try_lock().await.unwrap();
        held.push(guard.unwrap_or_else(|| panic!("{prefix:?} {name:?} met another")));
    }
    for guard in held {
        guard.release().await.unwrap();
    }
}
