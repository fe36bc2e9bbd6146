//! What many held leases cost.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use etcd_client::{Client, LockOptions, LockResponse};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::bare::connect;
use super::server::Messages;
use super::{LOCK_RPC, OURS, ours};
use crate::subjects::store::TTL;
use crate::subjects::store::leases::Work;

/// What the process that holds them does.
pub(crate) async fn hold(work: &Work<'_>) -> Result<Vec<f64>> {
    match work.subject {
        OURS => work.run_ours::<Messages>(&ours::connect(work.url, TTL).await?).await,
        LOCK_RPC => {
            let client = connect(work.url).await?;
            let lease = client.lease_client().grant(TTL.as_secs() as i64, None).await?.id();
            let mut renewing = JoinSet::new();
            renewing.spawn(renew(client.clone(), lease));
            let lock = Arc::new(client.lock_client());
            let acquire = async |name: &str| {
                let options = LockOptions::new().with_lease(lease);
                Ok(lock.as_ref().clone().lock(name, Some(options)).await?)
            };
            let release = async |held: LockResponse| {
                lock.as_ref().clone().unlock(held.key()).await?;
                Ok(())
            };
            let costs = work.run::<Messages, _>(acquire, release).await?;
            match renewing.try_join_next() {
                None => Ok(costs),
                Some(ended) => ended?.and(Ok(costs)),
            }
        }
        other => bail!("BUG: who is {other}?"),
    }
}

/// What its users write: all locks hang on one lease, which is kept as often as ours is.
async fn renew(client: Client, lease: i64) -> Result<()> {
    let (mut keeper, mut kept) = client.lease_client().keep_alive(lease).await?;
    let mut due = interval_at(tokio::time::Instant::now() + TTL / 3, TTL / 3);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        keeper.keep_alive().await?;
        let answer = kept.message().await?.context("the stream of keepalives has ended")?;
        if answer.ttl() <= 0 {
            bail!("the lease has ended");
        }
    }
}
