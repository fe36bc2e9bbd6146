//! How long it takes until things go on after something broke.
//!
//! Each is a matter of milliseconds or seconds, so it is measured a few times only. The subjects take
//! turns here as well.

use std::time::Duration;

use anyhow::{Error, Result};
use tokio::runtime::Runtime;

use crate::harness::{Backend, Plan};
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
) -> Result<Vec<Lapse>> {
    let mut lapses = Vec::new();
    for delay in &backend.delays {
        let subjects = backend.delayed_by(delay);
        let mut parts = Vec::new();
        for subject in subjects {
            parts.push((subject, Lapses { subject: subject.name(), times: Vec::new() }));
        }
        for _ in 0..plan.episodes {
            let mut going = Vec::new();
            for (subject, mut result) in parts {
                progress.running(backend.name, delay.name, subject.name());
                let took = subject.once(runtime);
                if progress.is_interrupted() {
                    return Ok(lapses);
                }
                progress.step();
                match took {
                    Ok(took) => {
                        result.times.push(took);
                        going.push((subject, result));
                    }
                    Err(error) => complain(backend, delay, subject, &error),
                }
            }
            parts = going;
        }
        let mut results: Vec<_> = parts.into_iter().map(|(_, result)| result).collect();
        for result in &mut results {
            result.times.sort_unstable();
        }
        if !results.is_empty() {
            lapses.push(Lapse { backend: backend.name, question: delay.name, results });
        }
    }
    Ok(lapses)
}

/// One that fails keeps nobody else from answering.
fn complain(backend: &Backend, delay: &Delay, subject: &dyn Delayed, error: &Error) {
    let (backend, question, subject) = (backend.name, delay.name, subject.name());
    eprintln!("{backend}: {question}: {subject} could not answer: {error:#}");
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
