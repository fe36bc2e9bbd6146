//! Tasks that lock and unlock at a time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::{JoinSet, yield_now};

use super::{Inside, Load, Round, Workload, elapsed, pause};
use crate::subjects::{At, CLIENTS, PLAIN, Subject};

/// A task that locks and unlocks. Clones share the names.
#[derive(Clone)]
struct Worker {
    client: usize,
    names: Range<usize>,
    counter: Arc<Counter>,
}

impl Worker {
    /// Of the first client, on these names.
    fn new(names: Range<usize>) -> Self {
        let names = PLAIN + names.start..PLAIN + names.end;
        Self { client: 0, names, counter: Arc::default() }
    }
}

/// One task, on so many names in turn.
pub(super) async fn names<S: Subject>(subject: &Arc<S>, load: Load, names: usize) -> Result<Round> {
    many(subject, load, vec![Worker::new(0..names)], Inside::Nothing).await
}

/// So many tasks, each on a name of its own.
pub(super) async fn own<S: Subject>(subject: &Arc<S>, load: Load, tasks: usize) -> Result<Round> {
    let workers = (0..tasks).map(|name| Worker::new(name..name + 1)).collect();
    many(subject, load, workers, Inside::Nothing).await
}

/// So many tasks on one name. Each has a client of its own, as long as there is one.
pub(super) async fn one<S: Subject>(
    subject: &Arc<S>,
    load: Load,
    tasks: usize,
    inside: Inside,
) -> Result<Round> {
    let one = Worker::new(0..1);
    let worker = |task: usize| Worker { client: task % CLIENTS, ..one.clone() };
    many(subject, load, (0..tasks).map(worker).collect(), inside).await
}

/// Workers that all lock and unlock at a time.
async fn many<S: Subject>(
    subject: &Arc<S>,
    load: Load,
    workers: Vec<Worker>,
    inside: Inside,
) -> Result<Round> {
    let is_alone = workers.len() == 1;
    let mut running = JoinSet::new();
    let start = Instant::now();
    for worker in &workers {
        running.spawn(cycles(subject.clone(), worker.clone(), load, is_alone, inside));
    }
    let mut nanos = Vec::new();
    while let Some(worker) = running.join_next().await {
        nanos.extend(worker??);
    }
    let took = start.elapsed();

    let done = workers.len() as u64 * u64::from(load.batches) * u64::from(load.batch);
    let mut counters: Vec<_> = workers.iter().map(|worker| &worker.counter).collect();
    counters.dedup_by(|one, other| Arc::ptr_eq(one, other));
    let counted = counters.iter().map(|counter| counter.count()).sum::<u64>();
    ensure!(
        counted == done,
        "{} let two in at once: {counted} of {done} increments are left",
        subject.name()
    );
    Round::new(done, took, load.batch, &nanos)
}

async fn cycles<S: Subject>(
    subject: Arc<S>,
    worker: Worker,
    load: Load,
    is_alone: bool,
    inside: Inside,
) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(load.batches as usize);
    let mut names = worker.names.clone().cycle();
    let before_each = match load.workload {
        Workload::Command { pause } => pause,
        _ => Duration::ZERO,
    };
    for batch in 1..=load.batches {
        pause(before_each).await;
        let start = Instant::now();
        for name in names.by_ref().take(load.batch as usize) {
            let inside = || async {
                worker.counter.increment();
                if inside == Inside::Yield {
                    yield_now().await;
                }
            };
            subject.cycle(At { client: worker.client, name }, inside).await?;
        }
        nanos.push(elapsed(start));
        // Some subjects let other tasks run now and then, some never do while locks are free. With
        // this the tasks take turns whatever the subject, and all names are in use. So seldom that
        // it costs nothing that shows.
        if load.batch > 1 && !is_alone && batch % BATCHES_PER_TURN == 0 {
            yield_now().await;
        }
    }
    Ok(nanos)
}

/// Increments that get lost when two holders are inside at once.
#[derive(Default)]
// Two lines of 64 bytes: neighbours are fetched in pairs.
#[repr(align(128))]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        // Two steps on purpose.
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

const BATCHES_PER_TURN: u32 = 16;
