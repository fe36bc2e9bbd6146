//! The measured loops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::time::sleep;

use crate::subjects::Subject;

mod hand_off;
mod kinds;
mod line;
mod many;

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
    /// So many tasks share one name, of which each wants it for itself every twentieth time.
    Readers { tasks: usize },
    /// So many tasks want one of so many permits of one name.
    Permits { tasks: usize, permits: usize },
    /// One task tries to take what another one holds.
    TryHeld,
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
            Self::ManyNames { .. }
            | Self::OwnNames { .. }
            | Self::Command { .. }
            | Self::TryHeld => false,
            Self::OneName { tasks, .. } => tasks > 1,
            Self::HandOff { .. } | Self::Readers { .. } | Self::Permits { .. } => true,
        }
    }

    /// Whether there is one request at a time, so that its way is what is measured.
    pub(crate) fn is_one_at_a_time(self) -> bool {
        match self {
            Self::OwnNames { tasks } => tasks == 1,
            Self::OneName { tasks, .. } => tasks == 1,
            Self::Command { .. } | Self::HandOff { .. } | Self::TryHeld => true,
            Self::ManyNames { .. } | Self::Readers { .. } | Self::Permits { .. } => false,
        }
    }

    /// Whether pauses of the harness are most of the time.
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Self::HandOff { .. } | Self::Command { .. })
    }

    /// The fewest batches of a round. Where somebody waits, one that polls takes longer for a few
    /// than a round should last, and the median of one or two says little; of many tasks, each does
    /// one at the least.
    pub(crate) fn least_batches(self) -> u32 {
        match self {
            Self::OneName { tasks, .. } if tasks > FEW => 1,
            Self::Readers { .. } | Self::Permits { .. } => 1,
            _ if self.contends() => 5,
            _ => 1,
        }
    }
}

impl Round {
    /// Runs one round of `load` on the current runtime.
    pub(crate) async fn run<S: Subject>(subject: &Arc<S>, load: Load) -> Result<Self> {
        match load.workload {
            Workload::ManyNames { names } => many::names(subject, load, names).await,
            Workload::Command { .. } => many::names(subject, load, 1).await,
            Workload::OwnNames { tasks } => many::own(subject, load, tasks).await,
            Workload::OneName { tasks, inside } => many::one(subject, load, tasks, inside).await,
            Workload::Readers { tasks } => kinds::readers(subject, load, tasks).await,
            Workload::Permits { tasks, permits } => {
                kinds::permits(subject, load, tasks, permits).await
            }
            Workload::TryHeld => kinds::try_held(subject, load).await,
            Workload::HandOff { settle } => hand_off::hand_off(subject, load, settle).await,
        }
    }

    pub(crate) fn new(cycles: u64, took: Duration, batch: u32, nanos: &[u64]) -> Result<Self> {
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

/// No pause at all is not even a yield.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// So few tasks do several batches in a round.
const FEW: usize = 8;
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;
    use crate::subjects::{At, PLAIN};

    struct Plain(Vec<Mutex<()>>);

    impl Subject for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
        where
            F: Future<Output = ()> + Send,
        {
            let _held = self.0[at.name - PLAIN].lock().await;
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
