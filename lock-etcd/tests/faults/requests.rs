//! What is sent, and how much of it.

use std::time::Duration;

use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Etcd, EtcdVersion, GrpcProxy};
use lockcore::{ErrorKind, Guard, Locks, Result};
use tokio::task::JoinHandle;

use crate::stage::{
    LONG, VERSIONS, config, connect, etcd, keys, ms, nothing_left, server, ttl, until_keys,
};

const HELD: usize = 200;
const NAME: &str = "name";
const TXN: &str = "KV/Txn";
const WATCH: &str = "Watch/Watch";

/// What the one who waits wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mutex,
    Reader,
    Permit,
}

/// A server with a way to it on which requests are counted. Who uses it looks when something is told,
/// and never else.
struct Counted {
    server: Etcd,
    proxy: GrpcProxy,
    locks: Locks,
    other: Locks,
}

impl Counted {
    async fn new(version: EtcdVersion) -> Self {
        let server = server(version).await;
        let proxy = GrpcProxy::start(server.addr()).await;
        let watchful = config(proxy.addr().port()).recheck(LONG).unwrap();
        let locks = connect(watchful, LONG).await;
        let other = connect(config(server.port()), LONG).await;
        locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        Self { server, proxy, locks, other }
    }

    /// Waits behind all who are there, until nothing is left to be asked for.
    async fn waits(&self, kind: Kind) -> JoinHandle<Result<Guard>> {
        let before = keys(&self.server, NAME).await.len();
        let (watched, answers) = self.asked();
        let locks = self.locks.clone();
        let waits = tokio::spawn(async move {
            match kind {
                Kind::Mutex => locks.mutex(NAME)?.lock().await,
                Kind::Reader => locks.rw_lock(NAME)?.read().await,
                Kind::Permit => locks.semaphore(NAME, 1)?.acquire().await,
            }
        });
        until_keys(&self.server, NAME, before + 1).await;
        // It has queued, and looked when the watch had begun.
        self.settles(watched + 1, answers + 2).await;
        waits
    }

    /// How many watches have begun or told something, and how many transactions were answered.
    fn asked(&self) -> (u64, u64) {
        (self.proxy.messages_to_client(WATCH), self.proxy.messages_to_client(TXN))
    }

    async fn settles(&self, watched: u64, answers: u64) {
        let settled = || async {
            let (now, answered) = self.asked();
            now >= watched && answered >= answers
        };
        eventually("it watches and has looked", settled).await;
        // What is answered on the same connection after that was taken in after it.
        self.locks.inspect("elsewhere").await.unwrap();
    }

    /// What was sent while this was done.
    async fn sent<T>(&self, done: impl Future<Output = T>) -> (Vec<String>, T) {
        let before = self.proxy.record().len();
        let done = done.await;
        (self.proxy.record()[before..].to_vec(), done)
    }
}

#[tokio::test]
async fn a_free_lock_costs_one_transaction_and_so_does_its_release() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
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
    let lock = locks.mutex(NAME).unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
    let before = proxy.record().len();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_keys(&server, NAME, 2).await;
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

/// The event says it all: the only one before it has left.
#[tokio::test]
async fn a_hand_over_to_the_only_one_who_waits_costs_it_no_request() {
    for version in VERSIONS {
        let stage = Counted::new(version).await;
        for kind in [Kind::Mutex, Kind::Reader, Kind::Permit] {
            let holder = alone(&stage.other, kind).await;
            let next = stage.waits(kind).await;
            let token = holder.token();
            let (sent, next) = stage
                .sent(async {
                    holder.release().await.unwrap();
                    soon("its turn", next).await.unwrap().unwrap()
                })
                .await;
            assert_eq!(sent, [""; 0], "{version:?}, {kind:?}");
            let keys = keys(&stage.server, NAME).await;
            assert_eq!(keys.len(), 1, "{version:?}, {kind:?}: {keys:?}");
            assert_eq!(keys[0].create_revision as u64, next.token().as_u64());
            assert!(next.is_held() && next.token() > token);
            next.release().await.unwrap();
        }
        nothing_left(&stage.server).await;
    }
}

