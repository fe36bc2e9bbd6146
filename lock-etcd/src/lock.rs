//! What a connection to etcd gives.

use std::fmt;

use async_trait::async_trait;
use lockcore::{
    Engine, EngineConfig, FencingToken, Guarantees, Inspection, Lease, Lock, LockName, Request,
    Result, TryLock,
};

use crate::Compare;
use crate::driver::EtcdDriver;

/// A client of a store of locks in etcd; [`EtcdConfig`](crate::EtcdConfig) makes one.
///
/// A clone is the same client.
#[derive(Clone)]
pub struct EtcdLock {
    engine: Engine<EtcdDriver>,
}

impl EtcdLock {
    pub(crate) fn new(driver: EtcdDriver, config: EngineConfig) -> Self {
        Self { engine: Engine::new(driver, config) }
    }

    /// The compare that is true in etcd for as long as the grant with this token stands there. Put
    /// it into the `when` of a transaction, and the transaction does its work only while the lock is
    /// held: no token needs to be stored, and no clock is trusted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotHeld`](lockcore::ErrorKind::NotHeld) when this client has no guard with this
    /// token, or has released it. Of a grant that was lost or just dropped it may still be given, and is
    /// false in etcd.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(lock: lock_etcd::EtcdLock, mut client: etcd_client::Client)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// use etcd_client::{Txn, TxnOp};
    /// use lockcore::Locks;
    ///
    /// let locks = Locks::new(lock.clone());
    /// let guard = locks.mutex("orders")?.lock().await?;
    ///
    /// let write = Txn::new()
    ///     .when([lock.while_held(guard.token())?])
    ///     .and_then([TxnOp::put("orders/last", "42", None)]);
    /// if !client.txn(write).await?.succeeded() {
    ///     return Err("the lock was lost before the write".into());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn while_held(&self, token: FencingToken) -> Result<Compare> {
        self.engine.driver().while_held(token)
    }
}

#[async_trait]
impl TryLock for EtcdLock {
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>> {
        self.engine.try_lock(request).await
    }
}

#[async_trait]
impl Lock for EtcdLock {
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

impl fmt::Debug for EtcdLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdLock").field("jobs", &self.engine.jobs()).finish_non_exhaustive()
    }
}
