//! What is counted, each with a server of its own: sessions are renewed also while nobody holds
//! anything, and those of other subjects would be among the requests.

use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;

use super::meter::{Requests, Way};
use super::peer::Recipe;
use super::server::Server;
use super::{OURS, RECIPE, ours};
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::store::{LONG_TTL, Meter as _, TTL, leases, waiting};
use crate::subjects::{At, Subject};

/// One lock that is free, taken and given back.
pub(super) struct Cycle(&'static str);

/// A waiter behind a holder that need not renew. Counted is all that the waiter's client sends from
/// its first try on.
pub(super) struct Waiting(&'static str);

/// What many held leases cost.
pub(super) struct Leases(&'static str);

impl Cycle {
    pub(super) fn of(subject: &'static str) -> Box<dyn Counted> {
        Box::new(Self(subject))
    }
}

impl Counted for Cycle {
    fn name(&self) -> &'static str {
        self.0
    }

    fn count(&self, runtime: &Runtime, _: Plan) -> Result<Vec<f64>> {
        runtime.block_on(async {
            let server = Server::start().await;
            let way = Way::to(&server).await?;
            let url = way.url();
            match self.0 {
                OURS => cycle(url, ours::clients(url, TTL).await?).await,
                RECIPE => cycle(url, Recipe::connect(url, TTL).await?).await,
                other => bail!("BUG: who is {other}?"),
            }
        })
    }
}

impl Waiting {
    pub(super) fn of(subject: &'static str) -> Box<dyn Counted> {
        Box::new(Self(subject))
    }
}

impl Counted for Waiting {
    fn name(&self) -> &'static str {
        self.0
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        runtime.block_on(async {
            let server = Server::start().await;
            let way = Way::to(&server).await?;
            let url = way.url();
            match self.0 {
                OURS => {
                    let holder = Arc::new(ours::clients(url, LONG_TTL).await?);
                    let waiter = Arc::new(ours::clients(url, TTL).await?);
                    waiting::requests::<Requests, _>(url, &holder, &waiter, plan.wait).await
                }
                RECIPE => {
                    let holder = Arc::new(Recipe::connect(url, LONG_TTL).await?);
                    let waiter = Arc::new(Recipe::connect(url, TTL).await?);
                    waiting::requests::<Requests, _>(url, &holder, &waiter, plan.wait).await
                }
                other => bail!("BUG: who is {other}?"),
            }
        })
    }
}

impl Leases {
    pub(super) fn of(subject: &'static str) -> Box<dyn Counted> {
        Box::new(Self(subject))
    }
}

impl Counted for Leases {
    fn name(&self) -> &'static str {
        self.0
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        let server = runtime.block_on(Server::start());
        let way = runtime.block_on(Way::to(&server))?;
        leases::cost(self.0, way.url(), plan)
    }
}

async fn cycle<S: Subject>(url: &str, subject: S) -> Result<Vec<f64>> {
    let at = At { client: 0, name: 0 };
    // What comes only once is not counted.
    subject.cycle(at, || async {}).await?;
    let requests = Requests::start(url).await?;
    subject.cycle(at, || async {}).await?;
    requests.read().await
}
