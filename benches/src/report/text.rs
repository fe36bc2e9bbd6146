//! The report for people at a terminal.

use std::fmt;
use std::ops::Range;

use super::Report;
use crate::bars::Verdict;
use crate::counts::Tally;
use crate::delays::{Lapse, Lapses};
use crate::harness::{Failure, Group, QUIET};
use crate::measured::CALM;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            write!(f, "{}: {}", group.backend, group.question)?;
            if let Some(others) = group.others {
                let mark = if group.is_disturbed { " !" } else { "" };
                write!(f, "; other processes used {:.0} % of the machine{mark}", others * 100.0)?;
            }
            writeln!(f, "\n{}", table(&group_rows(group)))?;
            failures(f, &group.failures)?;
        }
        for tally in &self.tallies {
            let rows = table(&tally_rows(tally));
            writeln!(f, "{}: {}\n{rows}", tally.backend, tally.question)?;
            failures(f, &tally.failures)?;
        }
        for lapse in &self.lapses {
            let rows = table(&lapse_rows(lapse));
            writeln!(f, "{}: {}\n{rows}", lapse.backend, lapse.question)?;
            failures(f, &lapse.failures)?;
        }
        if !self.verdicts.is_empty() {
            let rows = self.verdicts.iter().map(|verdict| {
                let outcome = outcome(verdict, "MISSED");
                [verdict_cells(verdict).to_vec(), vec![outcome]].concat()
            });
            let header = VERDICT.map(str::to_owned).to_vec();
            writeln!(f, "{}", table(&[header].into_iter().chain(rows).collect::<Vec<_>>()))?;
        }
        if self.is_noisy() {
            writeln!(
                f,
                "!  the rounds leave a ratio open by more than {:.0} %, or others used more than {:.0} % \
                 of the machine:\n   a second run may say something else",
                (CALM - 1.0) * 100.0,
                QUIET * 100.0
            )?;
        }
        for absent in &self.absent {
            writeln!(f, "{absent}")?;
        }
        if self.quick {
            writeln!(f, "a quick run: it shows that everything runs, its numbers say little")?;
        }
        writeln!(f, "{}, {}", self.machine, humantime::format_rfc3339_seconds(self.date))
    }
}

fn failures(f: &mut fmt::Formatter<'_>, failures: &[Failure]) -> fmt::Result {
    failures.iter().try_for_each(|failure| {
        writeln!(f, "  {} could not answer: {}\n", failure.subject, failure.why)
    })
}

/// Also how far each is from the first of the others, as a ratio and between which two it lies.
pub(super) fn group_rows(group: &Group) -> Vec<Vec<String>> {
    let to_base = format!("{} / {}", group.headline.as_str(), group.base);
    let header = ["subject", "p50", "p99", "rate", &to_base, "between", ""].map(str::to_owned);
    let rows = group.results.iter().map(|measured| {
        let ratio = measured.ratio.as_ref();
        vec![
            measured.subject.to_owned(),
            time(measured.p50_us),
            time(measured.p99_us),
            measured.rate.map_or_else(|| "-".to_owned(), rate),
            ratio.map_or_else(|| "-".to_owned(), |ratio| times(ratio.median)),
            ratio.map_or_else(String::new, |ratio| between(&ratio.range)),
            if measured.is_noisy() { "!" } else { "" }.to_owned(),
        ]
    });
    [header.to_vec()].into_iter().chain(rows).collect()
}

fn between(range: &Range<f64>) -> String {
    format!("{} to {}", times(range.start), times(range.end))
}

/// What is no whole number is one over many.
pub(super) fn count(count: f64) -> String {
    if count < 10.0 && count.fract() != 0.0 { format!("{count:.2}") } else { format!("{count:.0}") }
}

/// Two digits at the least that say something.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

pub(super) fn tally_rows(tally: &Tally) -> Vec<Vec<String>> {
    let header = [&["subject"], tally.units].concat();
    let header = header.into_iter().map(str::to_owned).collect();
    let rows = tally.results.iter().map(|counts| {
        let numbers = counts.counts.iter().map(|number| count(*number));
        [counts.subject.to_owned()].into_iter().chain(numbers).collect()
    });
    [header].into_iter().chain(rows).collect()
}

pub(super) fn lapse_rows(lapse: &Lapse) -> Vec<Vec<String>> {
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

pub(super) fn of(verdict: &Verdict) -> String {
    verdict.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"))
}

/// What stands above the cells of a verdict and its outcome.
pub(super) const VERDICT: [&str; 5] = ["bar", "value", "between", "bound", ""];

/// All but its outcome.
pub(super) fn verdict_cells(verdict: &Verdict) -> [String; 4] {
    let between = verdict.range.as_ref().map(between).unwrap_or_default();
    [verdict.name.clone(), of(verdict), between, verdict.bound.to_string()]
}

/// By its value, and how far that is to be believed.
pub(super) fn outcome(verdict: &Verdict, missed: &str) -> String {
    let outcome = if verdict.is_ok() { "ok" } else { missed };
    let close = if verdict.is_close() { ", too close to call" } else { "" };
    format!("{outcome}{close}{}", if verdict.is_noisy { " !" } else { "" })
}

/// Three digits, of what is given in microseconds.
pub(super) fn time(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1.0 => return format!("{:.0} ns", us * 1e3),
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

pub(super) fn rate(rate: f64) -> String {
    if rate >= 1e6 {
        format!("{:.2} M/s", rate / 1e6)
    } else if rate >= 1e4 {
        format!("{:.1} k/s", rate / 1e3)
    } else {
        format!("{rate:.0} /s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn table_reads() {
        let expected = "\
local: free; other processes used 4 % of the machine
  subject     p50      p99       rate  rate / floor       between
  ours     100 ns   100 µs   7.50 M/s          0.25  0.20 to 0.30  !
  floor     25 ns  25.0 µs  30.00 M/s             -

  peer could not answer: it hung

local: held
  subject  bytes  commands
  ours      1024         3

local: it breaks
  subject    times    least   median  greatest
  lock-ours      3  8.00 ms  20.0 ms    3.00 s

  peer could not answer: it fell silent

  bar                             value       between   bound
  local free: ours / peer          2.00  1.90 to 2.10  >= 1.5                           ok
  local free: ours / peer          1.20  1.10 to 1.60  >= 1.5  MISSED, too close to call !
  local free: ours / peer  not measured                >= 1.5                       MISSED

!  the rounds leave a ratio open by more than 15 %, or others used more than 10 % of the machine:
   a second run may say something else
zk: the store did not start: no Java
2 cores, a cpu, kernel 6.1, 1970-01-01T00:00:00Z
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(
            [0.0954, 12.34, 65_000.0, 2e6].map(time),
            ["95 ns", "12.3 µs", "65.0 ms", "2.00 s"]
        );
        assert_eq!([79.4, 52_000.0, 2_400_000.0].map(rate), ["79 /s", "52.0 k/s", "2.40 M/s"]);
    }
}
