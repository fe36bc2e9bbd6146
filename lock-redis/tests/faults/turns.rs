//! Turns of those whom the server cannot tell.

use std::time::Duration;

use lock_conformance::time::{eventually, soon};
use lock_testkit::{HoldHandle, Proxy, Redis};
use lockcore::{BootInstant, Guard, Locks};
use tokio::task::JoinHandle;

use crate::stage::{
    config, connect, ms, only_fences, redis, until_listening, until_waiting, value,
};

const NAME: &str = "name";
/// So long that who waits looks every five seconds, and no sooner.
const TTL_MS: u64 = 60_000;

/// A holder's client, and one that may listen only when it is let.
struct Stage {
    server: Redis,
    proxy: Proxy,
    holder: Locks,
    waiter: Locks,
}

impl Stage {
    async fn new() -> Self {
        let server = redis().await;
        let proxy = Proxy::resp(server.addr()).await;
        let holder = connect(config(server.addr()), ms(TTL_MS)).await;
        let waiter = connect(config(proxy.addr()), ms(TTL_MS)).await;
        Self { server, proxy, holder, waiter }
    }

    /// Takes from the waiter's client what it listens by, and does not let it listen again.
    async fn deafens(&self) -> HoldHandle {
        let held = self.proxy.hold_requests(|words| words[0].eq_ignore_ascii_case(b"SUBSCRIBE"));
        let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
        assert_eq!(self.server.resp().await.command(&kill).await.as_int(), Some(2));
        held.held(Duration::from_secs(10)).await;
        until_listening(&self.server, 1).await;
        held
    }
}

/// Waits for a turn in a task of its own, until so many wait.
async fn waits<F>(stage: &Stage, wait: F, place: i64) -> JoinHandle<Guard>
where
    F: Future<Output = lockcore::Result<Guard>> + Send + 'static,
{
    let waits = tokio::spawn(async move { wait.await.unwrap() });
    until_waiting(&stage.server, NAME, place).await;
    waits
}

async fn gives_back(what: &str, waits: JoinHandle<Guard>) -> u64 {
    let guard = soon(what, waits).await.unwrap();
    let token = guard.token().as_u64();
    guard.release().await.unwrap();
    token
}

#[tokio::test]
async fn nobody_goes_before_one_that_cannot_be_told() {
    let stage = Stage::new().await;
    let (mutex, later) = (stage.waiter.mutex(NAME).unwrap(), stage.holder.mutex(NAME).unwrap());
    let guard = later.lock().await.unwrap();
    let first = waits(&stage, async move { mutex.lock().await }, 1).await;
    let lock = later.clone();
    let second = waits(&stage, async move { lock.lock().await }, 2).await;
    let subscriptions = stage.deafens().await;
    guard.release().await.unwrap();
    assert_eq!(value(&stage.server, NAME).await, None, "it was given to the second");
    assert!(later.try_lock().await.unwrap().is_none(), "a try went before both");
    assert!(!first.is_finished() && !second.is_finished());

    subscriptions.release();
    let first = gives_back("the first one, who looks", first).await;
    let second = gives_back("the second one, who is told", second).await;
    assert!(first < second);
    only_fences(&stage.server, NAME).await;
}

#[tokio::test]
async fn readers_go_before_a_reader_that_cannot_be_told_and_not_before_a_writer() {
    let stage = Stage::new().await;
    let (deaf, table) = (stage.waiter.rw_lock(NAME).unwrap(), stage.holder.rw_lock(NAME).unwrap());
    let guard = table.write().await.unwrap();
    let lock = deaf.clone();
    let reader = waits(&stage, async move { lock.read().await }, 1).await;
    let lock = table.clone();
    let second = waits(&stage, async move { lock.read().await }, 2).await;
    let writer = waits(&stage, async move { deaf.write().await }, 3).await;
    let lock = table.clone();
    let last = waits(&stage, async move { lock.read().await }, 4).await;
    let subscriptions = stage.deafens().await;
    guard.release().await.unwrap();
    // Both read at the same time, whoever is told first.
    let second = soon("a reader beside the first", second).await.unwrap();
    assert!(table.try_read().await.unwrap().is_none(), "a later reader went before a writer");
    assert!(!last.is_finished());
    second.release().await.unwrap();
    assert!(table.try_read().await.unwrap().is_none(), "a later reader went before a writer");
    assert!(table.try_write().await.unwrap().is_none(), "a writer went before a reader");

    subscriptions.release();
    let reader = gives_back("the first reader", reader).await;
    let writer = gives_back("the writer", writer).await;
    let last = gives_back("the last reader", last).await;
    assert!(reader < writer && writer < last);
    only_fences(&stage.server, NAME).await;
}

