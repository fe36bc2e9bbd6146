//! What a lease costs that is held.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use lock_local::{LocalLease, LocalLock};
use lockable::LockPool;
use lockcore::{Lock, LockName, Mode, Request};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::{DYN, FLOOR, INHERENT, PEER};
use crate::counts::{Count, Counted};
use crate::harness::Plan;
use crate::subjects::store::BYTES;
use crate::subjects::store::Meter;
use crate::subjects::store::counted::counting;
use crate::subjects::store::leases::{Work, cost};

/// Of many, since few fit into what the allocator has.
pub(super) fn count() -> Count {
    Count {
        name: |plan| format!("{} leases held", most(plan)),
        units: &[BYTES],
        subjects: [INHERENT, DYN, PEER, FLOOR].map(held).into(),
        caps: Vec::new(),
    }
}

fn held(subject: &'static str) -> Box<dyn Counted> {
    counting(subject, move |runtime: &Runtime, plan: Plan| {
        runtime.block_on(cost(subject, NOWHERE, most(plan), Duration::ZERO))
    })
}

fn most(plan: Plan) -> usize {
    plan.leases.into_iter().max().unwrap_or_default()
}

/// What the process that holds them does.
pub(crate) async fn hold(work: &Work<'_>) -> Result<Vec<f64>> {
    match work.subject {
        INHERENT => {
            let locks = LocalLock::new();
            let acquire = async |name: &str| Ok(locks.acquire(&request(name)?).await?);
            work.run::<Nobody, _>(acquire, async |lease: LocalLease| given_back(lease)).await
        }
        DYN => {
            let locks: Arc<dyn Lock> = Arc::new(LocalLock::new());
            let acquire = async |name: &str| Ok(locks.lock(&request(name)?).await?);
            work.run::<Nobody, _>(acquire, async |lease| given_back(lease)).await
        }
        PEER => {
            let pool = &LockPool::<Arc<str>>::new();
            let acquire = async |name: &str| Ok(pool.async_lock(name.into()).await);
            work.run::<Nobody, _>(acquire, async |guard| given_back(guard)).await
        }
        FLOOR => {
            let acquire = async |_: &str| Ok(Arc::new(Mutex::new(())).lock_owned().await);
            work.run::<Nobody, _>(acquire, async |guard| given_back(guard)).await
        }
        other => bail!("BUG: who is {other}?"),
    }
}

fn request(name: &str) -> Result<Request> {
    Ok(Request::new(LockName::new(name)?, Mode::Exclusive))
}

fn given_back<G>(guard: G) -> Result<()> {
    drop(guard);
    Ok(())
}

/// There is nobody to be asked for anything.
struct Nobody;

impl Meter for Nobody {
    async fn start(_: &str) -> Result<Self> {
        Ok(Self)
    }

    async fn read(self) -> Result<Vec<f64>> {
        Ok(Vec::new())
    }
}

const NOWHERE: &str = "local://";
