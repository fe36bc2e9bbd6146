//! What a connection to ZooKeeper gives.

use std::fmt;

use async_trait::async_trait;
use lockcore::{
    Engine, EngineConfig, FencingToken, Guarantees, Inspection, Lease, Lock, LockName, Request,
    Result, TryLock,
};

use crate::driver::ZkDriver;

/// A client of a store of locks in ZooKeeper; [`ZkConfig`](crate::ZkConfig) makes one.
///
/// A clone is the same client.
#[derive(Clone)]
pub struct ZkLock {
    engine: Engine<ZkDriver>,
}

/// The node of a lock that is held, for a check in a transaction of your own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldNode {
    path: String,
}

impl HeldNode {
    pub(crate) fn new(path: String) -> Self {
        Self { path }
    }

    /// Its path, below the chroot that the lock's client has.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The version to check for: any will do, it is enough that the node is there.
    #[must_use]
    pub const fn version(&self) -> i32 {
        -1
    }
}

impl ZkLock {
    pub(crate) fn new(driver: ZkDriver, config: EngineConfig) -> Self {
        Self { engine: Engine::new(driver, config) }
    }

    /// The node that stands in ZooKeeper for as long as the grant with this token. Let a `multi` of
    /// yours check it, and the transaction does its work only while the lock is held: no token needs
    /// to be stored, and no clock is trusted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotHeld`](lockcore::ErrorKind::NotHeld) when this client has no guard with this
    /// token, or has released it. Of a grant that was lost or just dropped it may still be given, and the
    /// check fails in ZooKeeper.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(lock: lock_zk::ZkLock, client: zookeeper_client::Client)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// use lockcore::Locks;
    ///
    /// let locks = Locks::new(lock.clone());
    /// let guard = locks.mutex("orders")?.lock().await?;
    ///
    /// // `client` has the same chroot as `lock`.
    /// let node = lock.while_held(guard.token())?;
    /// let mut write = client.new_multi_writer();
    /// write.add_check_version(node.path(), node.version())?;
    /// write.add_set_data("/orders/last", b"42", None)?;
    /// write.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn while_held(&self, token: FencingToken) -> Result<HeldNode> {
        self.engine.driver().while_held(token)
    }
}

#[async_trait]
impl TryLock for ZkLock {
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>> {
        self.engine.try_lock(request).await
    }
}

#[async_trait]
impl Lock for ZkLock {
    async fn lock(&self, request: &Request) -> Result<Box<dyn Lease>> {
        self.engine.lock(request).await
    }

    fn guarantees(&self) -> &Guarantees {
        self.engine.guarantees()
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        self.engine.inspect(name).await
    }

    async fn shutdown(&self) -> Result<()> {
        self.engine.shutdown().await
    }
}

impl fmt::Debug for ZkLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkLock").field("jobs", &self.engine.jobs()).finish_non_exhaustive()
    }
}
