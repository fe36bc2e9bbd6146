//! A server and an ensemble of three, which all cases share: each has a directory of its own for its
//! root.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use futures_util::future::join_all;
use lock_testkit::{Zk, ZkEnsemble, ZkMode};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, RwLock};

use crate::rights;

/// The part of a store that one case has.
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    chroot: String,
    /// Held by each case, but by nobody else while one restarts the servers.
    in_use: Mutex<Option<OwnedRwLockReadGuard<()>>>,
}

#[derive(Debug)]
struct Shared {
    servers: Servers,
    in_use: Arc<RwLock<()>>,
}

#[derive(Debug)]
enum Servers {
    Single(Box<Zk>),
    Ensemble(ZkEnsemble),
}

impl Store {
    async fn single() -> Self {
        static SINGLE: OnceCell<Arc<Shared>> = OnceCell::const_new();
        let start = || async { Servers::Single(Box::new(Zk::start().await)) };
        Self::of(SINGLE.get_or_init(|| Shared::start(start)).await).await
    }

    /// As [`single`](Self::single), with the directory of locks that the README's recipe makes.
    pub(crate) async fn for_a_worker(directory: &str) -> Self {
        let store = Self::single().await;
        let acl = [rights::documented(WORKER, PASSWORD)];
        let path = format!("{}{directory}", store.chroot);
        store.any().create_with(&path, "", ZkMode::Persistent, &acl).await;
        store
    }

    pub(crate) async fn ensemble() -> Self {
        static ENSEMBLE: OnceCell<Arc<Shared>> = OnceCell::const_new();
        let start = || async { Servers::Ensemble(ZkEnsemble::start(3).await) };
        Self::of(ENSEMBLE.get_or_init(|| Shared::start(start)).await).await
    }

    async fn of(shared: &Arc<Shared>) -> Self {
        let in_use = Mutex::new(Some(shared.in_use.clone().read_owned().await));
        let store = Self { shared: shared.clone(), chroot: chroot(), in_use };
        store.any().create(&store.chroot, "", ZkMode::Persistent).await;
        store
    }

    /// The root of this case.
    pub(crate) fn chroot(&self) -> &str {
        &self.chroot
    }

    pub(crate) fn members(&self) -> &[Zk] {
        self.shared.servers.members()
    }

    /// Any member: all know the same.
    pub(crate) fn any(&self) -> &Zk {
        &self.members()[0]
    }

    /// Restarts all servers, when no other case uses them.
    pub(crate) async fn restart(&self) {
        drop(self.in_use.lock().unwrap_or_else(PoisonError::into_inner).take());
        let alone = self.shared.in_use.clone().write_owned().await;
        let shared = self.shared.clone();
        let restarting = SERVERS.spawn(async move {
            // One alone of several cannot serve.
            shared.servers.members().iter().for_each(Zk::kill);
            join_all(shared.servers.members().iter().map(Zk::restart)).await;
        });
        restarting.await.unwrap();
        let again = alone.downgrade();
        *self.in_use.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
    }
}

impl Shared {
    async fn start<F>(start: impl FnOnce() -> F + Send + 'static) -> Arc<Self>
    where
        F: Future<Output = Servers> + Send,
    {
        let servers = SERVERS.spawn(async move { start().await }).await.unwrap();
        Arc::new(Self { servers, in_use: Arc::default() })
    }
}

impl Servers {
    fn members(&self) -> &[Zk] {
        match self {
            Self::Single(server) => std::slice::from_ref(&**server),
            Self::Ensemble(ensemble) => ensemble.members(),
        }
    }
}

fn chroot() -> String {
    format!("/case-{}", fastrand::u64(..))
}

/// What the servers run on: that of a case ends with it.
static SERVERS: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

pub(crate) const WORKER: &str = "worker";
pub(crate) const PASSWORD: &str = "c4nary-7f31e9";
