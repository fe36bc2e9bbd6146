//! What is counted of one subject, each with a server of its own: sessions are renewed also while
//! nobody holds anything, and those of other subjects would be among the requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::{LONG_TTL, Meter, TTL, waiting};
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::{At, PLAIN, Subject};

/// A server that nobody else uses, and the way to it. It ends when it is dropped.
pub(crate) trait Place: Sized + 'static {
    /// What counts the requests that it gets.
    type Meter: Meter;

    fn start() -> impl Future<Output = Result<Self>> + Send;

    fn url(&self) -> String;
}

/// A subject, and a way to count.
struct Counting<C> {
    subject: &'static str,
    count: C,
}

/// One lock that is free, taken and given back.
pub(crate) fn cycle<P: Place, S: Subject>(
    subject: &'static str,
    connect: impl AsyncFn(&str, Duration) -> Result<S> + 'static,
) -> Box<dyn Counted> {
    let count = move |runtime: &Runtime, _: Plan| {
        runtime.block_on(async {
            let place = P::start().await?;
            let url = &place.url();
            let subject = connect(url, TTL).await?;
            let at = At { client: 0, name: PLAIN };
            // What comes only once is not counted.
            subject.cycle(at, || async {}).await?;
            let meter = P::Meter::start(url).await?;
            subject.cycle(at, || async {}).await?;
            meter.read().await
        })
    };
    counting(subject, count)
}

/// A waiter behind a holder that need not renew. Counted is all that the waiter's client sends from
/// its first try on.
pub(crate) fn waiter<P: Place, S: Subject>(
    subject: &'static str,
    connect: impl AsyncFn(&str, Duration) -> Result<S> + 'static,
) -> Box<dyn Counted> {
    let count = move |runtime: &Runtime, plan: Plan| {
        runtime.block_on(async {
            let place = P::start().await?;
            let url = &place.url();
            let holder = Arc::new(connect(url, LONG_TTL).await?);
            let waiter = Arc::new(connect(url, TTL).await?);
            waiting::requests::<P::Meter, S>(url, &holder, &waiter, plan.wait).await
        })
    };
    counting(subject, count)
}

pub(crate) fn counting(
    subject: &'static str,
    count: impl Fn(&Runtime, Plan) -> Result<Vec<f64>> + 'static,
) -> Box<dyn Counted> {
    Box::new(Counting { subject, count })
}

impl<C: Fn(&Runtime, Plan) -> Result<Vec<f64>>> Counted for Counting<C> {
    fn name(&self) -> &'static str {
        self.subject
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        (self.count)(runtime, plan)
    }
}
