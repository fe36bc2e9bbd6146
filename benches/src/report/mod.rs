//! The report: JSON for programs, a table for people, a page with plots.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bars::Verdict;
use crate::counts::Tally;
use crate::delays::{Lapse, Lapses};
use crate::harness::{CALM, Failure, Group, Measured, QUIET};
use crate::machine::Machine;

mod facts;
mod growth;
mod page;
mod plot;

/// All that a run has found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) groups: Vec<Group>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) lapses: Vec<Lapse>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) machine: Machine,
    pub(crate) date: SystemTime,
    pub(crate) quick: bool,
}

impl Report {
    /// Writes the JSON report, and the page beside it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let page = path.with_extension("html");
        for (path, text) in [(path, format!("{:#}\n", self.to_json())), (&page, self.page()?)] {
            fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// The missed bars, each with what it came to.
    pub(crate) fn missed(&self) -> Vec<String> {
        let missed = self.verdicts.iter().filter(|verdict| !verdict.is_ok());
        missed
            .map(|verdict| format!("{} is {}, bar {}", verdict.name, of(verdict), verdict.bound))
            .collect()
    }

    /// Who could not answer, what, and why.
    pub(crate) fn failed(&self) -> Vec<String> {
        let failure = |group: &Group, failure: &Failure| {
            format!("{}: {}: {}: {}", group.backend, group.question, failure.subject, failure.why)
        };
        let failures = self.groups.iter().map(|group| (group, &group.failures));
        failures.flat_map(|(group, all)| all.iter().map(move |one| failure(group, one))).collect()
    }

    fn to_json(&self) -> Value {
        let results = self.groups.iter().flat_map(|group| {
            group.results.iter().map(|measured| {
                json!({
                    "backend": group.backend,
                    "question": group.question,
                    "subject": measured.subject,
                    "p50_us": measured.p50_us,
                    "p99_us": measured.p99_us,
                    "rate": measured.rate,
                    "spread": measured.spread,
                    "noisy": group.is_disturbed || measured.is_noisy(),
                    "others": group.others,
                })
            })
        });
        let counts = self.tallies.iter().flat_map(|tally| {
            tally.results.iter().map(|counts| {
                json!({
                    "backend": tally.backend,
                    "question": tally.question,
                    "subject": counts.subject,
                    "counts": object(tally.units, &counts.counts),
                })
            })
        });
        let delays = self.lapses.iter().flat_map(|lapse| {
            lapse.results.iter().map(|lapses| {
                let ms = |time: &Duration| time.as_secs_f64() * 1e3;
                json!({
                    "backend": lapse.backend,
                    "question": lapse.question,
                    "subject": lapses.subject,
                    "ms": lapses.times.iter().map(ms).collect::<Vec<_>>(),
                })
            })
        });
        let bars = self.verdicts.iter().map(|verdict| {
            json!({
                "name": verdict.name,
                "value": verdict.value,
                "bar": verdict.bound.to_string(),
                "ok": verdict.is_ok(),
            })
        });
        json!({
            "results": results.collect::<Vec<_>>(),
            "counts": counts.collect::<Vec<_>>(),
            "failures": self.failed(),
            "delays": delays.collect::<Vec<_>>(),
            "bars": bars.collect::<Vec<_>>(),
            "machine": {
                "cores": self.machine.cores,
                "cpu": self.machine.cpu,
                "kernel": self.machine.kernel,
            },
            "date": humantime::format_rfc3339_seconds(self.date).to_string(),
            "quick": self.quick,
        })
    }

    fn is_noisy(&self) -> bool {
        self.groups.iter().any(Group::is_noisy)
    }
}

impl Group {
    /// Whether one of its numbers says little.
    fn is_noisy(&self) -> bool {
        self.is_disturbed || self.results.iter().any(Measured::is_noisy)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            write!(f, "{}: {}", group.backend, group.question)?;
            if let Some(others) = group.others {
                let mark = if group.is_disturbed { " !" } else { "" };
                write!(f, "; other processes used {:.0} % of the machine{mark}", others * 100.0)?;
            }
            writeln!(f, "\n{}", table(&group_rows(group)))?;
            for failure in &group.failures {
                writeln!(f, "  {} could not answer: {}\n", failure.subject, failure.why)?;
            }
        }
        for tally in &self.tallies {
            let rows = table(&tally_rows(tally));
            writeln!(f, "{}: {}\n{rows}", tally.backend, tally.question)?;
        }
        for lapse in &self.lapses {
            let rows = table(&lapse_rows(lapse));
            writeln!(f, "{}: {}\n{rows}", lapse.backend, lapse.question)?;
        }
        if !self.verdicts.is_empty() {
            let rows = self.verdicts.iter().map(|verdict| {
                let outcome = if verdict.is_ok() { "ok" } else { "MISSED" };
                vec![verdict.name.clone(), of(verdict), bound(verdict), outcome.into()]
            });
            let header = ["bar", "value", "bound", ""].map(str::to_owned).to_vec();
            writeln!(f, "{}", table(&[header].into_iter().chain(rows).collect::<Vec<_>>()))?;
        }
        if self.is_noisy() {
            writeln!(
                f,
                "!  the rounds differ by more than {CALM}, or others used more than {:.0} % of the \
                 machine:\n   measure again on a calmer one",
                QUIET * 100.0
            )?;
        }
        if self.quick {
            writeln!(f, "a quick run: it shows that everything runs, its numbers say little")?;
        }
        writeln!(f, "{}, {}", self.machine, humantime::format_rfc3339_seconds(self.date))
    }
}

