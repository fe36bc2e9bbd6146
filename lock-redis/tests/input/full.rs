//! A server that has reached its `maxmemory`.

use std::time::Duration;

use lock_conformance::time::{pause, scaled, soon};
use lock_testkit::{Flavour, Redis, RedisOptions};
use lockcore::ErrorKind::Unavailable;
use lockcore::{Guard, Locks};

use super::{at, connect, fails, keys, run, says, waiting};

#[tokio::test]
async fn a_full_server_takes_no_lock_and_keeps_nothing_of_the_attempt() {
    let (server, locks) = start(Flavour::Redis).await;
    fill(&server).await;
    let before = keys(&server).await;
    for _ in 0..2 {
        let error = fails("a mutex", locks.mutex("new").unwrap().lock()).await;
        says(&error, Unavailable, &["lock", "maxmemory"]);
        let error = fails("a reader", locks.rw_lock("new").unwrap().read()).await;
        says(&error, Unavailable, &["lock", "maxmemory"]);
        let error = fails("a permit", locks.semaphore("new", 2).unwrap().acquire()).await;
        says(&error, Unavailable, &["lock", "maxmemory"]);
    }
    assert_eq!(keys(&server).await, before);
    run(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    locks.mutex("new").unwrap().lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_full_redis_lets_holders_and_waiters_go_on() {
    go_on(Flavour::Redis).await;
}

#[tokio::test]
async fn a_full_valkey_lets_holders_and_waiters_go_on() {
    go_on(Flavour::Valkey).await;
}

async fn go_on(flavour: Flavour) {
    let (server, locks) = start(flavour).await;
    let (ttl, names) = (scaled(Duration::from_millis(900)), ["mutex", "rw", "semaphore"]);
    let held = [
        locks.mutex("mutex").unwrap().ttl(ttl).lock().await.unwrap(),
        locks.rw_lock("rw").unwrap().ttl(ttl).read().await.unwrap(),
        locks.semaphore("semaphore", 1).unwrap().ttl(ttl).acquire().await.unwrap(),
    ];
    // A longer TTL beside it, so that there is nothing to extend but one's own record.
    let beside = locks.rw_lock("rw").unwrap().ttl(ttl * 20).read().await.unwrap();
    let mutex = locks.mutex("mutex").unwrap().ttl(ttl);
    let rw_lock = locks.rw_lock("rw").unwrap().ttl(ttl);
    let semaphore = locks.semaphore("semaphore", 1).unwrap().ttl(ttl);
    let queued = [
        tokio::spawn(async move { mutex.lock().await }),
        tokio::spawn(async move { rw_lock.write().await }),
        tokio::spawn(async move { semaphore.acquire().await }),
    ];
    for name in names {
        waiting(&locks, name, 1).await;
    }
    fill(&server).await;

    // Who comes now may do all but take a lock.
    let late = connect(at(&server)).await;
    assert_eq!(late.inspect("rw").await.unwrap().waiters().len(), 1);
    // Holders are renewed and waiters keep their places, for longer than a TTL.
    pause(ttl * 2).await;
    assert!(held.iter().all(Guard::is_held), "{held:?}");
    assert!(queued.iter().all(|queued| !queued.is_finished()));
    let tokens = held.each_ref().map(Guard::token);
    for guard in held.into_iter().chain([beside]) {
        soon("a release", guard.release()).await.unwrap();
    }
    for (queued, token) in queued.into_iter().zip(tokens) {
        let next = soon("the waiter's turn", queued).await.unwrap().unwrap();
        assert!(next.token() > token);
        pause(ttl).await;
        assert!(next.is_held(), "{next:?}");
        soon("a release", next.release()).await.unwrap();
    }
    for name in names {
        assert!(locks.inspect(name).await.unwrap().is_free());
    }
}

#[tokio::test]
async fn a_waiter_of_a_full_server_may_go() {
    let (server, locks) = start(Flavour::Redis).await;
    let held = locks.mutex("left").unwrap().lock().await.unwrap();
    let mutex = locks.mutex("left").unwrap();
    let queued = tokio::spawn(async move { mutex.lock().await });
    waiting(&locks, "left", 1).await;
    fill(&server).await;
    queued.abort();
    waiting(&locks, "left", 0).await;
    held.release().await.unwrap();
    assert!(locks.inspect("left").await.unwrap().is_free());
}

async fn start(flavour: Flavour) -> (Redis, Locks) {
    let server = RedisOptions::new(flavour).max_memory("100mb").start().await;
    let locks = connect(at(&server)).await;
    (server, locks)
}

/// Makes the server as full as it can be.
async fn fill(server: &Redis) {
    run(server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let reply = server.resp().await.command(&["SET", "more", "x"]).await;
    assert!(reply.as_error().is_some_and(|error| error.starts_with("OOM")), "{reply:?}");
}
