//! More is asked of a store than it can do in time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lock_conformance::fake::{FakeClient, FakeStore};
use lock_conformance::time::{eventually, scaled, soon};
use lockcore::{
    BootInstant, EngineConfig, ErrorKind, Lock as _, LockName, Mode, Request, Sessions,
    TryLock as _, Ttl,
};
use tokio::task::JoinSet;

const ALL: [Sessions; 3] = [Sessions::PerGrant, Sessions::Shared, Sessions::Connection];
const CLIENTS: usize = 4;
const WAITERS: usize = 400;

/// What one command costs the store, and what it may take: all of a crowd at once is four times that.
const COST: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_millis(500);
const _: () = assert!(COST.as_millis() * WAITERS as u128 >= 4 * LIMIT.as_millis());

fn client(store: &FakeStore, recheck: Duration) -> FakeClient {
    let config = EngineConfig::new().request_timeout(scaled(LIMIT)).recheck(scaled(recheck));
    store.client(config, None)
}

fn request(name: &str) -> Request {
    let request = Request::new(LockName::new(name).unwrap(), Mode::Exclusive);
    request.with_ttl(Ttl::new(scaled(Duration::from_secs(60))).unwrap()).unwrap()
}

/// Each of them is granted by its first acquisition, and costs the store a few commands.
#[tokio::test]
async fn a_crowd_that_comes_at_once_is_served() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| client(&store, Duration::from_secs(60))).collect();
        let holder = clients[0].engine.try_lock(&request("name")).await.unwrap().unwrap();
        store.costs(scaled(COST));
        let mut crowd = JoinSet::new();
        for number in 0..WAITERS {
            let engine = clients[number % CLIENTS].engine.clone();
            crowd.spawn(async move {
                let lease = engine.lock(&request("name")).await?;
                lease.release().await
            });
        }
        eventually("all have queued", || async { store.records() == WAITERS + 1 }).await;
        store.costs(Duration::ZERO);
        holder.release().await.unwrap();
        for served in soon("all are served", crowd.join_all()).await {
            served.unwrap();
        }
        let commands: usize = clients.iter().map(|client| client.link.commands()).sum();
        println!("{sessions:?}: {commands} commands for {WAITERS} waiters");
        assert!(commands <= 5 * WAITERS, "{commands} commands for {WAITERS} waiters");
    }
}

/// However many wait and look again and again, who wants another lock is served as if there were few.
#[tokio::test]
async fn those_who_wait_stand_in_nobodys_way() {
    for sessions in [Sessions::Shared, Sessions::Connection] {
        let store = FakeStore::new(sessions);
        let (crowded, other) = (client(&store, LIMIT / 5), client(&store, LIMIT / 5));
        let holder = other.engine.try_lock(&request("name")).await.unwrap().unwrap();
        let mut crowd = JoinSet::new();
        for _ in 0..WAITERS {
            let engine = crowded.engine.clone();
            crowd.spawn(async move { engine.lock(&request("name")).await.map(drop) });
        }
        eventually("all have queued", || async { store.records() == WAITERS + 1 }).await;
        store.costs(scaled(COST));
        let begun = crowded.link.commands();
        let looks = || async { crowded.link.commands() >= begun + WAITERS / 2 };
        eventually("they look", looks).await;

        let begun = BootInstant::now();
        for _ in 0..10 {
            let free = other.engine.try_lock(&request("another")).await.unwrap().unwrap();
            free.release().await.unwrap();
        }
        let took = begun.elapsed();
        // Each of these twenty commands may have a few looks before it.
        assert!(took < scaled(LIMIT) * 5, "{took:?} for ten locks that nobody else wants");
        crowd.abort_all();
        holder.release().await.unwrap();
    }
}

/// A store that says nothing: whoever could not even ask is told so as soon as that is clear.
#[tokio::test]
async fn nobody_waits_long_for_a_store_that_is_silent() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store, Duration::from_secs(60));
        let warm = client.engine.try_lock(&request("name")).await.unwrap().unwrap();
        client.link.cut();
        let begun = BootInstant::now();
        let mut crowd = JoinSet::new();
        for number in 0..WAITERS {
            let engine = client.engine.clone();
            let request = request(&format!("name/{number}"));
            crowd.spawn(async move { engine.try_lock(&request).await });
        }
        let ends = soon("all are told", crowd.join_all()).await;
        let took = begun.elapsed();
        for end in ends {
            let kind = end.unwrap_err().kind();
            assert!(
                matches!(kind, ErrorKind::Indeterminate | ErrorKind::Unavailable),
                "{kind:?} of a store that is silent"
            );
        }
        assert!(took < scaled(LIMIT) * 6, "told after {took:?}");
        client.link.restore();
        warm.release().await.unwrap();
        eventually("nothing is left", || async { store.records() == 0 }).await;
        soon("shutdown", client.engine.shutdown()).await.unwrap();
    }
}
