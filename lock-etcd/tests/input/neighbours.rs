//! `etcdctl lock`, whose locks and ours are the same.

use std::time::{Duration, Instant};

use lock_conformance::time::{eventually, pause, scaled, soon};
use lock_testkit::{Etcd, EtcdVersion};
use lockcore::{Guard, Locks};

use super::etcdctl::Etcdctl;
use super::{at, connect, on_both, queue, quick, records, turn, waiting};

#[tokio::test]
async fn etcdctl_excludes_us_until_it_ends() {
    on_both(async |version| {
        let (server, locks) = start(version).await;
        let holder = Etcdctl::hold(&server, KEY, 60).await;
        is_foreign(&locks).await;
        let waiter = queue(&locks, NAME).await;
        assert!(!waiter.is_finished());
        holder.end().await;
        turn("after its end", waiter).await.release().await.unwrap();

        // A reader waits for it too.
        let holder = Etcdctl::hold(&server, KEY, 60).await;
        let table = locks.rw_lock(NAME).unwrap();
        let reader = tokio::spawn(async move { table.read().await });
        waiting(&locks, NAME, 1).await;
        holder.end().await;
        turn("after its end", reader).await.release().await.unwrap();
        assert!(records(&server).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn etcdctl_that_is_killed_excludes_us_until_its_lease_ends() {
    on_both(async |version| {
        let (server, locks) = start(version).await;
        let holder = Etcdctl::hold(&server, KEY, 2).await;
        let waiter = queue(&locks, NAME).await;
        // It may have renewed just now, or a third of its TTL ago.
        holder.kill();
        let killed = Instant::now();
        let guard = soon("after its lease", waiter).await.unwrap().unwrap();
        let took = killed.elapsed();
        assert!(took > Duration::from_secs(1), "before the end of its lease: {took:?}");
        assert!(took < scaled(Duration::from_millis(4_000)), "only after {took:?}");
        guard.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn we_exclude_etcdctl_in_every_mode() {
    on_both(async |version| {
        let (server, locks) = start(version).await;
        let held = locks.mutex(NAME).unwrap().lock().await.unwrap();
        is_shut_out(&server, held).await;
        let held = locks.rw_lock(NAME).unwrap().read().await.unwrap();
        is_shut_out(&server, held).await;
        // One permit is left, which is not for clients that know no permits.
        let held = locks.semaphore(NAME, 2).unwrap().acquire().await.unwrap();
        is_shut_out(&server, held).await;
        assert!(records(&server).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn we_and_etcdctl_are_served_in_one_order() {
    on_both(async |version| {
        let (server, locks) = start(version).await;
        let held = locks.mutex(NAME).unwrap().lock().await.unwrap();
        let first = Etcdctl::queue(&server, KEY, 60).await;
        let second = queue(&locks, NAME).await;
        let third = Etcdctl::queue(&server, KEY, 60).await;
        let fourth = queue(&locks, NAME).await;
        let picture = locks.inspect(NAME).await.unwrap();
        assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 4));
        let known: Vec<_> = picture.waiters().iter().map(|claim| claim.owner().is_some()).collect();
        assert_eq!(known, [false; 4]);

        held.release().await.unwrap();
        eventually("the first", async || first.holds()).await;
        // The others would have come by now.
        pause(scaled(Duration::from_millis(100))).await;
        assert!(!second.is_finished() && !third.holds() && !fourth.is_finished());
        first.end().await;
        let second = turn("the second", second).await;
        pause(scaled(Duration::from_millis(100))).await;
        assert!(!third.holds() && !fourth.is_finished());
        second.release().await.unwrap();
        eventually("the third", async || third.holds()).await;
        assert!(!fourth.is_finished());
        third.end().await;
        turn("the fourth", fourth).await.release().await.unwrap();
        assert!(records(&server).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_waiting_etcdctl_that_goes_delays_nobody() {
    let (server, locks) = start(EtcdVersion::V3_7).await;
    let held = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let between = Etcdctl::queue(&server, KEY, 60).await;
    let last = queue(&locks, NAME).await;
    between.end().await;
    eventually("its key is gone", async || records(&server).await.len() == 2).await;
    assert!(!last.is_finished(), "who is before it still holds");
    held.release().await.unwrap();
    turn("the last", last).await.release().await.unwrap();
}

/// etcdctl does not get what we hold, and does when we give it back.
async fn is_shut_out(server: &Etcd, held: Guard) {
    let waiter = Etcdctl::queue(server, KEY, 60).await;
    held.renew().await.unwrap();
    // It would have come by now.
    pause(scaled(Duration::from_millis(100))).await;
    assert!(!waiter.holds(), "{held:?}");
    held.release().await.unwrap();
    let start = Instant::now();
    eventually("etcdctl holds", async || waiter.holds()).await;
    let took = start.elapsed();
    assert!(took < scaled(Duration::from_secs(1)), "only after {took:?}");
    waiter.end().await;
}

/// Somebody holds the lock of whom no more is known.
async fn is_foreign(locks: &Locks) {
    let picture = locks.inspect(NAME).await.unwrap();
    let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
    assert_eq!((holder.token(), holder.owner(), holder.place()), (None, None, None));
    assert!(locks.mutex(NAME).unwrap().try_lock().await.unwrap().is_none());
    assert!(locks.rw_lock(NAME).unwrap().try_read().await.unwrap().is_none());
}

async fn start(version: EtcdVersion) -> (Etcd, Locks) {
    let server = quick(version).start().await;
    let locks = connect(at(&server)).await;
    (server, locks)
}

const NAME: &str = "jobs-1.nightly_x";
const KEY: &str = "leasehold/jobs-1.nightly_x";
