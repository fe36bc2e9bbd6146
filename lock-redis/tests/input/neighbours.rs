//! Clients of another kind that take the same key.

use std::time::Duration;

use lock_conformance::time::{pause, scaled, soon};
use lock_testkit::Redis;
use lockcore::{Guard, Locks, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::python::Python;
use super::{at, connect, run, server, waiting};

#[tokio::test]
async fn redis_py_excludes_us_until_it_releases() {
    let server = server().await;
    let (mut python, locks) = (Python::start(&server).await, patient(&server).await);
    assert!(python.acquire(KEY, 60_000).await);
    is_foreign(&locks).await;
    let waiter = queue(&locks).await;
    let value = run(&server, &["GET", KEY]).await;
    // A look at the queue passes, and the value is still what redis-py wrote.
    pause(RECHECK * 2).await;
    assert_eq!(run(&server, &["GET", KEY]).await, value);
    assert!(!waiter.is_finished());

    assert_eq!(python.release().await, "released");
    within("after the release", RECHECK, waiter).await.release().await.unwrap();
    assert!(python.acquire(KEY, 60_000).await, "nothing of ours is left");
}

#[tokio::test]
async fn redis_py_excludes_us_until_its_timeout() {
    let server = server().await;
    // Who looks seldom knows all the same when the foreign TTL ends.
    let (mut python, locks) = (Python::start(&server).await, connect(at(&server)).await);
    assert!(python.acquire(KEY, 1_500).await);
    let start = Instant::now();
    let waiter = queue(&locks).await;
    let guard = within("after the timeout", Duration::from_millis(1_500), waiter).await;
    assert!(start.elapsed() > Duration::from_millis(1_000), "not before it");
    assert_eq!(python.release().await, "LockNotOwnedError");
    assert!(guard.is_held());
    guard.renew().await.unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn we_exclude_redis_py_in_every_mode_and_with_waiters() {
    let server = server().await;
    let (mut python, locks) = (Python::start(&server).await, connect(at(&server)).await);
    let mutex = locks.mutex(NAME).unwrap();
    let rw_lock = locks.rw_lock(NAME).unwrap();
    let semaphore = locks.semaphore(NAME, 2).unwrap();
    let held = mutex.lock().await.unwrap();
    is_shut_out(&mut python, &held).await;
    let waiter = queue(&locks).await;
    is_shut_out(&mut python, &held).await;
    held.release().await.unwrap();
    let held = soon("the waiter's turn", waiter).await.unwrap().unwrap();
    is_shut_out(&mut python, &held).await;
    held.release().await.unwrap();

    let held = rw_lock.read().await.unwrap();
    is_shut_out(&mut python, &held).await;
    let waiter = queue(&locks).await;
    is_shut_out(&mut python, &held).await;
    held.release().await.unwrap();
    soon("the waiter's turn", waiter).await.unwrap().unwrap().release().await.unwrap();

    // One permit is left, which is not for clients that know no permits.
    let held = semaphore.acquire().await.unwrap();
    is_shut_out(&mut python, &held).await;
    held.release().await.unwrap();
    assert!(python.acquire(KEY, 60_000).await, "nobody holds it any more");
    assert_eq!(python.release().await, "released");
}

#[tokio::test]
async fn a_late_release_of_redis_py_takes_nothing_from_us() {
    let server = server().await;
    let (mut python, locks) = (Python::start(&server).await, connect(at(&server)).await);
    assert!(python.acquire(KEY, 300).await);
    let rw_lock = locks.rw_lock(NAME).unwrap();
    let reader = soon("after its timeout", rw_lock.read()).await.unwrap();
    let waiter = queue(&locks).await;
    assert_eq!(python.release().await, "LockNotOwnedError");
    reader.renew().await.unwrap();
    assert!(reader.is_held() && !waiter.is_finished());
    reader.release().await.unwrap();
    let guard = soon("the waiter's turn", waiter).await.unwrap().unwrap();
    assert_eq!(python.release().await, "LockError", "it knows by now");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_bare_key_excludes_us_until_it_is_deleted() {
    let server = server().await;
    let locks = patient(&server).await;
    run(&server, &["SET", KEY, "somebody", "NX"]).await;
    is_foreign(&locks).await;
    let waiter = queue(&locks).await;
    // No TTL says when to look, so we do from time to time.
    run(&server, &["DEL", KEY]).await;
    within("after the deletion", RECHECK, waiter).await.release().await.unwrap();
}

#[tokio::test]
async fn a_bare_key_excludes_us_until_its_ttl_ends() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    run(&server, &["SET", KEY, "somebody", "NX", "PX", "1000"]).await;
    is_foreign(&locks).await;
    let waiter = queue(&locks).await;
    within("after the TTL", Duration::from_secs(1), waiter).await.release().await.unwrap();
}

#[tokio::test]
async fn a_foreign_value_in_our_words_is_left_as_it_is() {
    let server = server().await;
    let locks = patient(&server).await;
    for value in ["", "lh x", "lh x zz 1 a", "lh x 0", "lh sx", "lh s +", "lh p", "lh p3x"] {
        run(&server, &["SET", KEY, value, "NX"]).await;
        is_foreign(&locks).await;
        let waiter = queue(&locks).await;
        pause(RECHECK).await;
        assert_eq!(run(&server, &["GET", KEY]).await.as_str(), Some(value));
        run(&server, &["DEL", KEY]).await;
        within("after the deletion", RECHECK, waiter).await.release().await.unwrap();
    }
}

#[tokio::test]
async fn who_waits_together_for_a_foreign_lock_goes_in_order() {
    let server = server().await;
    let locks = patient(&server).await;
    run(&server, &["SET", KEY, "somebody", "NX", "PX", "60000"]).await;
    let mut waiters = Vec::new();
    for count in 1..=3 {
        let mutex = locks.mutex(NAME).unwrap();
        waiters.push(tokio::spawn(async move { mutex.lock().await }));
        waiting(&locks, NAME, count).await;
    }
    run(&server, &["DEL", KEY]).await;
    let mut last = None;
    for waiter in waiters {
        let guard = within("in its turn", RECHECK, waiter).await;
        assert!(Some(guard.token()) > last, "the first goes first");
        last = Some(guard.token());
        guard.release().await.unwrap();
    }
}

/// A client that looks at a foreign lock often.
async fn patient(server: &Redis) -> Locks {
    connect(at(server).recheck(RECHECK).unwrap()).await
}

/// Somebody holds the lock of whom no more is known.
async fn is_foreign(locks: &Locks) {
    let picture = locks.inspect(NAME).await.unwrap();
    let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
    assert_eq!((holder.token(), holder.owner(), holder.place()), (None, None, None));
    assert!(locks.mutex(NAME).unwrap().try_lock().await.unwrap().is_none());
    assert!(locks.rw_lock(NAME).unwrap().try_read().await.unwrap().is_none());
}

/// redis-py does not get what we hold, and we hold it after its attempt too.
async fn is_shut_out(python: &mut Python, held: &Guard) {
    assert!(!python.acquire(KEY, 60_000).await, "{held:?}");
    held.renew().await.unwrap();
}

async fn queue(locks: &Locks) -> JoinHandle<Result<Guard>> {
    // Of itself, who has such a TTL looks every five seconds.
    let mutex = locks.mutex(NAME).unwrap().ttl(Duration::from_secs(30));
    let waiter = tokio::spawn(async move { mutex.lock().await });
    waiting(locks, NAME, 1).await;
    waiter
}

/// The waiter is served within this time, and what a busy machine adds.
async fn within(what: &str, limit: Duration, waiter: JoinHandle<Result<Guard>>) -> Guard {
    let start = Instant::now();
    let guard = soon(what, waiter).await.unwrap().unwrap();
    let took = start.elapsed();
    assert!(took < limit * 2 + scaled(Duration::from_millis(500)), "{what}: only after {took:?}");
    guard
}

const NAME: &str = "jobs/nightly";
const KEY: &str = "leasehold:jobs/nightly";
const RECHECK: Duration = Duration::from_millis(400);