fn group_rows(group: &Group) -> Vec<Vec<String>> {
    let floor = group.results.iter().find(|measured| measured.subject == group.floor);
    let floor = floor.and_then(|floor| group.headline.of(floor));
    let to_floor = format!("{} / floor", group.headline.as_str());
    let header = ["subject", "p50", "p99", "rate", &to_floor, "spread", ""].map(str::to_owned);

    let rows = group.results.iter().map(|measured| {
        let ratio = group.headline.of(measured).zip(floor).map(|(value, floor)| value / floor);
        vec![
            measured.subject.to_owned(),
            time(measured.p50_us),
            time(measured.p99_us),
            measured.rate.map_or_else(|| "-".to_owned(), rate),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            format!("{:.2}", measured.spread),
            if measured.is_noisy() { "!" } else { "" }.to_owned(),
        ]
    });
    [header.to_vec()].into_iter().chain(rows).collect()
}

fn object(names: &[&str], values: &[f64]) -> Value {
    let entries = names.iter().zip(values);
    Value::Object(entries.map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
}

fn tally_rows(tally: &Tally) -> Vec<Vec<String>> {
    let header = [&["subject"], tally.units].concat();
    let header = header.into_iter().map(str::to_owned).collect();
    let rows = tally.results.iter().map(|counts| {
        let numbers = counts.counts.iter().map(|count| format!("{count:.0}"));
        [counts.subject.to_owned()].into_iter().chain(numbers).collect()
    });
    [header].into_iter().chain(rows).collect()
}

fn lapse_rows(lapse: &Lapse) -> Vec<Vec<String>> {
    let header = ["subject", "times", "least", "median", "greatest"].map(str::to_owned);
    let rows = lapse.results.iter().map(|lapses| {
        let times = [Lapses::least, Lapses::median, Lapses::greatest].map(|of| of(lapses));
        let times = times.map(|took| time(took.as_secs_f64() * 1e6));
        [vec![lapses.subject.to_owned(), lapses.times.len().to_string()], times.to_vec()].concat()
    });
    [header.to_vec()].into_iter().chain(rows).collect()
}

/// Two blanks in, the first column to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += &match column {
                0 => format!("  {cell:width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn of(verdict: &Verdict) -> String {
    verdict.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"))
}

fn bound(verdict: &Verdict) -> String {
    verdict.bound.to_string()
}

fn time(us: f64) -> String {
    if us < 10.0 {
        format!("{:.0} ns", us * 1_000.0)
    } else if us < 10_000.0 {
        format!("{us:.1} µs")
    } else {
        format!("{:.1} ms", us / 1_000.0)
    }
}

fn rate(rate: f64) -> String {
    if rate >= 1e6 {
        format!("{:.2} M/s", rate / 1e6)
    } else if rate >= 1e4 {
        format!("{:.1} k/s", rate / 1e3)
    } else {
        format!("{rate:.0} /s")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bars::{Bound, Metric};
    use crate::counts::Counts;
    use crate::workload::Workload;

    pub(crate) fn report() -> Report {
        let measured = |subject, p50_us, rate, spread| Measured {
            subject,
            p50_us,
            p99_us: 1_000.0 * p50_us,
            rate,
            spread,
            range: p50_us..p50_us,
        };
        let verdict = |value| Verdict {
            name: "local free: ours / peer".to_owned(),
            value,
            bound: Bound::AtLeast(1.5),
        };
        Report {
            groups: vec![Group {
                backend: "local",
                question: "free",
                workload: Workload::OwnNames { tasks: 1 },
                headline: Metric::Rate,
                floor: "floor",
                results: vec![
                    measured("ours", 0.1, Some(7_500_000.0), 1.1),
                    measured("floor", 0.025, Some(30_000_000.0), 1.31),
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
            }],
            lapses: vec![Lapse {
                backend: "local",
                question: "it breaks",
                results: vec![Lapses {
                    subject: "lock-ours",
                    times: [8, 20, 3_000].map(Duration::from_millis).to_vec(),
                }],
            }],
            verdicts: vec![verdict(Some(2.0)), verdict(Some(1.2)), verdict(None)],
            machine: Machine { cores: 2, cpu: "a cpu".to_owned(), kernel: "6.1".to_owned() },
            date: SystemTime::UNIX_EPOCH,
            quick: false,
        }
    }

    #[test]
    fn table_reads() {
        let expected = "\
local: free; other processes used 4 % of the machine
  subject     p50       p99       rate  rate / floor  spread
  ours     100 ns  100.0 µs   7.50 M/s          0.25    1.10
  floor     25 ns   25.0 µs  30.00 M/s          1.00    1.31  !

  peer could not answer: it hung

local: held
  subject  bytes  commands
  ours      1024         3

local: it breaks
  subject    times      least   median   greatest
  lock-ours      3  8000.0 µs  20.0 ms  3000.0 ms

  bar                             value   bound
  local free: ours / peer          2.00  >= 1.5      ok
  local free: ours / peer          1.20  >= 1.5  MISSED
  local free: ours / peer  not measured  >= 1.5  MISSED

!  the rounds differ by more than 1.3, or others used more than 10 % of the machine:
   measure again on a calmer one
2 cores, a cpu, kernel 6.1, 1970-01-01T00:00:00Z
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn json_has_every_number() {
        let json = report().to_json();
        assert_eq!(json["results"][0]["p50_us"], 0.1);
        assert_eq!(json["results"][1]["noisy"], true);
        assert_eq!(
            json["bars"][1],
            json!({
                "name": "local free: ours / peer", "value": 1.2, "bar": ">= 1.5", "ok": false,
            })
        );
        assert_eq!(json["bars"][2]["value"], Value::Null);
        let counts = json!({ "bytes": 1_024.4, "commands": 3.0 });
        assert_eq!(json["counts"][0]["counts"], counts);
        assert_eq!(json["date"], "1970-01-01T00:00:00Z");
        assert_eq!((&json["machine"]["cores"], &json["quick"]), (&json!(2), &json!(false)));
    }

    #[test]
    fn missed_bars_are_named() {
        let missed = report().missed();
        assert_eq!(missed.len(), 2);
        assert_eq!(missed[0], "local free: ours / peer is 1.20, bar >= 1.5");
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!([0.0954, 12.34, 65_000.0].map(time), ["95 ns", "12.3 µs", "65.0 ms"]);
        assert_eq!([79.4, 52_000.0, 2_400_000.0].map(rate), ["79 /s", "52.0 k/s", "2.40 M/s"]);
    }
}
