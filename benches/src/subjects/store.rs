//! What all stores with a server are asked, and how that is judged.

use std::time::Duration;

use anyhow::Result;

use crate::bars::{Bar, Bound, Cell, Metric};
use crate::counts::Cap;
use crate::harness::Question;
use crate::subjects::PERMITS;
use crate::workload::{Inside, Workload};

pub(crate) mod broken;
pub(crate) mod counted;
pub(crate) mod crowd;
pub(crate) mod far;
pub(crate) mod leases;
pub(crate) mod ours;
pub(crate) mod waiting;

/// Counts the requests that a server gets from its clients, from one moment to another.
pub(crate) trait Meter: Send + Sized {
    /// Counts from here on.
    fn start(url: &str) -> impl Future<Output = Result<Self>> + Send;

    /// What came until now, in as many numbers as the count has units for it.
    fn read(self) -> impl Future<Output = Result<Vec<f64>>> + Send;
}

/// A question whose cycles are timed one by one: a trip is long.
pub(crate) fn question(name: &'static str, workload: Workload) -> Question {
    Question { name, workload, batch: 1, is_point: false }
}

/// One that is only asked for the sake of how cost grows.
fn point(name: &'static str, workload: Workload) -> Question {
    Question { is_point: true, ..question(name, workload) }
}

pub(crate) fn p50(
    name: &'static str,
    (question, subject): (&'static str, &'static str),
    (over_question, over_subject): (&'static str, &'static str),
    bound: Bound,
) -> Bar {
    let of = Cell { question, subject };
    let over = Cell { question: over_question, subject: over_subject };
    Bar { name, metric: Metric::P50, of, over, bound }
}

pub(crate) fn rate(
    name: &'static str,
    question: &'static str,
    subject: &'static str,
    over: &'static str,
    at_least: f64,
) -> Bar {
    let (of, over) = (Cell { question, subject }, Cell { question, subject: over });
    Bar { name, metric: Metric::Rate, of, over, bound: Bound::AtLeast(at_least) }
}

pub(crate) fn cap(
    name: &'static str,
    subject: &'static str,
    unit: &'static str,
    at_most: f64,
) -> Cap {
    Cap { name, subject, unit, at_most }
}

pub(crate) fn spell(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// The names under which `subject` locks, after those of other kinds.
pub(crate) fn names(subject: &str) -> Vec<String> {
    let kinds = ["readers", "readers", "permits"].map(|kind| format!("{subject}/{kind}"));
    let orders = (0..NAMES).map(|name| format!("{subject}/orders/{name:06}"));
    kinds.into_iter().chain(orders).collect()
}

/// A free lock, and many at a time: on own names and on one.
pub(crate) fn growth() -> Vec<Question> {
    let own = |tasks| Workload::OwnNames { tasks };
    let one = |tasks| Workload::OneName { tasks, inside: Inside::Nothing };
    let mut questions = vec![question(FREE, own(1))];
    questions.extend(ON_OWN_NAMES.map(|(name, tasks)| question(name, own(tasks))));
    questions.extend(OWN_POINTS.map(|(name, tasks)| point(name, own(tasks))));
    questions.extend(ON_ONE_NAME.map(|(name, tasks)| question(name, one(tasks))));
    questions.extend(ONE_POINTS.map(|(name, tasks)| point(name, one(tasks))));
    questions
}

/// What every store is asked; a hand-off comes after `settle`.
pub(crate) fn questions(settle: Duration) -> Vec<Question> {
    let mut questions = growth();
    questions.extend([
        question(READERS, Workload::Readers { tasks: 64 }),
        question(SEMAPHORE, Workload::Permits { tasks: 64, permits: PERMITS }),
        question(TRY_HELD, Workload::TryHeld),
        question(HAND_OFF, Workload::HandOff { settle }),
        question(ONE_COMMAND, Workload::Command { pause: Duration::ZERO }),
        question(AFTER_A_PAUSE, Workload::Command { pause: settle }),
    ]);
    questions
}

pub(crate) const FREE: &str = "free lock";
pub(crate) const OWN_NAMES: &str = "64 tasks on own names";
pub(crate) const ONE_NAME: &str = "8 tasks on one name";
/// By how many there are.
const ON_OWN_NAMES: [(&str, usize); 3] =
    [("8 tasks on own names", 8), (OWN_NAMES, 64), ("512 tasks on own names", 512)];
const OWN_POINTS: [(&str, usize); 3] = [
    ("10 tasks on own names", 10),
    ("100 tasks on own names", 100),
    ("1000 tasks on own names", NAMES),
];
/// Of one alone it is the same as on own names.
const ON_ONE_NAME: [(&str, usize); 3] =
    [(ONE_NAME, 8), ("64 tasks on one name", 64), ("512 tasks on one name", 512)];
const ONE_POINTS: [(&str, usize); 3] = [
    ("10 tasks on one name", 10),
    ("100 tasks on one name", 100),
    ("1000 tasks on one name", NAMES),
];
pub(crate) const READERS: &str = "64 tasks on one name, 95 % read";
pub(crate) const SEMAPHORE: &str = "64 tasks on 8 permits";
pub(crate) const TRY_HELD: &str = "try a held lock";
pub(crate) const HAND_OFF: &str = "hand-off";
/// To one that has waited for a while.
pub(crate) const LATE_HAND_OFF: &str = "hand-off after 150ms";
pub(crate) const ONE_COMMAND: &str = "one command";
/// As a release, which comes while nothing else happens.
pub(crate) const AFTER_A_PAUSE: &str = "one command after a pause";

pub(crate) const BYTES: &str = "bytes a lease";

/// The most that a question asks for.
const NAMES: usize = 1_000;

/// Of every lock.
pub(crate) const TTL: Duration = Duration::from_secs(10);

/// Of a holder that is not to renew while a waiter's requests are counted.
pub(crate) const LONG_TTL: Duration = Duration::from_secs(60);