#[tokio::test]
async fn readers_go_before_no_writer_that_cannot_be_told() {
    let stage = Stage::new().await;
    let (deaf, table) = (stage.waiter.rw_lock(NAME).unwrap(), stage.holder.rw_lock(NAME).unwrap());
    let guard = table.write().await.unwrap();
    let writer = waits(&stage, async move { deaf.write().await }, 1).await;
    let lock = table.clone();
    let reader = waits(&stage, async move { lock.read().await }, 2).await;
    let subscriptions = stage.deafens().await;
    guard.release().await.unwrap();
    assert_eq!(value(&stage.server, NAME).await, None, "it was given to the reader");
    assert!(table.try_read().await.unwrap().is_none(), "a try went before both");
    assert!(!writer.is_finished() && !reader.is_finished());

    subscriptions.release();
    let writer = gives_back("the writer, who looks", writer).await;
    let reader = gives_back("the reader, who is told", reader).await;
    assert!(writer < reader);
    only_fences(&stage.server, NAME).await;
}

#[tokio::test]
async fn a_permit_is_kept_for_one_that_cannot_be_told() {
    let stage = Stage::new().await;
    let of = |locks: &Locks| locks.semaphore(NAME, 2).unwrap();
    let (deaf, slots) = (of(&stage.waiter), of(&stage.holder));
    let held = [slots.acquire().await.unwrap(), slots.acquire().await.unwrap()];
    let first = waits(&stage, async move { deaf.acquire().await }, 1).await;
    let lock = slots.clone();
    let second = waits(&stage, async move { lock.acquire().await }, 2).await;
    let lock = slots.clone();
    let third = waits(&stage, async move { lock.acquire().await }, 3).await;
    let subscriptions = stage.deafens().await;
    let [one, other] = held;
    one.release().await.unwrap();
    assert!(slots.try_acquire().await.unwrap().is_none(), "a try took the permit that is kept");
    assert!(!second.is_finished(), "the second one took it");
    other.release().await.unwrap();
    gives_back("the second, with the other permit", second).await;
    gives_back("the third, after it", third).await;

    subscriptions.release();
    gives_back("the first, who looks", first).await;
    only_fences(&stage.server, NAME).await;
}

/// Who has a new connection for commands listens anew, and hears the old one until then.
#[tokio::test]
async fn who_listens_anew_is_told_meanwhile() {
    let stage = Stage::new().await;
    let guard = stage.holder.mutex(NAME).unwrap().lock().await.unwrap();
    let lock = stage.waiter.mutex(NAME).unwrap();
    let waits = waits(&stage, async move { lock.lock().await }, 1).await;
    let subscriptions =
        stage.proxy.hold_requests(|words| words[0].eq_ignore_ascii_case(b"SUBSCRIBE"));
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    assert_eq!(stage.server.resp().await.command(&kill).await.as_int(), Some(2));
    eventually("a new connection", || async { stage.waiter.inspect(NAME).await.is_ok() }).await;
    subscriptions.held(Duration::from_secs(10)).await;

    let released = BootInstant::now();
    eventually("the lock is given back", || async { guard.renew().await.is_ok() }).await;
    guard.release().await.unwrap();
    let guard = soon("the waiter is told", waits).await.unwrap();
    let took = released.elapsed();
    assert!(took < ms(1_500), "granted {took:?} after the release");
    subscriptions.release();
    guard.release().await.unwrap();
    only_fences(&stage.server, NAME).await;
}
