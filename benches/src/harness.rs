//! The matrix of questions and subjects.
//!
//! Machines have moods: another process, a hotter core, a neighbour. So the subjects of a question
//! take turns, round after round, each round in another order, and only medians over the rounds
//! are compared. A mood that lasts shorter than a few rounds falls out, one that lasts longer hits
//! all subjects alike.
//!
//! All alike is not enough where threads compete: with one of two cores gone, nobody competes, and
//! the answer is one to another question. So, as far as the kernel tells and nothing but this
//! process has work to do, a round in which other processes were busy is repeated.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use crate::asking::Asking;
use crate::bars::{Bar, Metric};
use crate::counts::{self, Count};
use crate::delays::{self, Delay};
use crate::measured::Measured;
use crate::progress::Progress;
use crate::sitting::Sitting;
use crate::subjects::Subject;
use crate::workload::{Load, Round, Workload};

/// A backend: its subjects, what they are asked, and what the answers have to reach.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<Box<dyn Contestant>>,
    /// The subject that the others are compared with, where it answers.
    pub(crate) floor: &'static str,
    /// Whether all of it runs in one process: then whatever else runs disturbs, and each round has a
    /// [process of its own](crate::sitting).
    pub(crate) is_in_process: bool,
    /// The process of its server, if it has one of its own.
    pub(crate) server: Option<u32>,
    pub(crate) questions: Vec<Question>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) counts: Vec<Count>,
    pub(crate) delays: Vec<Delay>,
    /// What the `question: subject` of a result has to contain.
    pub(crate) only: String,
}

/// What is asked of every subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    /// See [`Load::batch`].
    pub(crate) batch: u32,
    /// Whether it is but a point of how something grows, for which fewer rounds do.
    pub(crate) is_point: bool,
}

/// How long it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: usize,
    /// Of what is but a point of how something grows.
    rounds_of_points: usize,
    round: Duration,
    /// Of what has a process for each round, and so as many warm-ups.
    round_in_process: Duration,
    /// How long one waits whose commands are counted.
    pub(crate) wait: Duration,
    /// How many leases are held whose memory is counted, each of these at a time.
    pub(crate) leases: [usize; 3],
    /// How many wait for one lock whose requests are counted.
    pub(crate) waiters: usize,
    /// How often something breaks.
    pub(crate) episodes: usize,
    /// Whether what is counted is enough to be judged.
    pub(crate) judges_counts: bool,
}

/// The answers to one question, in the order of the subjects.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) backend: &'static str,
    pub(crate) question: &'static str,
    pub(crate) workload: Workload,
    /// The number that the question is about.
    pub(crate) headline: Metric,
    /// The subject that the others are compared with.
    pub(crate) base: &'static str,
    pub(crate) results: Vec<Measured>,
    pub(crate) failures: Vec<Failure>,
    /// The share of the machine that other processes used, the store's server among them.
    pub(crate) others: Option<f64>,
    pub(crate) is_disturbed: bool,
}

/// A subject that could not answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) subject: &'static str,
    pub(crate) why: String,
}

/// A [`Subject`] whose type is forgotten: one dynamic call for each round, none inside.
pub(crate) trait Contestant {
    fn name(&self) -> &'static str;
    fn answers(&self, question: &Question) -> bool;
    fn round(&self, runtime: &Runtime, load: Load) -> Result<Round>;
}

/// Asks every question of every subject of `backend`; the answers are added to `groups`.
pub(crate) fn run(
    runtime: &Runtime,
    backend: &Backend,
    plan: Plan,
    progress: &Progress,
    groups: &mut Vec<Group>,
) -> Result<()> {
    let is_asked = |question: &&Question| !backend.subjects_of(question).is_empty();
    let questions = backend.questions.iter().filter(is_asked);
    let mut asked: Vec<_> = questions.map(|question| Asking::new(backend, question)).collect();
    let sat = sit(runtime, backend, &mut asked, plan, progress);
    groups.extend(asked.into_iter().filter_map(Asking::group));
    sat
}

/// Sitting after sitting, in each all questions.
fn sit<'b>(
    runtime: &'b Runtime,
    backend: &'b Backend,
    asked: &mut [Asking<'b>],
    plan: Plan,
    progress: &Progress,
) -> Result<()> {
    let sittings = plan.sittings(backend);
    for at in 0..sittings {
        let sitting = Sitting::new(runtime, backend, at, sittings);
        for asking in &mut *asked {
            if progress.is_interrupted() {
                return Ok(());
            }
            let sat = asking.sit(&sitting, plan, progress);
            sat.with_context(|| format!("{}: {}", backend.name, asking.question.name))?;
        }
    }
    Ok(())
}

