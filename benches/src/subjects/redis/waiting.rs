//! What one that waits asks of the server.

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::server::{Monitor, Server};
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::{At, Subject};

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

    async fn commands(&self, plan: Plan) -> Result<u64> {
        // Connections, scripts: what comes only once is not counted.
        for subject in [&self.holder, &self.waiter] {
            subject.cycle(At { name: 1, ..WAITER }, || async {}).await?;
        }
        let (is_held, end) = (Notify::new(), Notify::new());
        let holding = self.holder.cycle(HOLDER, || async {
            is_held.notify_one();
            end.notified().await;
        });
        let counting = async {
            is_held.notified().await;
            let monitor = Monitor::start(&self.server.url()).await?;
            // Pinned here: the wait is cancelled only after the count.
            let mut wait = pin!(self.waiter.cycle(WAITER, || async {}));
            if timeout(plan.wait, &mut wait).await.is_ok() {
                bail!("a lock that was held was granted, or the wait failed");
            }
            let commands = monitor.count().await?;
            end.notify_one();
            Ok(commands)
        };
        let ((), commands) = tokio::try_join!(holding, counting)?;
        Ok(commands)
    }
}

impl<S: Subject> Counted for Waiting<S> {
    fn name(&self) -> &'static str {
        S::name(&self.waiter)
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        Ok(vec![runtime.block_on(self.commands(plan))? as f64])
    }
}

const HOLDER: At = At { client: 0, name: 0 };
const WAITER: At = At { client: 1, name: 0 };
