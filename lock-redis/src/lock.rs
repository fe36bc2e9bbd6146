//! What a connection to Redis gives.

use std::fmt;

use async_trait::async_trait;
use lockcore::{
    Engine, EngineConfig, Guarantees, Inspection, Lease, Lock, LockName, Request, Result, TryLock,
};

use crate::driver::RedisDriver;

/// A client of a store of locks in Redis; [`RedisConfig`](crate::RedisConfig) makes one.
///
/// A clone is the same client.
#[derive(Clone)]
pub struct RedisLock {
    engine: Engine<RedisDriver>,
}

impl RedisLock {
    pub(crate) fn new(driver: RedisDriver, config: EngineConfig) -> Self {
        Self { engine: Engine::new(driver, config) }
    }
}

#[async_trait]
impl TryLock for RedisLock {
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>> {
        self.engine.try_lock(request).await
    }
}

#[async_trait]
impl Lock for RedisLock {
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

impl fmt::Debug for RedisLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLock").field("jobs", &self.engine.jobs()).finish_non_exhaustive()
    }
}
