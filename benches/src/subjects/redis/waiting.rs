//! What one that waits asks of the server.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;

use super::server::{Monitor, Server};
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::Subject;
use crate::subjects::store::waiting;

/// A waiter behind a holder that need not renew. Counted is all that the waiter's client sends from
/// its first try on.
pub(super) struct Waiting<S> {
    server: Arc<Server>,
    holder: Arc<S>,
    waiter: Arc<S>,
}

impl<S: Subject> Waiting<S> {
    /// `holder` has a TTL of which no third passes during the wait.
    pub(super) fn of(server: &Arc<Server>, holder: Arc<S>, waiter: Arc<S>) -> Box<dyn Counted> {
        Box::new(Self { server: server.clone(), holder, waiter })
    }
}

impl<S: Subject> Counted for Waiting<S> {
    fn name(&self) -> &'static str {
        S::name(&self.waiter)
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        let url = self.server.url();
        let counting = waiting::requests::<Monitor, S>(&url, &self.holder, &self.waiter, plan.wait);
        runtime.block_on(counting)
    }
}
