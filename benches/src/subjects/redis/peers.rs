//! The crates people would pick instead, used as their documentation shows.

use std::time::Duration;

use anyhow::{Context as _, Result};
use distributed_lock_core::{DistributedLock as _, LockHandle as _, LockProvider as _};
use distributed_lock_redis::{RedisDistributedLock, RedisLockProvider};
use rlock::AcquireOptions;
use rlock::async_lock::RLock;
use rslock::LockManager;

use super::{DISTRIBUTED_LOCK, RLOCK, RSLOCK};
use crate::subjects::store::names;
use crate::subjects::{At, CLIENTS, Subject};
use crate::workload::Workload;

/// Retries as it does by default, but without an end: that is what [`LockManager::acquire`] is for.
pub(super) struct Rslock {
    clients: Vec<LockManager>,
    names: Vec<String>,
    ttl: Duration,
}

/// With its default options, apart from the TTL.
pub(super) struct Rlock {
    clients: Vec<RLock>,
    names: Vec<String>,
    options: AcquireOptions,
}

/// Does not wait: its `acquire` with a time limit tries once.
pub(super) struct DistributedLock {
    locks: Vec<RedisDistributedLock>,
}

impl Rslock {
    /// Connects when first used.
    pub(super) fn new(url: &str, ttl: Duration) -> Self {
        let clients = (0..CLIENTS).map(|_| LockManager::new(vec![url])).collect();
        Self { clients, names: names(RSLOCK), ttl }
    }
}

impl Subject for Rslock {
    fn name(&self) -> &'static str {
        RSLOCK
    }

    /// Its sleep is random, up to this.
    fn polls_every(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let name = self.names[at.name].as_str();
        let guard = self.clients[at.client].acquire(name, self.ttl).await?;
        inside().await;
        guard.release().await;
        Ok(())
    }
}

impl Rlock {
    pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(RLock::new(url).await.context("rlock cannot connect")?);
        }
        let options = AcquireOptions::builder().ttl(ttl).build()?;
        Ok(Self { clients, names: names(RLOCK), options })
    }
}

impl Subject for Rlock {
    fn name(&self) -> &'static str {
        RLOCK
    }

    fn polls_every(&self) -> Duration {
        self.options.retry_interval()
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let (client, name) = (&self.clients[at.client], &self.names[at.name]);
        let mut guard = client.acquire_mutex_with_options(name, self.options.clone()).await?;
        inside().await;
        guard.release().await?;
        Ok(())
    }
}

impl DistributedLock {
    pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Self> {
        let provider = Self::provider(url, ttl).await?;
        let locks = names(DISTRIBUTED_LOCK);
        Ok(Self { locks: locks.iter().map(|name| provider.create_lock(name)).collect() })
    }

    /// In the proportions of its defaults.
    pub(super) async fn provider(url: &str, ttl: Duration) -> Result<RedisLockProvider> {
        let provider = RedisLockProvider::builder().url(url).expiry(ttl);
        let provider = provider.extension_cadence(ttl / 3).min_validity(ttl.mul_f64(0.9));
        Ok(provider.build().await?)
    }
}

impl Subject for DistributedLock {
    fn name(&self) -> &'static str {
        DISTRIBUTED_LOCK
    }

    fn does(&self, workload: Workload) -> bool {
        matches!(workload, Workload::OwnNames { .. })
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let lock = &self.locks[at.name];
        let held = lock.try_acquire().await?.with_context(|| format!("{} is held", lock.name()))?;
        inside().await;
        held.release().await?;
        Ok(())
    }
}