/// It heard of itself before it heard of the one before it.
#[tokio::test]
async fn one_that_was_taken_out_while_it_waited_is_not_granted() {
    for version in VERSIONS {
        let stage = Counted::new(version).await;
        for is_deleted in [true, false] {
            let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
            let next = stage.waits(Kind::Mutex).await;
            let own = keys(&stage.server, NAME).await.remove(1);
            match is_deleted {
                true => assert!(stage.server.delete(&own.key).await),
                false => stage.server.revoke_lease(own.lease).await,
            }
            holder.release().await.unwrap();
            let error = soon("it is told", next).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Lost, "{version:?}, {is_deleted}: {error}");
            nothing_left(&stage.server).await;
        }
    }
}

/// Whoever has left may have been one who waited. When that is looked up, and only the holder is left,
/// the next event says it all.
#[tokio::test]
async fn one_who_gives_up_is_not_taken_for_the_holder() {
    for version in VERSIONS {
        for kind in [Kind::Mutex, Kind::Reader, Kind::Permit] {
            let stage = Counted::new(version).await;
            let holder = alone(&stage.other, kind).await;
            let other = stage.other.clone();
            let between = tokio::spawn(async move { alone(&other, kind).await });
            until_keys(&stage.server, NAME, 2).await;
            let last = stage.waits(kind).await;
            let (watched, answers) = stage.asked();
            let (sent, ()) = stage
                .sent(async {
                    between.abort();
                    // The event, and the next watch; who is before it, and once more when that has begun.
                    stage.settles(watched + 2, answers + 2).await;
                })
                .await;
            assert!(
                sent.iter().filter(|path| path.ends_with(TXN)).count() >= 2,
                "{version:?}, {kind:?}: {sent:?}"
            );
            assert!(
                !last.is_finished() && holder.is_held(),
                "{version:?}, {kind:?}: granted beside the holder"
            );
            let (sent, last) = stage
                .sent(async {
                    holder.release().await.unwrap();
                    soon("its turn", last).await.unwrap().unwrap()
                })
                .await;
            assert_eq!(sent, [""; 0], "{version:?}, {kind:?}");
            last.release().await.unwrap();
            nothing_left(&stage.server).await;
        }
    }
}

/// Whoever keeps out one of this kind: a writer keeps out readers.
async fn alone(locks: &Locks, kind: Kind) -> Guard {
    match kind {
        Kind::Mutex => locks.mutex(NAME).unwrap().lock().await.unwrap(),
        Kind::Reader => locks.rw_lock(NAME).unwrap().write().await.unwrap(),
        Kind::Permit => locks.semaphore(NAME, 1).unwrap().acquire().await.unwrap(),
    }
}

/// It knows of no more than that the one before it has left, so it looks.
#[tokio::test]
async fn a_hand_over_to_one_who_had_two_before_it_costs_it_a_look() {
    for version in VERSIONS {
        let stage = Counted::new(version).await;
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let between = stage.other.mutex(NAME).unwrap();
        let between = tokio::spawn(async move { between.lock().await });
        until_keys(&stage.server, NAME, 2).await;
        let last = stage.waits(Kind::Mutex).await;
        holder.release().await.unwrap();
        let between = soon("its turn", between).await.unwrap().unwrap();
        let (sent, last) = stage
            .sent(async {
                between.release().await.unwrap();
                soon("its turn", last).await.unwrap().unwrap()
            })
            .await;
        let looks = sent.iter().filter(|path| path.ends_with(TXN)).count();
        assert_eq!(looks, 1, "{version:?}: {sent:?}");
        last.release().await.unwrap();
        nothing_left(&stage.server).await;
    }
}
