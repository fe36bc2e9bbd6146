//! What is counted, not timed: commands, memory.
//!
//! A count does not depend on the machine or its moods, so it is taken once, and a bar for it is a
//! plain number.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::bars::{Bound, Verdict};
use crate::harness::{Backend, Failure, Plan};
use crate::progress::Progress;

/// A question that is answered by counting.
pub(crate) struct Count {
    /// The question; how much is done depends on the plan.
    pub(crate) name: fn(Plan) -> String,
    /// What is counted: one number each.
    pub(crate) units: &'static [&'static str],
    pub(crate) subjects: Vec<Box<dyn Counted>>,
    pub(crate) caps: Vec<Cap>,
}

/// A subject of which something is counted.
pub(crate) trait Counted {
    /// The name under which its results stand.
    fn name(&self) -> &'static str;

    /// As many numbers as the question has units.
    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>>;
}

/// The most that a count may come to.
#[derive(Debug)]
pub(crate) struct Cap {
    pub(crate) name: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) at_most: f64,
}

/// The answers to one question.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) backend: &'static str,
    pub(crate) question: String,
    pub(crate) units: &'static [&'static str],
    pub(crate) results: Vec<Counts>,
    pub(crate) failures: Vec<Failure>,
}

/// What a subject came to, in the order of the units.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) subject: &'static str,
    pub(crate) counts: Vec<f64>,
}

/// Counts all that `backend` has to count, and judges it.
pub(crate) fn run(
    runtime: &Runtime,
    backend: &Backend,
    plan: Plan,
    progress: &Progress,
) -> (Vec<Tally>, Vec<Verdict>) {
    let (mut tallies, mut verdicts) = (Vec::new(), Vec::new());
    for count in &backend.counts {
        let question = (count.name)(plan);
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        for counted in backend.counted_by(count, plan) {
            let subject = counted.name();
            progress.running(backend.name, &question, subject);
            match counted.count(runtime, plan) {
                _ if progress.is_interrupted() => return (tallies, verdicts),
                Ok(counts) => results.push(Counts { subject, counts }),
                Err(error) => failures.push(Failure::new(subject, &error)),
            }
            progress.step(plan.wait + BESIDE);
        }
        if results.is_empty() && failures.is_empty() {
            continue;
        }
        let tally =
            Tally { backend: backend.name, question, units: count.units, results, failures };
        if plan.judges_counts {
            verdicts.extend(count.caps.iter().map(|cap| cap.judge(&tally)));
        }
        tallies.push(tally);
    }
    (tallies, verdicts)
}

impl Cap {
    fn judge(&self, tally: &Tally) -> Verdict {
        let value = tally.units.iter().position(|unit| *unit == self.unit).and_then(|at| {
            let counts = tally.results.iter().find(|counts| counts.subject == self.subject)?;
            counts.counts.get(at).copied()
        });
        let name = format!("{} {}", tally.backend, self.name);
        Verdict::counted(name, value, Bound::AtMost(self.at_most))
    }
}

impl Backend {
    /// The subjects of a count that `only` wants.
    pub(crate) fn counted_by<'a>(&self, count: &'a Count, plan: Plan) -> Vec<&'a dyn Counted> {
        let question = (count.name)(plan);
        let subjects = count.subjects.iter().map(|subject| &**subject);
        subjects.filter(|subject| self.wants(&question, subject.name())).collect()
    }
}

/// About what one takes that is not the wait, for the progress.
pub(crate) const BESIDE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_find_their_number() {
        let tally = Tally {
            backend: "redis",
            question: "commands".to_owned(),
            units: &["bytes", "commands"],
            results: vec![Counts { subject: "ours", counts: vec![900.0, 5.0] }],
            failures: Vec::new(),
        };
        let cap = |subject, unit, at_most| Cap { name: "cap", subject, unit, at_most };
        let verdict = cap("ours", "commands", 5.0).judge(&tally);
        assert_eq!((verdict.name.as_str(), verdict.value), ("redis cap", Some(5.0)));
        assert!(verdict.is_ok() && !cap("ours", "commands", 4.0).judge(&tally).is_ok());
        for (subject, unit) in [("theirs", "commands"), ("ours", "waits")] {
            assert!(!cap(subject, unit, 5.0).judge(&tally).is_ok(), "not counted, so missed");
        }
    }
}
