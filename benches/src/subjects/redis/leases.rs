//! What many held leases cost.

use std::sync::Arc;

use anyhow::{Result, bail};
use rlock::AcquireOptions;
use rlock::async_lock::{RLock, RLockGuard};
use rslock::{LockGuard, LockManager};
use tokio::runtime::Runtime;

use super::server::{Monitor, Server};
use super::{OURS, RLOCK, RSLOCK, ours};
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::store::TTL;
use crate::subjects::store::leases::{Work, cost};

/// A subject by name.
pub(super) struct Leases {
    server: Arc<Server>,
    subject: &'static str,
}

impl Leases {
    pub(super) fn of(server: &Arc<Server>, subject: &'static str) -> Box<dyn Counted> {
        Box::new(Self { server: server.clone(), subject })
    }
}

impl Counted for Leases {
    fn name(&self) -> &'static str {
        self.subject
    }

    fn count(&self, _: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        cost(self.subject, &self.server.url(), plan)
    }
}

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
        other => bail!("BUG: who is {other}?"),
    }
}
