//! Locks that several hold at a time, and tries.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use tokio::sync::Notify;
use tokio::task::{JoinSet, yield_now};

use super::many::Counter;
use super::{Load, Round, elapsed};
use crate::subjects::{At, CLIENTS, PERMIT, PLAIN, READ, Subject, WRITE};

/// So many tasks that read, and each every twentieth time write, one thing.
pub(super) async fn readers<S: Subject>(
    subject: &Arc<S>,
    load: Load,
    tasks: usize,
) -> Result<Round> {
    let (counter, mut running) = (Arc::<Counter>::default(), JoinSet::new());
    let start = Instant::now();
    for task in 0..tasks {
        let (subject, counter) = (subject.clone(), counter.clone());
        running.spawn(async move {
            let (mut nanos, mut written) = (Vec::with_capacity(load.batches as usize), 0);
            for _ in 0..load.batches {
                let start = Instant::now();
                for _ in 0..load.batch {
                    let writes = fastrand::u8(..WRITES_ONCE_IN) == 0;
                    let at = At { client: task % CLIENTS, name: if writes { WRITE } else { READ } };
                    let inside = || async {
                        if writes {
                            counter.increment();
                        }
                    };
                    subject.cycle(at, inside).await?;
                    written += u64::from(writes);
                }
                nanos.push(elapsed(start));
            }
            Ok::<_, anyhow::Error>((nanos, written))
        });
    }
    let (mut nanos, mut written) = (Vec::new(), 0);
    while let Some(task) = running.join_next().await {
        let (of_task, by_task) = task??;
        nanos.extend(of_task);
        written += by_task;
    }
    let (took, counted) = (start.elapsed(), counter.count());
    ensure!(counted == written, "{} let two write at once", subject.name());
    Round::new(cycles(tasks, load), took, load.batch, &nanos)
}

/// So many tasks that want one of so many permits.
pub(super) async fn permits<S: Subject>(
    subject: &Arc<S>,
    load: Load,
    tasks: usize,
    permits: usize,
) -> Result<Round> {
    let (inside, mut running) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let start = Instant::now();
    for task in 0..tasks {
        let (subject, inside) = (subject.clone(), inside.clone());
        running.spawn(async move {
            let mut nanos = Vec::with_capacity(load.batches as usize);
            let (at, most) = (At { client: task % CLIENTS, name: PERMIT }, AtomicUsize::new(0));
            for _ in 0..load.batches {
                let start = Instant::now();
                for _ in 0..load.batch {
                    let holds = || async {
                        most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                        yield_now().await;
                        inside.fetch_sub(1, Relaxed);
                    };
                    subject.cycle(at, holds).await?;
                }
                nanos.push(elapsed(start));
            }
            let most = most.into_inner();
            ensure!(most <= permits, "{most} are inside of {permits}");
            Ok(nanos)
        });
    }
    let mut nanos = Vec::new();
    while let Some(task) = running.join_next().await {
        nanos.extend(task??);
    }
    Round::new(cycles(tasks, load), start.elapsed(), load.batch, &nanos)
}

/// One task tries again and again, while another one holds it.
pub(super) async fn try_held<S: Subject>(subject: &Arc<S>, load: Load) -> Result<Round> {
    let (is_held, end) = (Notify::new(), Notify::new());
    let holds = subject.cycle(At { client: 0, name: PLAIN }, || async {
        is_held.notify_one();
        end.notified().await;
    });
    let tries = async {
        is_held.notified().await;
        let subject = subject.clone();
        let tries = tokio::spawn(async move {
            let mut nanos = Vec::with_capacity(load.batches as usize);
            let start = Instant::now();
            for _ in 0..load.batches {
                let start = Instant::now();
                for _ in 0..load.batch {
                    if subject.is_taken(At { client: 1, name: PLAIN }).await? {
                        bail!("{} gave what another one holds", subject.name());
                    }
                }
                nanos.push(elapsed(start));
            }
            Ok((nanos, start.elapsed()))
        });
        let tried = tries.await;
        end.notify_one();
        tried?
    };
    let (mut holds, mut tries) = (pin!(holds), pin!(tries));
    let (nanos, took) = tokio::select! {
        held = &mut holds => bail!("{} did not hold: {held:?}", subject.name()),
        tried = &mut tries => tried?,
    };
    holds.await?;
    Round::new(cycles(1, load), took, load.batch, &nanos)
}

fn cycles(tasks: usize, load: Load) -> u64 {
    tasks as u64 * u64::from(load.batches) * u64::from(load.batch)
}

/// 95 % reads.
const WRITES_ONCE_IN: u8 = 20;
