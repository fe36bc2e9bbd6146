//! Requests that reach the server when nobody waits for their outcome any more.

use futures_util::future::join_all;
use lock_conformance::time::{eventually, soon};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, GrpcProxy};
use lockcore::{Guard, Locks, Renewal, Result};
use tokio::time::timeout;

use crate::stage::{LONG, PATIENCE, config, connect, etcd, left, ms, nothing_left};

const NAME: &str = "name";
const TXN: &str = "KV/Txn";

/// How it asks.
#[derive(Clone, Copy, Debug)]
enum Way {
    Lock,
    Try,
    Read,
    TryRead,
    Permit,
    TryPermit,
    /// In a session of its own.
    Never,
    TryNever,
}

const WAYS: [Way; 8] = [
    Way::Lock,
    Way::Try,
    Way::Read,
    Way::TryRead,
    Way::Permit,
    Way::TryPermit,
    Way::Never,
    Way::TryNever,
];

impl Way {
    async fn asks(self, locks: &Locks) -> Result<Guard> {
        let mutex = locks.mutex(NAME)?;
        let alone = mutex.clone().renewal(Renewal::Never);
        let (table, slots) = (locks.rw_lock(NAME)?, locks.semaphore(NAME, 2)?);
        let tried = match self {
            Self::Lock => return mutex.lock().await,
            Self::Read => return table.read().await,
            Self::Permit => return slots.acquire().await,
            Self::Never => return alone.lock().await,
            Self::Try => mutex.try_lock().await?,
            Self::TryRead => table.try_read().await?,
            Self::TryPermit => slots.try_acquire().await?,
            Self::TryNever => alone.try_lock().await?,
        };
        Ok(tried.expect("nobody has it"))
    }
}

/// A client that has two ways to its server. Its request is kept on the one that it uses, so that
/// it goes on over the other.
struct Stage {
    server: Etcd,
    ways: [GrpcProxy; 2],
    locks: Locks,
}

impl Stage {
    async fn new() -> Self {
        let server = etcd().await;
        let ways = [GrpcProxy::start(server.addr()).await, GrpcProxy::start(server.addr()).await];
        let config = EtcdConfig::new(ways.each_ref().map(|way| ("127.0.0.1", way.addr().port())));
        let locks = connect(config.request_timeout(ms(400)).unwrap(), LONG).await;
        locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        Self { server, ways, locks }
    }

    /// The way that the client uses.
    fn used(&self) -> &GrpcProxy {
        let [one, other] = &self.ways;
        if one.connections() > 0 { one } else { other }
    }

    /// Everything that the client had to clean up is clean.
    async fn is_idle(&self) {
        let idle = || async { format!("{:?}", self.locks.as_lock()).contains("jobs: 0") };
        eventually("the withdrawal is confirmed", idle).await;
    }

    /// Lets the requests that were kept go on, and waits until they are served.
    async fn comes(&self, kept: lock_testkit::grpc::CallRule) {
        let (before, late) = (self.server.messages_sent("Txn").await, kept.hits());
        let refused = || self.server.metric("grpc_server_handled_total");
        let handled = refused().await;
        kept.release();
        eventually("what was kept is served", || async {
            refused().await >= handled + late as f64
        })
        .await;
        assert!(self.server.messages_sent("Txn").await >= before);
    }
}

