//! Requests that were applied, and whose replies never came.

use lock_conformance::time::{pause, soon};
use lock_testkit::grpc::ReplySwallow;
use lock_testkit::{Etcd, GrpcProxy, Swallow};
use lockcore::{ErrorKind, Guard, Locks, Result};
use tokio::task::JoinHandle;

use crate::stage::{
    LONG, PATIENCE, config, connect, etcd, keys, ms, nothing_left, until_keys, until_watched, via,
};

const NAME: &str = "name";
const TXN: &str = "KV/Txn";
const WAYS: [Swallow; 2] = [Swallow::ThenCut, Swallow::ThenSilence];

/// A victim behind a proxy, and others who are not.
struct Stage {
    server: Etcd,
    proxy: GrpcProxy,
    victim: Locks,
    other: Locks,
}

impl Stage {
    /// The victim has a session: what it sends next is what it is asked for.
    async fn new() -> Self {
        let server = etcd().await;
        let proxy = GrpcProxy::start(server.addr()).await;
        let victim = connect(via(&proxy), LONG).await;
        let other = connect(config(server.port()), LONG).await;
        victim.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        Self { server, proxy, victim, other }
    }

    async fn holds_alone(&self, guard: &Guard) {
        let keys = keys(&self.server, NAME).await;
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(keys[0].create_revision as u64, guard.token().as_u64());
        assert!(guard.is_held());
        assert!(self.other.mutex(NAME).unwrap().try_lock().await.unwrap().is_none());
    }

    async fn ends(self, guard: Guard, swallowed: ReplySwallow) {
        assert!(swallowed.has_landed(), "no reply was lost");
        guard.release().await.unwrap();
        nothing_left(&self.server).await;
    }
}

fn waits(locks: &Locks) -> JoinHandle<Result<Guard>> {
    let lock = locks.mutex(NAME).unwrap();
    tokio::spawn(async move { lock.lock().await })
}

#[tokio::test]
async fn an_acquisition_whose_reply_vanished_holds_the_lock_once() {
    for then in WAYS {
        for tries in [false, true] {
            let stage = Stage::new().await;
            let swallowed = stage.proxy.swallow_reply_then(then, TXN, 1);
            let lock = stage.victim.mutex(NAME).unwrap();
            let guard = match tries {
                true => soon("a free lock", lock.try_lock()).await.unwrap().expect("it is free"),
                false => soon("a free lock", lock.lock()).await.unwrap(),
            };
            stage.holds_alone(&guard).await;
            stage.ends(guard, swallowed).await;
        }
    }
}

#[tokio::test]
async fn readers_and_permits_whose_replies_vanished_have_one_key() {
    for then in WAYS {
        let stage = Stage::new().await;
        let swallowed = stage.proxy.swallow_reply_then(then, TXN, 1);
        let table = stage.victim.rw_lock("table").unwrap();
        let reader = soon("a free lock", table.try_read()).await.unwrap().unwrap();
        let again = stage.proxy.swallow_reply_then(then, TXN, 1);
        let slots = stage.victim.semaphore("slots", 2).unwrap();
        let one = soon("a permit", slots.try_acquire()).await.unwrap().unwrap();
        let two = soon("a permit", slots.try_acquire()).await.unwrap().unwrap();
        assert!(soon("no permit", slots.try_acquire()).await.unwrap().is_none());
        assert!(swallowed.has_landed() && again.has_landed());
        assert_eq!(keys(&stage.server, "table").await.len(), 1);
        assert_eq!(keys(&stage.server, "slots").await.len(), 2);
        for guard in [reader, one, two] {
            guard.release().await.unwrap();
        }
        nothing_left(&stage.server).await;
    }
}

/// Its second request finds its own key before those who came later, and the holder's before it.
#[tokio::test]
async fn a_waiter_whose_reply_vanished_keeps_the_place_that_it_has() {
    for then in WAYS {
        let stage = Stage::new().await;
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.proxy.swallow_reply_then(then, TXN, 1);
        let first = waits(&stage.victim);
        swallowed.landed(PATIENCE).await;
        // It asks again when those who come later are there.
        let again = stage.proxy.hold_requests(TXN);
        let second = waits(&stage.other);
        until_keys(&stage.server, NAME, 3).await;
        let third = waits(&stage.other);
        until_keys(&stage.server, NAME, 4).await;
        again.hit(1, PATIENCE).await;
        again.release();
        until_watched(&stage.server, 3).await;
        assert!(!first.is_finished(), "{then:?}: granted beside the holder");
        assert!(holder.is_held());
        assert_eq!(keys(&stage.server, NAME).await.len(), 4);

        let mut last = holder.token();
        holder.release().await.unwrap();
        for (place, next) in [first, second, third].into_iter().enumerate() {
            let guard = soon("the next one is granted", next).await.unwrap().unwrap();
            assert!(guard.token() > last, "{then:?}: {place} came before its turn");
            last = guard.token();
            guard.release().await.unwrap();
        }
        nothing_left(&stage.server).await;
    }
}

/// The next one has the lock before the release is repeated, and keeps it.
#[tokio::test]
async fn a_release_whose_reply_vanished_is_confirmed_and_frees_nobody_else() {
    for then in WAYS {
        for is_own in [false, true] {
            let stage = Stage::new().await;
            let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
            let swallowed = stage.proxy.swallow_reply_then(then, TXN, 1);
            let release = tokio::spawn(async move { guard.release().await });
            swallowed.landed(PATIENCE).await;
            // Also one of the same session, whose own request would be held back with the other.
            let again = (!is_own).then(|| stage.proxy.hold_requests(TXN));
            let by = if is_own { &stage.victim } else { &stage.other };
            let next = soon("the next one", by.mutex(NAME).unwrap().lock()).await.unwrap();
            if let Some(again) = again {
                again.hit(1, PATIENCE).await;
                again.release();
            }
            soon("the release returns", release).await.unwrap().unwrap();
            pause(ms(50)).await;
            stage.holds_alone(&next).await;
            stage.ends(next, swallowed).await;
        }
    }
}

/// One that does not wait is refused, and what its lost request has left goes at once.
#[tokio::test]
async fn a_try_whose_reply_vanished_is_refused_only_if_it_left_nothing() {
    for then in WAYS {
        let stage = Stage::new().await;
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.proxy.swallow_reply_then(then, TXN, 1);
        let lock = stage.victim.mutex(NAME).unwrap();
        assert!(soon("an answer", lock.try_lock()).await.unwrap().is_none(), "{then:?}");
        assert!(swallowed.has_landed());
        assert_eq!(keys(&stage.server, NAME).await.len(), 1, "{then:?}: it left something");
        stage.holds_alone(&holder).await;
        holder.release().await.unwrap();
    }
}

/// A call that is refused changed nothing, and says so.
#[tokio::test]
async fn a_session_whose_reply_vanished_is_opened_once() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(via(&proxy), LONG).await;
    let before = server.leases().await.len();
    let swallowed = proxy.swallow_reply("Lease/LeaseGrant", 1);
    let outcome = soon("an answer", locks.mutex(NAME).unwrap().lock()).await;
    assert!(swallowed.has_landed());
    if let Err(error) = &outcome {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let guard = match outcome {
        Ok(guard) => guard,
        Err(_) => soon("a free lock", locks.mutex(NAME).unwrap().lock()).await.unwrap(),
    };
    guard.release().await.unwrap();
    // One that nobody knows of goes with its TTL; it holds nothing.
    assert!(server.leases().await.len() <= before + 2);
    nothing_left(&server).await;
}
