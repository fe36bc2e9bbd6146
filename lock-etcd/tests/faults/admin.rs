//! Administrators who revoke leases and delete keys.

use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::time::{pause, soon};
use lock_testkit::{Etcd, GrpcProxy, Swallow};
use lockcore::{BootInstant, ErrorKind, Guard, Locks, LossCause, Result};
use tokio::task::JoinHandle;

use crate::stage::{
    LONG, PATIENCE, config, connect, etcd, keys, ms, nothing_left, ttl, until_keys, until_watched,
    via,
};

const NAME: &str = "name";

/// What a holder and a waiter want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mutex,
    Reader,
    Writer,
    Permit,
}

const KINDS: [Kind; 4] = [Kind::Mutex, Kind::Reader, Kind::Writer, Kind::Permit];

impl Kind {
    async fn waits(self, locks: Locks) -> Result<Guard> {
        match self {
            Self::Mutex => locks.mutex(NAME)?.lock().await,
            Self::Reader => locks.rw_lock(NAME)?.read().await,
            Self::Writer => locks.rw_lock(NAME)?.write().await,
            Self::Permit => locks.semaphore(NAME, 1)?.acquire().await,
        }
    }

    async fn holds(self, locks: &Locks) -> Guard {
        let holds = if self == Self::Reader { Self::Writer } else { self };
        soon("a free lock", holds.waits(locks.clone())).await.unwrap()
    }

    fn begins(self, locks: &Locks) -> JoinHandle<Result<Guard>> {
        tokio::spawn(self.waits(locks.clone()))
    }
}

fn period() -> Duration {
    ttl(3) / 3
}

/// What is learnt with the next renewal, on a busy machine.
fn at_most() -> Duration {
    period() + ms(600)
}

async fn client(server: &Etcd) -> Locks {
    connect(config(server.port()), ttl(3)).await
}

#[tokio::test]
async fn a_holder_whose_lease_is_revoked_is_told_and_goes_on_with_another() {
    let server = etcd().await;
    let locks = client(&server).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    let lease = keys(&server, NAME).await[0].lease;
    server.revoke_lease(lease).await;
    let revoked = BootInstant::now();
    assert_eq!(soon("it is told", guard.lost()).await, LossCause::SessionEnded);
    assert!(revoked.elapsed() < at_most(), "told after {:?}", revoked.elapsed());

    let next = soon("a free lock", lock.lock()).await.unwrap();
    assert_ne!(keys(&server, NAME).await[0].lease, lease);
    assert!(next.token() > guard.token());
    let error = guard.release().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
    assert_eq!(error.loss_cause(), Some(LossCause::SessionEnded), "{error}");
    assert!(next.is_held(), "the stale release freed the new lock");
    assert_eq!(keys(&server, NAME).await.len(), 1, "the stale release freed the new lock");
    next.release().await.unwrap();
    nothing_left(&server).await;
}

/// The acquisition itself is the first to find out.
#[tokio::test]
async fn a_lock_is_taken_at_once_after_the_lease_was_revoked() {
    let server = etcd().await;
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    server.revoke_lease(keys(&server, NAME).await[0].lease).await;
    let next = soon("a free lock", lock.try_lock()).await.unwrap().expect("nobody has it");
    assert!(!guard.is_held(), "both believe in it");
    assert!(next.token() > guard.token());
}

/// Its key went with the lease, and is not taken for one of the next lease.
#[tokio::test]
async fn an_acquisition_whose_lease_is_revoked_before_its_reply_takes_no_dead_key() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(via(&proxy), LONG).await;
    for kind in KINDS {
        // So that there is a session.
        locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        let swallowed = proxy.swallow_reply_then(Swallow::ThenSilence, "KV/Txn", 1);
        let takes = kind.begins(&locks);
        swallowed.landed(PATIENCE).await;
        let dead = keys(&server, NAME).await.remove(0);
        server.revoke_lease(dead.lease).await;
        match soon("an answer", takes).await.unwrap() {
            Ok(guard) => {
                let all = keys(&server, NAME).await;
                assert_eq!(all.len(), 1, "{kind:?}: {all:?}");
                assert_ne!(all[0].lease, dead.lease, "{kind:?}");
                assert_eq!(all[0].create_revision as u64, guard.token().as_u64(), "{kind:?}");
                assert!(guard.is_held(), "{kind:?}");
                guard.release().await.unwrap();
            }
            Err(error) => {
                let is_known = error.is_transient() || error.kind() == ErrorKind::Lost;
                assert!(is_known, "{kind:?}: {error}");
            }
        }
        nothing_left(&server).await;
    }
}

