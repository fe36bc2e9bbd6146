//! How long it takes until things go on after something broke.
//!
//! Each is a matter of milliseconds or seconds, so it is measured a few times only. The subjects take
//! turns here as well.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::harness::{Backend, Failure, Plan};
use crate::progress::Progress;

/// Something that breaks, and those to whom it happens.
pub(crate) struct Delay {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<Box<dyn Delayed>>,
}

/// One to whom it happens.
pub(crate) trait Delayed {
    /// The name under which its results stand.
    fn name(&self) -> &'static str;

    /// Once, and how long it took.
    fn once(&self, runtime: &Runtime) -> Result<Duration>;
}

/// How long it took each of them.
#[derive(Debug)]
pub(crate) struct Lapse {
    pub(crate) backend: &'static str,
    pub(crate) question: &'static str,
    pub(crate) results: Vec<Lapses>,
    pub(crate) failures: Vec<Failure>,
}

/// Of one subject, from the shortest to the longest.
#[derive(Debug)]
pub(crate) struct Lapses {
    pub(crate) subject: &'static str,
    pub(crate) times: Vec<Duration>,
}

/// All delays of `backend`, one after the other.
pub(crate) fn run(
    runtime: &Runtime,
    backend: &Backend,
    plan: Plan,
    progress: &Progress,
) -> Vec<Lapse> {
    let mut lapses = Vec::new();
    for delay in &backend.delays {
        let mut lapse = Lapse::new(backend, delay);
        for _ in 0..plan.episodes {
            for (subject, result) in backend.delayed_by(delay).iter().zip(&mut lapse.results) {
                progress.running(backend.name, delay.name, subject.name());
                // One that fails keeps nobody else from answering.
                if lapse.failures.iter().all(|failure| failure.subject != subject.name()) {
                    match subject.once(runtime) {
                        _ if progress.is_interrupted() => return lapses,
                        Ok(took) => result.times.push(took),
                        Err(error) => lapse.failures.push(Failure::new(subject.name(), &error)),
                    }
                }
                progress.step(EPISODE);
            }
        }
        lapse.results.retain(|result| !result.times.is_empty());
        lapse.results.iter_mut().for_each(|result| result.times.sort_unstable());
        if !lapse.results.is_empty() || !lapse.failures.is_empty() {
            lapses.push(lapse);
        }
    }
    lapses
}

impl Lapse {
    fn new(backend: &Backend, delay: &Delay) -> Self {
        let subjects = backend.delayed_by(delay).into_iter();
        let result = |subject: &dyn Delayed| Lapses { subject: subject.name(), times: Vec::new() };
        Self {
            backend: backend.name,
            question: delay.name,
            results: subjects.map(result).collect(),
            failures: Vec::new(),
        }
    }
}

impl Lapses {
    pub(crate) fn least(&self) -> Duration {
        self.times.first().copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn greatest(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }
}

impl Backend {
    /// Those of a delay that `only` wants.
    pub(crate) fn delayed_by<'a>(&self, delay: &'a Delay) -> Vec<&'a dyn Delayed> {
        let subjects = delay.subjects.iter().map(|subject| &**subject);
        subjects.filter(|subject| self.wants(delay.name, subject.name())).collect()
    }
}

/// About what one episode takes, for the progress.
pub(crate) const EPISODE: Duration = Duration::from_secs(3);
