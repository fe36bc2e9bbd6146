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

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use crate::bars::{Bar, Metric};
use crate::cores::Apart;
use crate::counts::Count;
use crate::delays::Delay;
use crate::machine::CpuTime;
use crate::progress::Progress;
use crate::subjects::Subject;
use crate::workload::{Load, Round, Workload};

/// A backend: its subjects, what they are asked, and what the answers have to reach.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<Box<dyn Contestant>>,
    /// The subject that the others are compared with in the table.
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
}

/// How long it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: usize,
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
    pub(crate) floor: &'static str,
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

/// Medians over the rounds of one subject at one question.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) subject: &'static str,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Cycles a second; `None` where the harness sets the pace.
    pub(crate) rate: Option<f64>,
    /// The greatest over the least of the rounds, by the number that the question is about.
    pub(crate) spread: f64,
    /// Of that number: what nine of ten cycles take, or from the slowest round to the fastest.
    pub(crate) range: Range<f64>,
}

/// A [`Subject`] whose type is forgotten: one dynamic call for each round, none inside.
pub(crate) trait Contestant {
    fn name(&self) -> &'static str;
    fn answers(&self, question: &Question) -> bool;
    fn round(&self, runtime: &Runtime, load: Load) -> Result<Round>;
}

/// Asks every question of every subject of `backend`.
pub(crate) fn run(
    runtime: &Runtime,
    backend: &Backend,
    plan: Plan,
    progress: &Progress,
) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
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
    Ok(groups)
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
            Err(error) => failures.push(Failure::new(subject, &error)),
        }
        progress.step();
    }

    let mut others = Vec::new();
    let mut repeats = plan.rounds * REPEATS;
    while others.len() < plan.rounds && !progress.is_interrupted() {
        let before = CpuTime::read();
        parts.retain_mut(|part| {
            show(part.subject);
            let round = part.subject.round(runtime, part.load);
            progress.step();
            let round = round.map_err(|error| failures.push(Failure::new(part.subject, &error)));
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
            progress.back(parts.len());
        }
    }
    let others = others.into_iter().collect::<Option<Vec<f64>>>().map(median);

    let headline = question.headline();
    parts.sort_by_key(|part| part.place);
    let measured = |part: &Part<'_>| {
        Measured::new(part.subject.name(), question.workload, headline, &part.rounds)
    };
    let results = parts.iter().map(measured).collect();
    Ok(Group {
        backend: backend.name,
        question: question.name,
        workload: question.workload,
        headline,
        floor: backend.floor,
        results,
        failures,
        others,
        is_disturbed: backend.is_disturbed_by(others),
    })
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
    /// How many steps of the progress bar it takes.
    pub(crate) fn steps(&self, plan: Plan) -> u64 {
        let subjects = self.questions.iter().map(|question| self.subjects_of(question).len());
        let counted = self.counts.iter().map(|count| self.counted_by(count, plan).len());
        let delayed = self.delays.iter().map(|delay| self.delayed_by(delay).len());
        let rounds = subjects.sum::<usize>() * (plan.rounds + 1);
        let once = counted.sum::<usize>() + delayed.sum::<usize>() * plan.episodes;
        (rounds + once) as u64
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
    pub(crate) const FULL: Self = Self {
        rounds: 15,
        round: Duration::from_millis(200),
        wait: Duration::from_secs(10),
        leases: [1, 100, 10_000],
        waiters: 1_000,
        episodes: 7,
        judges_counts: true,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        round: Duration::from_millis(20),
        wait: Duration::from_secs(1),
        leases: [1, 10, 500],
        waiters: 100,
        episodes: 1,
        judges_counts: false,
    };
}

impl Failure {
    fn new(subject: &dyn Contestant, error: &anyhow::Error) -> Self {
        Self { subject: subject.name(), why: format!("{error:#}") }
    }
}

impl Measured {
    fn new(subject: &'static str, workload: Workload, headline: Metric, rounds: &[Round]) -> Self {
        let median_of = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
        let of_headline = |round: &Round| match headline {
            Metric::P50 => round.quantile_us(0.5),
            Metric::Rate => round.rate(),
        };
        let range = match headline {
            Metric::P50 => {
                median_of(&|round| round.quantile_us(0.05))..median_of(&|round| {
                    round.quantile_us(0.95)
                })
            }
            Metric::Rate => {
                let rates = || rounds.iter().map(Round::rate);
                rates().fold(f64::NAN, f64::min)..rates().fold(f64::NAN, f64::max)
            }
        };
        Self {
            subject,
            range,
            p50_us: median_of(&|round| round.quantile_us(0.5)),
            p99_us: median_of(&|round| round.quantile_us(0.99)),
            rate: (!workload.is_paced()).then(|| median_of(&Round::rate)),
            spread: spread(rounds.iter().map(of_headline)),
        }
    }

    /// Whether the rounds differ so much that the median says little.
    pub(crate) fn is_noisy(&self) -> bool {
        self.spread > CALM
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().fold(f64::NAN, f64::max) / values.fold(f64::NAN, f64::min)
}

/// The greatest ratio between the rounds of one result that is no noise.
pub(crate) const CALM: f64 = 1.3;

/// The greatest share of the machine that others may use.
pub(crate) const QUIET: f64 = 0.1;

/// How often all rounds may be repeated for the sake of quiet.
const REPEATS: usize = 2;

const GREATEST_STEP: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn spread_is_the_greatest_over_the_least() {
        assert_eq!(spread([4.0, 2.0, 3.0].into_iter()), 2.0);
        assert_eq!(spread([4.0].into_iter()), 1.0);
    }

    #[test]
    fn load_grows_within_bounds() {
        assert_eq!(scaled(1, 0.01), 1, "never nothing");
        assert_eq!(scaled(10, 2.5), 25);
        assert_eq!(scaled(u32::MAX, 8.0), u32::MAX);
    }
}
