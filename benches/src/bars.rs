//! What the numbers have to reach.

use std::fmt;
use std::ops::Range;

use crate::harness::Group;
use crate::measured::{Measured, Ratio};

/// A number that has to reach a bar: a ratio of two results of one run. Of one question it is that of
/// the rounds, of two that of the medians.
///
/// No bar is an absolute time: what stands on both sides of a ratio ran on the same machine, under
/// the same load, in turns.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) metric: Metric,
    pub(crate) of: Cell,
    pub(crate) over: Cell,
    pub(crate) bound: Bound,
}

/// The results of a subject at a question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) question: &'static str,
    pub(crate) subject: &'static str,
}

/// Which number of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    P50,
    Rate,
}

/// On which side of the bar a value has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What became of a bar.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    /// `None` when one of its sides was not measured.
    pub(crate) value: Option<f64>,
    /// Between which two it lies, where rounds can tell. What is counted is as it is.
    pub(crate) range: Option<Range<f64>>,
    /// Whether a second run may well say something else of it.
    pub(crate) is_noisy: bool,
    pub(crate) bound: Bound,
}

impl Bar {
    pub(crate) fn judge(&self, backend: &str, groups: &[Group]) -> Verdict {
        let side = |cell: Cell| {
            let asked = groups
                .iter()
                .filter(|group| group.backend == backend && group.question == cell.question);
            let mut measured =
                asked.flat_map(|group| group.results.iter().map(move |measured| (group, measured)));
            measured.find(|(_, measured)| measured.subject == cell.subject)
        };
        let sides = side(self.of).zip(side(self.over));
        let ratio = sides.and_then(|(of, over)| self.ratio(of, over));
        let medians = || {
            let ((_, of), (_, over)) = sides?;
            Some(self.metric.of(of)? / self.metric.of(over)?)
        };
        Verdict {
            name: format!("{backend} {}", self.name),
            value: ratio.as_ref().map(|ratio| ratio.median).or_else(medians),
            is_noisy: ratio.as_ref().is_some_and(Ratio::is_noisy)
                || sides.is_some_and(|(of, over)| of.0.is_disturbed || over.0.is_disturbed),
            range: ratio.map(|ratio| ratio.range),
            bound: self.bound,
        }
    }

    /// What is known of it round by round, where the rounds have this number.
    fn ratio(&self, of: (&Group, &Measured), over: (&Group, &Measured)) -> Option<Ratio> {
        let ((question, of), (over_question, over)) = (of, over);
        match () {
            () if [question, over_question].iter().any(|group| group.headline != self.metric) => {
                None
            }
            () if question.question == over_question.question => {
                Ratio::of(&of.rounds, &over.rounds)
            }
            () => Ratio::apart(&of.rounds, &over.rounds),
        }
    }
}

impl Metric {
    pub(crate) fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Self::P50 => Some(measured.p50_us),
            Self::Rate => measured.rate,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::Rate => "rate",
        }
    }
}

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
        }
    }
}

impl Verdict {
    /// Of a count: that is taken once.
    pub(crate) fn counted(name: String, value: Option<f64>, bound: Bound) -> Self {
        Self { name, value, range: None, is_noisy: false, bound }
    }

    /// A bar that could not be measured is missed.
    pub(crate) fn is_ok(&self) -> bool {
        self.value.is_some_and(|value| self.bound.admits(value))
    }

    /// Whether the truth may be on the other side of the bar.
    pub(crate) fn is_close(&self) -> bool {
        let admits = |value| self.bound.admits(value);
        self.range.as_ref().is_some_and(|range| admits(range.start) != admits(range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    fn groups() -> [Group; 1] {
        let measured = |subject, p50_us, rate| Measured {
            subject,
            p50_us,
            p99_us: 2.0 * p50_us,
            rate,
            rounds: rate.into_iter().collect(),
            ratio: None,
            range: p50_us..p50_us,
            tail: Vec::new(),
        };
        let results = vec![measured("ours", 2.0, Some(30.0)), measured("peer", 8.0, Some(20.0))];
        [Group {
            backend: "local",
            question: "free",
            workload: Workload::OwnNames { tasks: 1 },
            headline: Metric::Rate,
            base: "peer",
            results,
            failures: Vec::new(),
            others: None,
            is_disturbed: false,
        }]
    }

    fn bar(metric: Metric, over: &'static str, bound: Bound) -> Bar {
        let cell = |subject| Cell { question: "free", subject };
        Bar { name: "free: ours / other", metric, of: cell("ours"), over: cell(over), bound }
    }

    #[test]
    fn bars_are_ratios_and_the_bar_itself_is_enough() {
        let verdict = |metric, bound: Bound| bar(metric, "peer", bound).judge("local", &groups());
        let rate = verdict(Metric::Rate, Bound::AtLeast(1.5));
        assert_eq!((rate.value, rate.is_ok()), (Some(1.5), true));
        assert_eq!(rate.name, "local free: ours / other");
        assert!(!verdict(Metric::Rate, Bound::AtLeast(1.51)).is_ok());

        let p50 = verdict(Metric::P50, Bound::AtMost(0.25));
        assert_eq!((p50.value, p50.is_ok()), (Some(0.25), true));
        assert!(!verdict(Metric::P50, Bound::AtMost(0.24)).is_ok());
    }

    #[test]
    fn what_rounds_leave_open_is_close() {
        let verdict = |rounds: &[f64], over: &str, at_least| {
            let mut groups = [groups(), groups()].map(|[group]| group);
            groups[0].results[0].rounds = rounds.to_vec();
            groups[0].results[1].rounds = vec![1.0; rounds.len()];
            groups[1].question = "again";
            groups[1].results[1].rounds = vec![1.0; rounds.len()];
            let mut bar = bar(Metric::Rate, "peer", Bound::AtLeast(at_least));
            bar.over.question = if over == "free" { "free" } else { "again" };
            bar.judge("local", &groups)
        };
        let calm = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05];
        for over in ["free", "again"] {
            let close = verdict(&calm, over, 1.01);
            assert_eq!((close.range.clone(), close.is_ok()), (Some(1.0..1.05), true), "{over}");
            assert!(close.is_close() && !close.is_noisy, "{over}");
            assert!(!verdict(&calm, over, 1.0).is_close() && !verdict(&calm, over, 1.1).is_close());
        }
        let wild = verdict(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "free", 1.0);
        assert!(wild.is_noisy && !wild.is_close() && wild.is_ok());
        assert!(verdict(&calm[1..], "free", 0.5).is_noisy, "too few rounds");
    }

    #[test]
    fn what_was_not_measured_is_missed() {
        for (backend, over) in [("local", "nobody"), ("redis", "peer")] {
            let verdict = bar(Metric::Rate, over, Bound::AtLeast(0.0)).judge(backend, &groups());
            assert_eq!((verdict.value, verdict.is_ok()), (None, false));
        }
        let mut unrated = groups();
        unrated[0].results[0].rate = None;
        unrated[0].results[0].rounds.clear();
        assert!(!bar(Metric::Rate, "peer", Bound::AtMost(9.0)).judge("local", &unrated).is_ok());
    }

    #[test]
    fn no_number_reaches_no_bar() {
        for bound in [Bound::AtLeast(1.0), Bound::AtMost(1.0)] {
            assert!(!bound.admits(f64::NAN));
        }
        assert_eq!(Bound::AtLeast(1.5).to_string(), ">= 1.5");
        assert_eq!(Bound::AtMost(3.0).to_string(), "<= 3");
    }
}
