//! The report: JSON for programs, a table for people, a page with plots.

use std::path::Path;
use std::time::SystemTime;
use std::{fmt, fs};

use anyhow::{Context as _, Result};

pub(crate) use self::again::{Again, Earlier};
pub(crate) use self::files::can_be_written;
use self::text::of;
use crate::bars::Verdict;
use crate::counts::Tally;
use crate::delays::Lapse;
use crate::harness::Group;
use crate::machine::Machine;
use crate::measured::Measured;

mod again;
mod choice;
mod files;
mod growth;
mod json;
mod page;
mod plot;
mod speed;
mod tails;
mod text;
mod trips;

/// All that a run has found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) groups: Vec<Group>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) lapses: Vec<Lapse>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) absent: Vec<Absent>,
    pub(crate) machine: Machine,
    pub(crate) date: SystemTime,
    pub(crate) quick: bool,
    pub(crate) is_interrupted: bool,
}

/// A backend that was not measured, as its store did not start.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) backend: &'static str,
    pub(crate) why: String,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the store did not start: {}", self.backend, self.why)
    }
}

impl Report {
    /// Writes the JSON report, and the page and the plots beside it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let json = (path.to_owned(), format!("{:#}\n", self.to_json()));
        let page = (path.with_extension("html"), self.page()?);
        let plots = self.plots()?.into_iter().map(|(name, svg)| (path.with_extension(name), svg));
        [json, page].into_iter().chain(plots).try_for_each(|(path, text)| {
            fs::write(&path, text).with_context(|| path.display().to_string())
        })
    }

    /// Whether an earlier run said the same.
    pub(crate) fn again(&self, then: &Earlier) -> Again {
        Again::of(&then.0, &self.to_json())
    }

    /// The missed bars, each with what it came to.
    pub(crate) fn missed(&self) -> Vec<String> {
        let missed = self.verdicts.iter().filter(|verdict| !verdict.is_ok());
        missed
            .map(|verdict| {
                let close = if verdict.is_close() { ", too close to call" } else { "" };
                format!("{} is {}, bar {}{close}", verdict.name, of(verdict), verdict.bound)
            })
            .collect()
    }

    /// Who could not answer, what, and why.
    pub(crate) fn failed(&self) -> Vec<String> {
        let groups = self
            .groups
            .iter()
            .map(|group| (group.backend, group.question, &group.failures))
            .chain(
                self.tallies
                    .iter()
                    .map(|tally| (tally.backend, tally.question.as_str(), &tally.failures)),
            )
            .chain(
                self.lapses.iter().map(|lapse| (lapse.backend, lapse.question, &lapse.failures)),
            );
        let lines = groups.flat_map(|(backend, question, failures)| {
            failures.iter().map(move |failure| {
                format!("{backend}: {question}: {}: {}", failure.subject, failure.why)
            })
        });
        self.absent.iter().map(Absent::to_string).chain(lines).collect()
    }

    fn is_noisy(&self) -> bool {
        self.groups.iter().any(Group::is_noisy)
            || self.verdicts.iter().any(|verdict| verdict.is_noisy)
    }
}

impl Group {
    /// Whether one of its numbers says little.
    fn is_noisy(&self) -> bool {
        self.is_disturbed || self.results.iter().any(Measured::is_noisy)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bars::{Bound, Metric};
    use crate::counts::Counts;
    use crate::delays::Lapses;
    use crate::harness::Failure;
    use crate::measured::Ratio;
    use crate::workload::Workload;

    pub(crate) fn report() -> Report {
        let measured = |subject, p50_us, rate, ratio| Measured {
            subject,
            p50_us,
            p99_us: 1_000.0 * p50_us,
            rate: Some(rate),
            rounds: vec![rate],
            ratio,
            range: rate..rate,
            tail: vec![(2.0, p50_us), (100.0, 1_000.0 * p50_us)],
        };
        let ratio = Ratio { median: 0.25, range: 0.2..0.3, rounds: 15 };
        let verdict = |value, range, is_noisy| Verdict {
            name: "local free: ours / peer".to_owned(),
            value,
            range,
            is_noisy,
            bound: Bound::AtLeast(1.5),
        };
        Report {
            groups: vec![Group {
                backend: "local",
                question: "free",
                workload: Workload::OwnNames { tasks: 1 },
                headline: Metric::Rate,
                base: "floor",
                results: vec![
                    measured("ours", 0.1, 7_500_000.0, Some(ratio)),
                    measured("floor", 0.025, 30_000_000.0, None),
                ],
                failures: vec![Failure { subject: "peer", why: "it hung".to_owned() }],
                others: Some(0.04),
                is_disturbed: false,
            }],
            tallies: vec![Tally {
                backend: "local",
                question: "held".to_owned(),
                units: &["bytes", "commands"],
                results: vec![Counts { subject: "ours", counts: vec![1_024.4, 3.0] }],
                failures: Vec::new(),
            }],
            lapses: vec![Lapse {
                backend: "local",
                question: "it breaks",
                results: vec![Lapses {
                    subject: "lock-ours",
                    times: [8, 20, 3_000].map(Duration::from_millis).to_vec(),
                }],
                failures: vec![Failure { subject: "peer", why: "it fell silent".to_owned() }],
            }],
            verdicts: vec![
                verdict(Some(2.0), Some(1.9..2.1), false),
                verdict(Some(1.2), Some(1.1..1.6), true),
                verdict(None, None, false),
            ],
            absent: vec![Absent { backend: "zk", why: "no Java".to_owned() }],
            machine: Machine { cores: 2, cpu: "a cpu".to_owned(), kernel: "6.1".to_owned() },
            date: SystemTime::UNIX_EPOCH,
            quick: false,
            is_interrupted: false,
        }
    }

    #[test]
    fn who_could_not_answer_is_named() {
        let failed = report().failed();
        assert_eq!(failed[0], "zk: the store did not start: no Java");
        assert_eq!(failed[1], "local: free: peer: it hung");
    }

    #[test]
    fn missed_bars_are_named() {
        let missed = report().missed();
        assert_eq!(missed.len(), 2);
        assert_eq!(missed[0], "local free: ours / peer is 1.20, bar >= 1.5, too close to call");
    }
}
