//! What one that waits asks of the server.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Meter;
use crate::subjects::{At, PLAIN, Subject};

/// What a waiter's client sends while it waits so long, from its first try on.
///
/// `holder` need not renew meanwhile: a third of its TTL is longer than the wait.
pub(crate) async fn requests<M: Meter, S: Subject>(
    url: &str,
    holder: &Arc<S>,
    waiter: &Arc<S>,
    wait: Duration,
) -> Result<Vec<f64>> {
    // Connections, scripts, sessions: what comes only once is not counted.
    for subject in [holder, waiter] {
        subject.cycle(At { name: PLAIN + 1, ..WAITER }, || async {}).await?;
    }
    let (is_held, end) = (Notify::new(), Notify::new());
    let holding = holder.cycle(HOLDER, || async {
        is_held.notify_one();
        end.notified().await;
    });
    let counting = async {
        is_held.notified().await;
        let meter = M::start(url).await?;
        // Pinned here: the wait is cancelled only after the count.
        let mut waiting = pin!(waiter.cycle(WAITER, || async {}));
        if timeout(wait, &mut waiting).await.is_ok() {
            bail!("a lock that was held was granted, or the wait failed");
        }
        let requests = meter.read().await?;
        end.notify_one();
        Ok(requests)
    };
    let ((), requests) = tokio::try_join!(holding, counting)?;
    Ok(requests)
}

const HOLDER: At = At { client: 0, name: PLAIN };
const WAITER: At = At { client: 1, name: PLAIN };
