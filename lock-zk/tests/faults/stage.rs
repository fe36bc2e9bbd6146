//! What the tests have in common: clients, looks into the server, and beliefs that are noted.

use std::time::Duration;

pub(crate) use lock_conformance::lab::{believe, take};
use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::{Proxy, Zk};
use lock_zk::ZkConfig;
use lockcore::{Guard, Locks, Result};
use tokio::task::JoinHandle;

/// No TTL ends during a test with this one.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// For what takes no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The name that is locked where one is enough.
pub(crate) const NAME: &str = "name";

/// So many milliseconds, as this machine needs them.
pub(crate) fn ms(millis: u64) -> Duration {
    scaled(Duration::from_millis(millis))
}

/// A TTL of so many milliseconds, as this machine needs them.
pub(crate) fn ttl(millis: u64) -> Duration {
    ms(millis)
}

/// A client of what listens there, with the defaults.
pub(crate) fn config(port: u16) -> ZkConfig {
    ZkConfig::new([("127.0.0.1", port)])
}

/// A client by a way that is broken, which gives up on a request soon.
pub(crate) fn via(proxy: &Proxy) -> ZkConfig {
    config(proxy.addr().port()).request_timeout(ms(400)).unwrap()
}

/// Connects, which is before any fault: a client that gives up soon may have to try again on a busy
/// machine.
pub(crate) async fn connect(config: ZkConfig, ttl: Duration) -> Locks {
    let connected = async {
        loop {
            match config.clone().connect().await {
                Ok(lock) => return lock,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    };
    Locks::new(soon("a connection", connected).await).ttl(ttl).unwrap()
}

/// What a holder and a waiter want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mutex,
    Reader,
    Writer,
    Permit,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Mutex, Kind::Reader, Kind::Writer, Kind::Permit];

impl Kind {
    /// A name of its own.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(crate) async fn waits(self, locks: Locks) -> Result<Guard> {
        self.takes(locks, &self.name()).await
    }

    pub(crate) async fn takes(self, locks: Locks, name: &str) -> Result<Guard> {
        match self {
            Self::Mutex => locks.mutex(name)?.lock().await,
            Self::Reader => locks.rw_lock(name)?.read().await,
            Self::Writer => locks.rw_lock(name)?.write().await,
            Self::Permit => locks.semaphore(name, 1)?.acquire().await,
        }
    }

    pub(crate) async fn tries(self, locks: Locks, name: &str) -> Result<Option<Guard>> {
        match self {
            Self::Mutex => locks.mutex(name)?.try_lock().await,
            Self::Reader => locks.rw_lock(name)?.try_read().await,
            Self::Writer => locks.rw_lock(name)?.try_write().await,
            Self::Permit => locks.semaphore(name, 1)?.try_acquire().await,
        }
    }

    /// Holds it so that this kind has to wait.
    pub(crate) async fn holds(self, locks: &Locks) -> Guard {
        let holds = if self == Self::Reader { Self::Writer } else { self };
        soon("a free lock", holds.takes(locks.clone(), &self.name())).await.unwrap()
    }

    pub(crate) fn begins(self, locks: &Locks) -> JoinHandle<Result<Guard>> {
        tokio::spawn(self.waits(locks.clone()))
    }
}

/// A node of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) session: i64,
    pub(crate) token: u64,
}

/// The nodes of a lock, in the order in which they came.
pub(crate) async fn nodes(server: &Zk, name: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    for child in children(server, name).await {
        let path = format!("/leasehold/{name}/{child}");
        if let Some(stat) = server.stat(&path).await {
            nodes.push(Node { path, session: stat.ephemeral_owner, token: stat.czxid as u64 });
        }
    }
    nodes
}

/// The names of the nodes of a lock, in the order in which they came.
pub(crate) async fn children(server: &Zk, name: &str) -> Vec<String> {
    let mut children = server.children(&format!("/leasehold/{name}")).await;
    children.sort_by_key(|child| child[child.len() - 10..].to_owned());
    children
}

/// Waits until `count` hold a name or wait for it.
pub(crate) async fn until_nodes(server: &Zk, name: &str, count: usize) {
    let what = format!("{count} hold {name} or wait");
    eventually(&what, || async { children(server, name).await.len() == count }).await;
}

/// Waits until the server watches so many nodes.
pub(crate) async fn until_watched(server: &Zk, count: u64) {
    let what = format!("{count} nodes are watched");
    eventually(&what, || async { server.watch_count().await == count }).await;
}

/// Waits until no node of any lock is there.
pub(crate) async fn nothing_left(server: &Zk) {
    eventually("no node of a lock is left", || async { left(server).await.is_empty() }).await;
}

/// The nodes of all locks: directories stay.
pub(crate) async fn left(server: &Zk) -> Vec<String> {
    let mut paths = server.tree("/leasehold").await;
    paths.retain(|path| path.matches('/').count() == 3);
    paths
}

/// How many sessions somebody keeps alive. One that a client did not wait for when it connected goes
/// by itself.
pub(crate) async fn sessions(server: &Zk) -> usize {
    server.sessions().await.iter().filter(|session| session.client.is_some()).count()
}

/// Waits until everything that the client had to clean up is clean.
pub(crate) async fn is_idle(locks: &Locks) {
    let idle = || async { format!("{:?}", locks.as_lock()).contains("jobs: 0") };
    eventually("the withdrawal is confirmed", idle).await;
}
