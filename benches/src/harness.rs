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

use crate::bars::{Bar, Metric};
use crate::cores::Apart;
use crate::counts::{self, Count};
use crate::delays::{self, Delay};
use crate::machine::CpuTime;
use crate::measured::{Measured, Ratio, median};
use crate::progress::Progress;
use crate::subjects::Subject;
use crate::workload::{Load, Round, Workload};

/// A backend: its subjects, what they are asked, and what the answers have to reach.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<Box<dyn Contestant>>,
    /// The subject that the others are compared with, where it answers.
    pub(crate) floor: &'static str,
    /// Whether all of it runs in this process: then whatever else runs disturbs.
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

/// What one subject does at a question.
struct Part<'s> {
    place: usize,
    subject: &'s dyn Contestant,
    load: Load,
    rounds: Vec<Round>,
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
    for question in backend.questions.iter().filter(is_asked) {
        let asked = ask(runtime, backend, question, plan, progress)
            .with_context(|| format!("{}: {}", backend.name, question.name));
        // What is not whole says nothing; and the servers may have been interrupted as well.
        if progress.is_interrupted() {
            break;
        }
        groups.push(asked?);
    }
    Ok(())
}

fn ask(
    runtime: &Runtime,
    backend: &Backend,
    question: &Question,
    plan: Plan,
    progress: &Progress,
) -> Result<Group> {
    let subjects = backend.subjects_of(question);
    let alone = backend.server.filter(|_| question.workload.is_one_at_a_time());
    let _apart = alone.map(Apart::from).transpose()?;
    let show = |subject: &dyn Contestant| {
        progress.running(backend.name, question.name, subject.name());
    };
    let (mut parts, mut failures) = (Vec::new(), Vec::new());
    for (place, subject) in subjects.into_iter().enumerate() {
        show(subject);
        match warm_up(runtime, subject, question, plan.round) {
            Ok(load) => parts.push(Part { place, subject, load, rounds: Vec::new() }),
            Err(error) => failures.push(Failure::new(subject.name(), &error)),
        }
        progress.step(plan.round);
    }

    let mut others = Vec::new();
    let rounds = plan.rounds_of(question);
    let mut repeats = rounds * REPEATS;
    while others.len() < rounds && !progress.is_interrupted() {
        let before = CpuTime::read();
        parts.retain_mut(|part| {
            show(part.subject);
            let round = part.subject.round(runtime, part.load);
            progress.step(plan.round);
            let round =
                round.map_err(|error| failures.push(Failure::new(part.subject.name(), &error)));
            round.map(|round| part.rounds.push(round)).is_ok()
        });
        let next = parts.len().min(1);
        parts.rotate_left(next);
        let busy = CpuTime::read().zip(before).map(|(now, before)| now.others_since(before));
        others.push(busy);
        if backend.is_disturbed_by(busy) && repeats > 0 {
            repeats -= 1;
            others.pop();
            parts.iter_mut().for_each(|part| drop(part.rounds.pop()));
            progress.back(plan.round * parts.len() as u32);
        }
    }
    let others = others.into_iter().collect::<Option<Vec<f64>>>().map(median);

    let headline = question.headline();
    parts.sort_by_key(|part| part.place);
    let measured = |part: &Part<'_>| {
        Measured::new(part.subject.name(), question.workload, headline, &part.rounds)
    };
    let mut results: Vec<_> = parts.iter().map(measured).collect();
    let base = compare(&mut results, backend.floor);
    Ok(Group {
        backend: backend.name,
        question: question.name,
        workload: question.workload,
        headline,
        base,
        results,
        failures,
        others,
        is_disturbed: backend.is_disturbed_by(others),
    })
}

/// Compares all with the floor, or with the first if that does not answer; returns who that is.
fn compare(results: &mut [Measured], floor: &'static str) -> &'static str {
    let Some(first) = results.first() else { return floor };
    let base = results.iter().find(|measured| measured.subject == floor).unwrap_or(first);
    let (base, rounds) = (base.subject, base.rounds.clone());
    for measured in results.iter_mut().filter(|measured| measured.subject != base) {
        measured.ratio = Ratio::of(&measured.rounds, &rounds);
    }
    base
}

/// Lets the subject run for a while, and finds the load that lasts `round`.
fn warm_up(
    runtime: &Runtime,
    subject: &dyn Contestant,
    question: &Question,
    round: Duration,
) -> Result<Load> {
    let least = question.workload.least_batches();
    let mut load = Load { workload: question.workload, batch: question.batch, batches: least };
    loop {
        let took = subject.round(runtime, load)?.took;
        let factor = round.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        // The shorter the trial, the less it says about a longer one.
        load.batches = scaled(load.batches, factor.min(GREATEST_STEP)).max(least);
        if factor <= GREATEST_STEP / 2.0 {
            return Ok(load);
        }
    }
}

fn scaled(batches: u32, factor: f64) -> u32 {
    (f64::from(batches) * factor).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

impl Backend {
    /// About how long it takes.
    pub(crate) fn expected(&self, plan: Plan) -> Duration {
        let rounds = self
            .questions
            .iter()
            .map(|question| self.subjects_of(question).len() * (plan.rounds_of(question) + 1));
        let counted = self.counts.iter().map(|count| self.counted_by(count, plan).len());
        let delayed = self.delays.iter().map(|delay| self.delayed_by(delay).len());
        plan.round * rounds.sum::<usize>() as u32
            + (plan.wait + counts::BESIDE) * counted.sum::<usize>() as u32
            + delays::EPISODE * (delayed.sum::<usize>() * plan.episodes) as u32
    }

    /// Whether `only` wants this.
    pub(crate) fn wants(&self, question: &str, subject: &str) -> bool {
        format!("{question}: {subject}").contains(&self.only)
    }

    fn is_disturbed_by(&self, others: Option<f64>) -> bool {
        self.is_in_process && others.is_some_and(|others| others > QUIET)
    }

    fn subjects_of(&self, question: &Question) -> Vec<&dyn Contestant> {
        let subjects = self.subjects.iter().map(|subject| &**subject);
        let is_wanted = |subject: &&dyn Contestant| self.wants(question.name, subject.name());
        subjects.filter(|subject| subject.answers(question)).filter(is_wanted).collect()
    }
}

impl Question {
    fn headline(&self) -> Metric {
        match self.workload {
            workload if workload.is_one_at_a_time() => Metric::P50,
            _ => Metric::Rate,
        }
    }
}

impl Plan {
    fn rounds_of(self, question: &Question) -> usize {
        if question.is_point { self.rounds_of_points } else { self.rounds }
    }

    pub(crate) const FULL: Self = Self {
        rounds: 15,
        rounds_of_points: 6,
        round: Duration::from_millis(200),
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

/// How often all rounds may be repeated for the sake of quiet.
const REPEATS: usize = 2;

const GREATEST_STEP: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_grows_within_bounds() {
        assert_eq!(scaled(1, 0.01), 1, "never nothing");
        assert_eq!(scaled(10, 2.5), 25);
        assert_eq!(scaled(u32::MAX, 8.0), u32::MAX);
    }
}
