//! What only ZooKeeper has: events, and how a wait uses them; and a client that keeps sessions alive.

use std::sync::Arc;
use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::{Proxy, Zk, zk_request};
use lock_zk::{ZkConfig, ZkLock};
use lockcore::{BootInstant, Lock, LockName, Mode, Renewal, Request, Ttl};
use tokio::task::JoinHandle;

/// A client that looks of its own accord in ten seconds for the first time.
async fn client(port: u16) -> Arc<ZkLock> {
    let config = ZkConfig::new([("127.0.0.1", port)]).recheck(Duration::from_secs(3_600));
    Arc::new(config.unwrap().connect().await.unwrap())
}

fn request(mode: Mode, ttl: Duration) -> Request {
    let ttl = Ttl::new(ttl).unwrap();
    Request::new(LockName::new("name").unwrap(), mode).with_ttl(ttl).unwrap()
}

fn wait(client: &Arc<ZkLock>, mode: Mode) -> JoinHandle<BootInstant> {
    let client = client.clone();
    tokio::spawn(async move {
        let lease = client.lock(&request(mode, LONG)).await.unwrap();
        let granted = BootInstant::now();
        lease.release().await.unwrap();
        granted
    })
}

async fn queue_has(server: &Zk, count: usize) {
    eventually("the queue", || async { server.children(DIRECTORY).await.len() == count }).await;
}

/// A waiter is woken by the event, not by its next look, and leaves no watch.
#[tokio::test]
async fn a_release_wakes_the_next_one_at_once() {
    let server = Zk::start().await;
    let client = client(server.port()).await;
    for mode in [Mode::Exclusive, Mode::Shared] {
        let holder = client.lock(&request(Mode::Exclusive, LONG)).await.unwrap();
        let waiter = wait(&client, mode);
        queue_has(&server, 2).await;
        // The one before, and its own.
        eventually("it watches", || async { server.watch_count().await == 2 }).await;
        let released = BootInstant::now();
        holder.release().await.unwrap();
        let granted = soon("its turn", waiter).await.unwrap();
        let pause = granted.saturating_since(released);
        assert!(pause < scaled(PROMPT), "woken by its look: {pause:?}");
        eventually("nobody watches", || async { server.watch_count().await == 0 }).await;
    }
}

/// Whoever it waits for leaves before the watch has begun: no event will come.
#[tokio::test]
async fn what_happened_before_the_watch_is_not_missed() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let (holders, waiters) = (client(server.port()).await, client(proxy.addr().port()).await);
    let holder = holders.lock(&request(Mode::Exclusive, LONG)).await.unwrap();
    let held_back = proxy.hold_requests(zk_request("exists", "-lock-"));
    let waiter = wait(&waiters, Mode::Exclusive);
    queue_has(&server, 2).await;
    held_back.held(scaled(PROMPT)).await;
    holder.release().await.unwrap();
    let begun = BootInstant::now();
    held_back.release();
    let granted = soon("its turn", waiter).await.unwrap();
    assert!(granted <= begun.saturating_add(scaled(PROMPT)), "found by its next look");
}

/// The client library would keep a session that was given up alive, with all that stands in it.
#[tokio::test]
async fn a_session_that_was_given_up_is_ended() {
    let server = Zk::start().await;
    let client = client(server.port()).await;
    let ttl = scaled(Duration::from_secs(1));
    let lease = client.lock(&request(Mode::Exclusive, ttl)).await.unwrap();
    server.kill();
    soon("the loss", lease.lost()).await;
    // It begins with the whole TTL of all its sessions.
    server.restart().await;
    queue_has(&server, 0).await;
    eventually("no session", || async { server.sessions().await.is_empty() }).await;
    let again = client.lock(&request(Mode::Exclusive, ttl)).await.unwrap();
    assert!(again.token() > lease.token());
}

/// Holds that end by themselves cost no connection.
#[tokio::test]
async fn a_client_has_one_session() {
    let server = Zk::start().await;
    let client = client(server.port()).await;
    let mut leases = Vec::new();
    for number in 0..20 {
        let name = LockName::new(format!("name {number}")).unwrap();
        for renewal in [Renewal::Auto, Renewal::Never, Renewal::AutoUntil(LONG * 2)] {
            let request =
                Request::new(name.clone(), Mode::Shared).with_ttl(Ttl::new(LONG).unwrap());
            let request = request.unwrap().with_renewal(renewal).unwrap();
            leases.push(client.lock(&request).await.unwrap());
        }
    }
    let sessions = server.sessions().await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0].ephemerals.len(), leases.len());
    client.shutdown().await.unwrap();
    eventually("no session", || async { server.sessions().await.is_empty() }).await;
}

const DIRECTORY: &str = "/leasehold/name";
const LONG: Duration = Duration::from_secs(30);
const PROMPT: Duration = Duration::from_secs(2);
