//! What only etcd has: events, and how a wait uses them.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, SortOrder, SortTarget};
use lock_conformance::time::{eventually, soon};
use lock_etcd::{EtcdConfig, EtcdLock};
use lock_testkit::{Etcd, EtcdVersion, GrpcProxy};
use lockcore::{BootInstant, Lock, LockName, Mode, Request, TryLock, Ttl};
use tokio::task::JoinHandle;

/// A client that looks of its own accord in ten seconds for the first time.
async fn client(port: u16) -> Arc<EtcdLock> {
    let config = EtcdConfig::new([("127.0.0.1", port)]).recheck(Duration::from_secs(3_600));
    Arc::new(config.unwrap().connect().await.unwrap())
}

fn request(mode: Mode) -> Request {
    let ttl = Ttl::new(Duration::from_secs(30)).unwrap();
    Request::new(LockName::new("name").unwrap(), mode).with_ttl(ttl).unwrap()
}

fn wait(client: &Arc<EtcdLock>, mode: Mode) -> JoinHandle<BootInstant> {
    let client = client.clone();
    tokio::spawn(async move {
        let lease = client.lock(&request(mode)).await.unwrap();
        let granted = BootInstant::now();
        lease.release().await.unwrap();
        granted
    })
}

async fn queue_has(server: &Etcd, count: usize) {
    eventually("the queue", || async { server.keys("leasehold/name/").await.len() == count }).await;
}

const PROMPT: Duration = Duration::from_secs(2);

/// A waiter is woken by the event, not by its next look.
#[tokio::test]
async fn a_release_wakes_the_next_one_at_once() {
    for version in [EtcdVersion::V3_7, EtcdVersion::V3_4] {
        let server = Etcd::options(version).start().await;
        let client = client(server.port()).await;
        for mode in [Mode::Exclusive, Mode::Shared] {
            let holder = client.lock(&request(Mode::Exclusive)).await.unwrap();
            let waiter = wait(&client, mode);
            queue_has(&server, 2).await;
            eventually("it watches", || async { server.watchers().await == 1 }).await;
            let released = BootInstant::now();
            holder.release().await.unwrap();
            let granted = soon("its turn", waiter).await.unwrap();
            let pause = granted.as_nanos() - released.as_nanos();
            assert!(Duration::from_nanos(pause) < PROMPT, "woken by its look: {pause} ns");
            eventually("nobody watches", || async { server.watchers().await == 0 }).await;
        }
    }
}

/// Whoever it waits for leaves before the watch has begun: no event will come.
#[tokio::test]
async fn what_happened_before_the_watch_is_not_missed() {
    let server = Etcd::options(EtcdVersion::V3_7).start().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let (holders, waiters) = (client(server.port()).await, client(proxy.addr().port()).await);
    let holder = holders.lock(&request(Mode::Exclusive)).await.unwrap();
    let held_back = proxy.hold_requests("Watch/Watch");
    let waiter = wait(&waiters, Mode::Exclusive);
    queue_has(&server, 2).await;
    eventually("the watch is asked for", || async { proxy.calls("Watch/Watch") == 1 }).await;
    holder.release().await.unwrap();
    let begun = BootInstant::now();
    held_back.release();
    let granted = soon("its turn", waiter).await.unwrap();
    assert!(granted <= begun.saturating_add(PROMPT), "found by its next look");
}

/// A request that stays on its way until what it asked for was taken back does nothing when it
/// arrives.
#[tokio::test]
async fn a_request_that_comes_late_does_nothing() {
    let server = Etcd::options(EtcdVersion::V3_7).start().await;
    let ways = [GrpcProxy::start(server.addr()).await, GrpcProxy::start(server.addr()).await];
    let config = EtcdConfig::new(ways.iter().map(|way| ("127.0.0.1", way.addr().port())));
    let config = config.request_timeout(Duration::from_millis(300)).unwrap();
    let client = config.connect().await.unwrap();
    client.lock(&request(Mode::Exclusive)).await.unwrap().release().await.unwrap();

    let permit = Mode::Permit { of: 2.try_into().unwrap() };
    for (mode, waits) in
        [(Mode::Exclusive, true), (Mode::Exclusive, false), (Mode::Shared, false), (permit, true)]
    {
        // The client goes one way, until nothing comes back from there.
        let used = ways.iter().find(|way| way.connections() > 0).unwrap();
        let late = used.hold_requests("KV/Txn");
        let lease = if waits {
            client.lock(&request(mode)).await.unwrap()
        } else {
            client.try_lock(&request(mode)).await.unwrap().unwrap()
        };
        lease.release().await.unwrap();
        queue_has(&server, 0).await;
        let before = server.rpcs("Txn").await;
        late.release();
        eventually("it arrives", || async { server.rpcs("Txn").await > before }).await;
        assert_eq!(server.keys("leasehold/name/").await, [], "{mode}: a ghost");
        // What was held back has gone with its connection.
        eventually("one way", || async {
            ways.iter().filter(|way| way.connections() > 0).count() == 1
        })
        .await;
    }
    client.shutdown().await.unwrap();
    assert_eq!(server.keys("").await, []);
    assert!(server.leases().await.is_empty());
}

/// A waiter that counts two knows that it is the next one. It may count those behind it as well, and
/// must not leave out any who are before it.
#[tokio::test]
async fn a_count_leaves_out_nobody_who_came_before() {
    for version in [EtcdVersion::V3_7, EtcdVersion::V3_4] {
        let server = Etcd::options(version).start().await;
        let mut client =
            etcd_client::Client::connect([server.addr().to_string()], None).await.unwrap();
        let mut revisions = Vec::new();
        for key in ["count/c", "count/a", "count/b"] {
            revisions.push(server.put(key, "").await);
        }
        for (before, revision) in revisions.into_iter().enumerate() {
            let options = GetOptions::new()
                .with_prefix()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_limit(1)
                .with_max_create_revision(revision)
                .with_keys_only();
            let found = client.get("count/", Some(options)).await.unwrap();
            assert_eq!(found.kvs()[0].create_revision(), revision);
            assert!(found.count() > before as i64, "{version:?}: {} counted", found.count());
            println!("{version:?}: {} of 3 are counted, {} came later", found.count(), 2 - before);
        }
    }
}