impl Backend {
    /// About how long it takes.
    pub(crate) fn expected(&self, plan: Plan) -> Duration {
        let sittings = plan.sittings(self);
        let (round, warm_up) = (plan.round_of(self), plan.warm_up(self));
        let asked = self.questions.iter().map(|question| {
            let (subjects, rounds) = (self.subjects_of(question).len(), plan.rounds_of(question));
            (round * rounds as u32 + warm_up * rounds.min(sittings) as u32) * subjects as u32
        });
        let counted = self.counts.iter().map(|count| self.counted_by(count, plan).len());
        let delayed = self.delays.iter().map(|delay| self.delayed_by(delay).len());
        asked.sum::<Duration>()
            + (plan.wait + counts::BESIDE) * counted.sum::<usize>() as u32
            + delays::EPISODE * (delayed.sum::<usize>() * plan.episodes) as u32
    }

    /// Whether `only` wants this.
    pub(crate) fn wants(&self, question: &str, subject: &str) -> bool {
        format!("{question}: {subject}").contains(&self.only)
    }

    pub(crate) fn is_disturbed_by(&self, others: Option<f64>) -> bool {
        self.is_in_process && others.is_some_and(|others| others > QUIET)
    }

    /// Who answers it, each with its place among all.
    pub(crate) fn subjects_of(&self, question: &Question) -> Vec<(usize, &dyn Contestant)> {
        let subjects = self.subjects.iter().map(|subject| &**subject).enumerate();
        let is_asked = |(_, subject): &(usize, &dyn Contestant)| {
            subject.answers(question) && self.wants(question.name, subject.name())
        };
        subjects.filter(is_asked).collect()
    }
}

impl Question {
    /// So many batches of each task.
    pub(crate) fn load(&self, batches: u32) -> Load {
        Load { workload: self.workload, batch: self.batch, batches }
    }

    pub(crate) fn headline(&self) -> Metric {
        match self.workload {
            workload if workload.is_one_at_a_time() => Metric::P50,
            _ => Metric::Rate,
        }
    }
}

impl Plan {
    pub(crate) fn rounds_of(self, question: &Question) -> usize {
        if question.is_point { self.rounds_of_points } else { self.rounds }
    }

    /// How often all questions are asked.
    fn sittings(self, backend: &Backend) -> usize {
        if backend.is_in_process { self.rounds } else { 1 }
    }

    pub(crate) fn round_of(self, backend: &Backend) -> Duration {
        if backend.is_in_process { self.round_in_process } else { self.round }
    }

    /// About how long a warm-up takes. After the first one the load is known.
    pub(crate) fn warm_up(self, backend: &Backend) -> Duration {
        if self.sittings(backend) > 1 { self.round_of(backend) / 2 } else { self.round_of(backend) }
    }

    pub(crate) const FULL: Self = Self {
        rounds: 15,
        rounds_of_points: 6,
        round: Duration::from_millis(200),
        round_in_process: Duration::from_millis(100),
        wait: Duration::from_secs(10),
        leases: [1, 100, 10_000],
        waiters: 1_000,
        episodes: 5,
        judges_counts: true,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        rounds_of_points: 1,
        round: Duration::from_millis(20),
        round_in_process: Duration::from_millis(20),
        wait: Duration::from_secs(1),
        leases: [1, 10, 500],
        waiters: 100,
        episodes: 1,
        judges_counts: false,
    };
}

impl Failure {
    pub(crate) fn new(subject: &'static str, error: &anyhow::Error) -> Self {
        Self { subject, why: format!("{error:#}") }
    }
}

impl<S: Subject> Contestant for Arc<S> {
    fn name(&self) -> &'static str {
        S::name(self)
    }

    fn answers(&self, question: &Question) -> bool {
        self.does(question.workload)
    }

    fn round(&self, runtime: &Runtime, load: Load) -> Result<Round> {
        // The tasks run on the workers; this thread only waits for them.
        let round = runtime.block_on(Round::run(self, load));
        round.with_context(|| Contestant::name(self))
    }
}

/// The greatest share of the machine that others may use.
pub(crate) const QUIET: f64 = 0.1;
