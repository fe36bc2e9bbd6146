//! What many held leases cost.

use anyhow::{Context as _, Result, bail};
use distributed_lock_core::{DistributedLock as _, LockHandle as _, LockProvider as _};
use distributed_lock_redis::RedisLockHandle;
use rlock::AcquireOptions;
use rlock::async_lock::{RLock, RLockGuard};
use rslock::{LockGuard, LockManager};

use super::peers::DistributedLock;
use super::server::Monitor;
use super::{DISTRIBUTED_LOCK, OURS, RLOCK, RSLOCK, ours};
use crate::subjects::store::TTL;
use crate::subjects::store::leases::Work;

/// What the process that holds them does.
pub(crate) async fn hold(work: &Work<'_>) -> Result<Vec<f64>> {
    match work.subject {
        OURS => work.run_ours::<Monitor>(&ours::connect(work.url, TTL).await?).await,
        RSLOCK => {
            let client = LockManager::new(vec![work.url]);
            let acquire = async |name: &str| Ok(client.acquire(name, TTL).await?);
            let release = async |guard: LockGuard| {
                guard.release().await;
                Ok(())
            };
            work.run::<Monitor, _>(acquire, release).await
        }
        RLOCK => {
            let client = RLock::new(work.url).await?;
            let options = AcquireOptions::builder().ttl(TTL).build()?;
            let acquire = async |name: &str| {
                Ok(client.acquire_mutex_with_options(name, options.clone()).await?)
            };
            let release = async |mut guard: RLockGuard| Ok(guard.release().await?);
            work.run::<Monitor, _>(acquire, release).await
        }
        DISTRIBUTED_LOCK => {
            let client = DistributedLock::provider(work.url, TTL).await?;
            let acquire = async |name: &str| {
                let held = client.create_lock(name).try_acquire().await?;
                held.with_context(|| format!("{name} is held"))
            };
            let release = async |handle: RedisLockHandle| Ok(handle.release().await?);
            work.run::<Monitor, _>(acquire, release).await
        }
        other => bail!("BUG: who is {other}?"),
    }
}