#[tokio::test]
async fn a_request_that_comes_after_its_caller_has_gone_leaves_nothing() {
    join_all(WAYS.map(async |way| {
        let stage = Stage::new().await;
        let kept = stage.used().hold_requests(TXN);
        let asks = timeout(ms(100), way.asks(&stage.locks)).await;
        assert!(asks.is_err(), "{way:?}: answered though nothing was asked");
        kept.hit(1, PATIENCE).await;
        stage.is_idle().await;
        assert!(left(&stage.server).await.is_empty(), "{way:?}");

        stage.comes(kept).await;
        let left = left(&stage.server).await;
        assert!(left.is_empty(), "{way:?}: a ghost stays: {left:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_request_that_comes_after_the_release_leaves_nothing() {
    join_all(WAYS.map(async |way| {
        let stage = Stage::new().await;
        let kept = stage.used().hold_requests(TXN);
        let guard = soon("granted by the repetition", way.asks(&stage.locks)).await.unwrap();
        kept.hit(1, PATIENCE).await;
        guard.release().await.unwrap();
        stage.is_idle().await;
        assert!(left(&stage.server).await.is_empty(), "{way:?}");

        stage.comes(kept).await;
        let left = left(&stage.server).await;
        assert!(left.is_empty(), "{way:?}: a ghost stays: {left:?}");
    }))
    .await;
}

/// It finds its own key, and nobody's hold changes.
#[tokio::test]
async fn a_request_that_comes_while_its_lock_is_held_changes_nothing() {
    join_all(WAYS.map(async |way| {
        let stage = Stage::new().await;
        let other = connect(config(stage.server.port()), LONG).await;
        let kept = stage.used().hold_requests(TXN);
        let guard = soon("granted by the repetition", way.asks(&stage.locks)).await.unwrap();
        let before = left(&stage.server).await;
        stage.comes(kept).await;
        let after = left(&stage.server).await;
        assert_eq!(after.len(), 1, "{way:?}: {after:?}");
        assert_eq!(after[0].create_revision, before[0].create_revision, "{way:?}");
        assert_eq!(after[0].create_revision as u64, guard.token().as_u64(), "{way:?}");
        assert!(guard.is_held(), "{way:?}");
        // A lock of another kind may be an error, but no lock.
        assert!(!matches!(other.mutex(NAME).unwrap().try_lock().await, Ok(Some(_))), "{way:?}");
        guard.release().await.unwrap();
        nothing_left(&stage.server).await;
    }))
    .await;
}

/// Its session is not ended, so nothing but the fence keeps the request out.
#[tokio::test]
async fn a_request_that_comes_after_its_session_could_not_be_ended_leaves_nothing() {
    join_all([Way::Never, Way::TryNever].map(async |way| {
        let stage = Stage::new().await;
        let kept = stage.used().hold_requests(TXN);
        let asks = timeout(ms(100), way.asks(&stage.locks)).await;
        assert!(asks.is_err(), "{way:?}: answered though nothing was asked");
        kept.hit(1, PATIENCE).await;
        let fails = stage.ways.each_ref().map(|way| way.fail("Lease/LeaseRevoke", 14, "no"));
        stage.is_idle().await;
        assert!(fails.iter().any(|fail| fail.hits() > 0), "{way:?}: it was ended");
        drop(fails);

        stage.comes(kept).await;
        let left = left(&stage.server).await;
        assert!(left.is_empty(), "{way:?}: a ghost stays: {left:?}");
    }))
    .await;
}

/// The next hold has the very key of the one that was released.
#[tokio::test]
async fn a_release_that_comes_when_its_key_is_used_again_frees_nobody() {
    join_all(WAYS.map(async |way| {
        let stage = Stage::new().await;
        let guard = way.asks(&stage.locks).await.unwrap();
        let before = left(&stage.server).await;
        let kept = stage.used().hold_requests(TXN);
        soon("the repetition is confirmed", guard.release()).await.unwrap();
        kept.hit(1, PATIENCE).await;
        let next = soon("a free lock", way.asks(&stage.locks)).await.unwrap();
        // A session of its own has keys of its own.
        let is_again = left(&stage.server).await[0].key == before[0].key;
        assert!(is_again || matches!(way, Way::Never | Way::TryNever), "{way:?}: another key");

        stage.comes(kept).await;
        let after = left(&stage.server).await;
        assert_eq!(after.len(), 1, "{way:?}: the late release freed it");
        assert_eq!(after[0].create_revision as u64, next.token().as_u64(), "{way:?}");
        next.release().await.unwrap();
        nothing_left(&stage.server).await;
    }))
    .await;
}
