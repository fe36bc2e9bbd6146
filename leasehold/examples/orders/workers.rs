//! Workers that all charge the same orders, each in an order of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::ProgressBar;
use leasehold::Locks;
use tokio::task::JoinSet;

use crate::common;
use crate::ledger::Ledger;
use crate::orders::Order;

/// What one worker has. Each opens the ledger for itself, as a process of its own would.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) orders: Arc<[Order]>,
    pub(crate) ledger: PathBuf,
    /// `None`: without a lock.
    pub(crate) locks: Option<Locks>,
}

impl Job {
    /// Sends `workers` workers through all orders, and returns how long they took.
    pub(crate) async fn run(self, workers: u16) -> anyhow::Result<Duration> {
        let steps = self.orders.len() as u64 * u64::from(workers);
        let bar = common::progress(steps, "workers go through the orders");
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for number in 1..=workers {
            running.spawn(self.clone().work(number, bar.clone()));
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        bar.finish_and_clear();
        Ok(begun.elapsed())
    }

    async fn work(self, number: u16, bar: ProgressBar) -> anyhow::Result<()> {
        let worker = format!("worker-{number}/{}", std::process::id());
        let mut ledger = Ledger::open(&self.ledger)
            .with_context(|| format!("cannot open the ledger {}", self.ledger.display()))?;
        for index in sequence(self.orders.len(), number) {
            let order = &self.orders[index];
            match &self.locks {
                None => charge_without_lock(&mut ledger, order, &worker).await,
                Some(locks) => charge_with_lock(locks, &mut ledger, order, &worker).await,
            }
            .with_context(|| format!("{worker}, {}", order.id))?;
            bar.inc(1);
        }
        Ok(())
    }
}

/// Wrong: while this worker pays, others look into the ledger and find no charge.
async fn charge_without_lock(
    ledger: &mut Ledger,
    order: &Order,
    worker: &str,
) -> anyhow::Result<()> {
    if !ledger.has_charge(order)? {
        pay(order).await;
        ledger.append(order, worker, None)?;
    }
    Ok(())
}

/// Right: one worker at a time looks, pays and writes, and the ledger checks its token.
async fn charge_with_lock(
    locks: &Locks,
    ledger: &mut Ledger,
    order: &Order,
    worker: &str,
) -> anyhow::Result<()> {
    let guard = locks.mutex(order.lock_name()?)?.owner(worker).lock().await?;
    if !ledger.has_charge(order)? {
        pay(order).await;
        ledger.charge(order, worker, guard.token())?;
    }
    guard.release().await?;
    Ok(())
}

/// The payment provider: it takes the money and needs a moment.
pub(crate) async fn pay(_order: &Order) {
    tokio::time::sleep(Duration::from_micros(fastrand::u64(200..1_000))).await;
}

/// All indexes below `len`, shuffled a little: all workers are near each other all the time, as
/// workers are that take their work from one table.
fn sequence(len: usize, worker: u16) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(worker.into());
    let mut indexes: Vec<_> = (0..len).collect();
    for near in indexes.chunks_mut(NEAR) {
        random.shuffle(near);
    }
    indexes
}

/// Few enough that 8 workers meet often, many enough that they do not all do the same.
const NEAR: usize = 50;
