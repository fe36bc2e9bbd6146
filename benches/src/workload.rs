//! The measured loops.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::subjects::{At, Subject};

/// What the tasks of a question do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One task locks and unlocks so many names, one after the other, again and again.
    ManyNames { names: usize },
    /// So many tasks, each locks and unlocks a name of its own.
    OwnNames { tasks: usize },
    /// So many tasks lock and unlock one name.
    OneName { tasks: usize, inside: Inside },
    /// One task gives the lock back while another one waits for it. `settle` is how long it takes,
    /// after the first poll, until the waiter surely stands in the queue.
    HandOff { settle: Duration },
    /// One task sends one command after a pause, again and again: what a store needs to answer
    /// anything. After a pause it needs longer, because cores and threads have gone to sleep.
    Command { pause: Duration },
}

/// What a holder does while it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Next to nothing.
    Nothing,
    /// Lets the other tasks of its worker run, so that they come and queue.
    Yield,
}

/// How much a round does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) workload: Workload,
    /// How many cycles are timed as one.
    ///
    /// Reading the clock twice costs about as much as locking and unlocking in one process. So
    /// there the time of 64 cycles is taken and divided: the quantiles are those of means of 64
    /// cycles, and a single slow one shows as a 64th of what it was. Against a server it is 1.
    pub(crate) batch: u32,
    /// How many batches each task does.
    pub(crate) batches: u32,
}

/// What a round came to.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) cycles: u64,
    pub(crate) took: Duration,
    /// Nanoseconds of a batch.
    latencies: Histogram<u64>,
    batch: u32,
}

impl Workload {
    /// Whether somebody waits for somebody else.
    pub(crate) fn contends(self) -> bool {
        match self {
            Self::ManyNames { .. } | Self::OwnNames { .. } | Self::Command { .. } => false,
            Self::OneName { .. } | Self::HandOff { .. } => true,
        }
    }

    /// Whether there is one request at a time, so that its way is what is measured.
    pub(crate) fn is_one_at_a_time(self) -> bool {
        match self {
            Self::OwnNames { tasks } => tasks == 1,
            Self::Command { .. } | Self::HandOff { .. } => true,
            Self::ManyNames { .. } | Self::OneName { .. } => false,
        }
    }

    /// The fewest batches of a round. Where somebody waits, one that polls takes longer for a few
    /// than a round should last, and the median of one or two says little.
    pub(crate) fn least_batches(self) -> u32 {
        if self.contends() { 5 } else { 1 }
    }
}

impl Round {
    /// Runs one round of `load` on the current runtime.
    pub(crate) async fn run<S: Subject>(subject: &Arc<S>, load: Load) -> Result<Self> {
        match load.workload {
            Workload::ManyNames { names } => {
                many(subject, load, vec![Worker::new(0..names)], Inside::Nothing).await
            }
            Workload::Command { .. } => {
                many(subject, load, vec![Worker::new(0..1)], Inside::Nothing).await
            }
            Workload::OwnNames { tasks } => {
                let workers = (0..tasks).map(|name| Worker::new(name..name + 1)).collect();
                many(subject, load, workers, Inside::Nothing).await
            }
            Workload::OneName { tasks, inside } => {
                let one = Worker::new(0..1);
                let workers = (0..tasks).map(|client| Worker { client, ..one.clone() }).collect();
                many(subject, load, workers, inside).await
            }
            Workload::HandOff { settle } => hand_off(subject, load, settle).await,
        }
    }

    fn new(cycles: u64, took: Duration, batch: u32, nanos: &[u64]) -> Result<Self> {
        let mut latencies = Histogram::new(SIGNIFICANT_DIGITS)?;
        for nanos in nanos {
            latencies.record(*nanos)?;
        }
        Ok(Self { cycles, took, latencies, batch })
    }

    /// Microseconds of a cycle.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let nanos = self.latencies.value_at_quantile(quantile);
        nanos as f64 / f64::from(self.batch) / 1_000.0
    }

    /// Cycles a second, of all tasks together.
    pub(crate) fn rate(&self) -> f64 {
        self.cycles as f64 / self.took.as_secs_f64()
    }
}

/// A task that locks and unlocks. Clones share the names.
#[derive(Clone)]
struct Worker {
    client: usize,
    names: Range<usize>,
    counter: Arc<Counter>,
}

impl Worker {
    fn new(names: Range<usize>) -> Self {
        Self { client: 0, names, counter: Arc::default() }
    }
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

/// Two tasks that hand one lock to each other.
async fn hand_off<S: Subject>(subject: &Arc<S>, load: Load, settle: Duration) -> Result<Round> {
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
        announced(subject.cycle(At { client: me, name: 0 }, inside), is_granted, waits).await?;
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

/// No pause at all is not even a yield.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}

/// Increments that get lost when two holders are inside at once.
#[derive(Default)]
// Two lines of 64 bytes: neighbours are fetched in pairs.
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    fn increment(&self) {
        // Two steps on purpose.
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
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

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

const BATCHES_PER_TURN: u32 = 16;
const NOT_GRANTED: u64 = u64::MAX;
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;

    struct Plain(Vec<Mutex<()>>);

    impl Subject for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
        where
            F: Future<Output = ()> + Send,
        {
            let _held = self.0[at.name].lock().await;
            inside().await;
            Ok(())
        }
    }

    /// Lets everybody in.
    struct Broken;

    impl Subject for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        async fn cycle<F>(&self, _: At, inside: impl FnOnce() -> F + Send) -> Result<()>
        where
            F: Future<Output = ()> + Send,
        {
            inside().await;
            Ok(())
        }
    }

    fn load(workload: Workload) -> Load {
        Load { workload, batch: 4, batches: 50 }
    }

    const WORKLOADS: [Workload; 6] = [
        Workload::Command { pause: Duration::from_micros(1) },
        Workload::ManyNames { names: 3 },
        Workload::OwnNames { tasks: 1 },
        Workload::OwnNames { tasks: 5 },
        Workload::OneName { tasks: 3, inside: Inside::Nothing },
        Workload::OneName { tasks: 3, inside: Inside::Yield },
    ];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn counts_every_cycle() {
        let plain = Arc::new(Plain((0..5).map(|_| Mutex::default()).collect()));
        for (workload, tasks) in WORKLOADS.into_iter().zip([1, 1, 1, 5, 3, 3]) {
            let round = Round::run(&plain, load(workload)).await.unwrap();
            assert_eq!(round.cycles, tasks * 200, "{workload:?}");
            assert_eq!(round.latencies.len(), tasks * 50, "{workload:?}");
            assert!(round.rate() > 0.0 && round.quantile_us(0.5) <= round.quantile_us(0.99));
        }
    }

    #[tokio::test]
    async fn times_every_hand_off() {
        let plain = Arc::new(Plain(vec![Mutex::default()]));
        let settle = Duration::from_millis(1);
        let round = Round::run(&plain, load(Workload::HandOff { settle })).await.unwrap();
        assert_eq!(round.cycles, 50);
        assert!(round.took >= settle * 50, "{round:?}");
    }

    #[tokio::test]
    async fn notices_a_lock_that_locks_nothing() {
        let broken = Arc::new(Broken);
        let hand_off = Workload::HandOff { settle: Duration::ZERO };
        assert!(Round::run(&broken, load(hand_off)).await.is_err());
        // On one thread increments survive; that is what the yield in a round of contenders is for.
        let own = Workload::OwnNames { tasks: 2 };
        assert!(Round::run(&broken, load(own)).await.is_ok());
    }
}