#[tokio::test]
async fn a_waiter_whose_lease_is_revoked_is_told_while_the_holder_stays() {
    join_all(KINDS.map(async |kind| {
        let server = etcd().await;
        let (holder, victim, other) =
            (client(&server).await, client(&server).await, client(&server).await);
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_keys(&server, NAME, 2).await;
        let others = kind.begins(&other);
        until_keys(&server, NAME, 3).await;
        server.revoke_lease(keys(&server, NAME).await[1].lease).await;
        let revoked = BootInstant::now();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert!(revoked.elapsed() < at_most(), "{kind:?}: {:?}", revoked.elapsed());
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");

        assert!(guard.is_held() && !others.is_finished(), "{kind:?}");
        assert_eq!(keys(&server, NAME).await.len(), 2, "{kind:?}");
        guard.release().await.unwrap();
        soon("the other is granted", others).await.unwrap().unwrap().release().await.unwrap();
        nothing_left(&server).await;
    }))
    .await;
}

/// Its key went with the lease, so the next in line may have it at once.
#[tokio::test]
async fn a_waiter_whose_lease_is_revoked_is_never_granted() {
    join_all(KINDS.map(async |kind| {
        let server = etcd().await;
        // No renewal tells it.
        let holder = connect(config(server.port()), LONG).await;
        let victim = connect(config(server.port()), LONG).await;
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_keys(&server, NAME, 2).await;
        server.revoke_lease(keys(&server, NAME).await[1].lease).await;
        guard.release().await.unwrap();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        nothing_left(&server).await;
        soon("a free lock", kind.waits(victim)).await.unwrap().release().await.unwrap();
    }))
    .await;
}

/// It hears of both at once: one transaction takes out the holder and the waiter.
#[tokio::test]
async fn a_waiter_whose_lease_is_revoked_with_that_of_the_holder_is_never_granted() {
    join_all(KINDS.map(async |kind| {
        let server = etcd().await;
        // No renewal tells it.
        let locks = connect(config(server.port()), LONG).await;
        let guard = kind.holds(&locks).await;
        let waits = kind.begins(&locks);
        until_keys(&server, NAME, 2).await;
        let before = keys(&server, NAME).await;
        assert_eq!(before[0].lease, before[1].lease);
        until_watched(&server, 1).await;
        server.revoke_lease(before[0].lease).await;
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        drop(guard);
        nothing_left(&server).await;
    }))
    .await;
}

#[tokio::test]
async fn a_holder_whose_key_is_deleted_is_told_and_its_neighbours_are_not() {
    let server = etcd().await;
    let locks = client(&server).await;
    let neighbour = locks.mutex("neighbour").unwrap().lock().await.unwrap();
    let reader = locks.rw_lock("table").unwrap().read().await.unwrap();
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    assert!(server.delete(&keys(&server, NAME).await[0].key).await);
    let deleted = BootInstant::now();
    assert_eq!(soon("it is told", guard.lost()).await, LossCause::Revoked);
    assert!(deleted.elapsed() < at_most(), "told after {:?}", deleted.elapsed());
    let next = client(&server).await.mutex(NAME).unwrap().try_lock().await.unwrap().unwrap();
    let error = guard.release().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
    pause(period()).await;
    assert!(next.is_held() && neighbour.is_held() && reader.is_held());
    neighbour.release().await.unwrap();
    reader.release().await.unwrap();
}

/// The release is the first to find out, so it says it.
#[tokio::test]
async fn a_release_after_the_key_was_deleted_says_so() {
    let server = etcd().await;
    let locks = connect(config(server.port()), LONG).await;
    for kind in KINDS {
        let guard = kind.holds(&locks).await;
        assert!(server.delete(&keys(&server, NAME).await[0].key).await);
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{kind:?}: {error}");
    }
}

#[tokio::test]
async fn a_waiter_whose_key_is_deleted_is_told() {
    join_all(KINDS.map(async |kind| {
        let server = etcd().await;
        let (holder, victim) = (client(&server).await, client(&server).await);
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_keys(&server, NAME, 2).await;
        assert!(server.delete(&keys(&server, NAME).await[1].key).await);
        let deleted = BootInstant::now();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        assert_eq!(error.loss_cause(), Some(LossCause::Revoked), "{kind:?}: {error}");
        // It looks by itself once a period, a fifth more or less.
        let most = period().mul_f64(1.2) + ms(600);
        assert!(deleted.elapsed() < most, "{kind:?}: {:?}", deleted.elapsed());
        guard.release().await.unwrap();
        nothing_left(&server).await;
    }))
    .await;
}
