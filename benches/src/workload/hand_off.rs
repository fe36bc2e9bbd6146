//! One lets go, the other waits.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Load, Round, elapsed, pause};
use crate::subjects::{At, PLAIN, Subject};

/// Two tasks that hand one lock to each other.
pub(super) async fn hand_off<S: Subject>(
    subject: &Arc<S>,
    load: Load,
    settle: Duration,
) -> Result<Round> {
    let pair = Arc::new(Pair::new());
    let mut running = JoinSet::new();
    for me in 0..2 {
        running.spawn(side(subject.clone(), pair.clone(), me, load.batches, settle));
    }
    let mut nanos = Vec::new();
    while let Some(side) = running.join_next().await {
        nanos.extend(side??);
    }
    Round::new(nanos.len() as u64, pair.start.elapsed(), 1, &nanos)
}

/// One side of the pair: takes every second turn, and gives it up once the other side waits.
async fn side<S: Subject>(
    subject: Arc<S>,
    pair: Arc<Pair>,
    me: usize,
    turns: u32,
    settle: Duration,
) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(turns as usize);
    if me == 1 {
        pair.has_begun.notified().await;
    }
    for turn in (me as u32..=turns).step_by(2) {
        if turn > 0 {
            pause(subject.is_served_every().mul_f64(fastrand::f64())).await;
        }
        let since_release = AtomicU64::new(NOT_GRANTED);
        let inside = || async {
            since_release.store(pair.since_release(), Relaxed);
            match turn {
                0 => pair.has_begun.notify_one(),
                _ => pair.is_granted[me].notify_one(),
            }
            if turn < turns {
                pair.waits[1 - me].notified().await;
                pause(settle + subject.polls_every().mul_f64(fastrand::f64())).await;
            }
            pair.stamp_release();
        };
        let is_granted = || since_release.load(Relaxed) != NOT_GRANTED;
        let waits = (turn > 0).then_some(&pair.waits[me]);
        announced(subject.cycle(At { client: me, name: PLAIN }, inside), is_granted, waits).await?;
        if turn > 0 {
            nanos.push(since_release.load(Relaxed));
        }
        // Not before: one that polls may overtake the waiter, and our next turn is not to delay it.
        if turn < turns {
            pair.is_granted[1 - me].notified().await;
        }
    }
    Ok(nanos)
}

/// Tells `waits` that the lock is not granted at once; it must not be.
async fn announced(
    cycle: impl Future<Output = Result<()>>,
    is_granted: impl Fn() -> bool,
    mut waits: Option<&Notify>,
) -> Result<()> {
    let mut cycle = pin!(cycle);
    poll_fn(|context| {
        let polled = cycle.as_mut().poll(context);
        if let Some(waits) = waits.take() {
            if is_granted() {
                return Poll::Ready(Err(anyhow!("a lock that was held was granted at once")));
            }
            waits.notify_one();
        }
        polled
    })
    .await
}

/// What the two sides of a hand-off share.
struct Pair {
    start: Instant,
    /// When the last release began, in nanoseconds from the start.
    released: AtomicU64,
    /// The first side holds the lock for the first time.
    has_begun: Notify,
    /// Which side waits for the lock.
    waits: [Notify; 2],
    /// Which side has got it.
    is_granted: [Notify; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            released: AtomicU64::new(0),
            has_begun: Notify::new(),
            waits: [Notify::new(), Notify::new()],
            is_granted: [Notify::new(), Notify::new()],
        }
    }

    fn stamp_release(&self) {
        self.released.store(elapsed(self.start), Release);
    }

    fn since_release(&self) -> u64 {
        elapsed(self.start).saturating_sub(self.released.load(Acquire))
    }
}

const NOT_GRANTED: u64 = u64::MAX;
