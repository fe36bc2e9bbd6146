//! Whether an earlier run said the same.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::measured::{CALM, FEWEST};

/// The report of an earlier run.
#[derive(Debug)]
pub(crate) struct Earlier(pub(super) Value);

impl Earlier {
    /// Reads what a run has written as JSON.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        let report = serde_json::from_slice(&text).ok().filter(|report: &Value| {
            report["results"].as_array().is_some_and(|results| !results.is_empty())
        });
        let report = report.with_context(|| {
            format!("{} is no report.json with results of this program", path.display())
        })?;
        Ok(Self(report))
    }
}

/// What two runs make of the same subjects.
#[derive(Debug, Default)]
pub(crate) struct Again {
    then: String,
    ratios: usize,
    /// Further apart than what is taken for the same, which one of the two runs had marked.
    marked: Vec<String>,
    /// The same, which neither had.
    unmarked: Vec<String>,
    pairs: usize,
    /// Who came before whom, and no longer does, although neither run left that open.
    turned: Vec<String>,
}

/// A ratio as a report has it.
#[derive(Clone, Copy, Debug)]
struct Known {
    median: f64,
    low: f64,
    high: f64,
    is_noisy: bool,
    /// Whether the others are compared with it.
    is_base: bool,
}

/// Ratios by question and subject; of the one that all are compared with, that is 1.
type Ratios<'r> = BTreeMap<(&'r str, &'r str), BTreeMap<&'r str, Known>>;

impl Again {
    /// Compares two reports.
    pub(super) fn of(then: &Value, now: &Value) -> Self {
        let mut again = Self {
            then: then["date"].as_str().unwrap_or("an unknown date").to_owned(),
            ..Self::default()
        };
        let (then, now) = (ratios(then), ratios(now));
        for (question, now) in &now {
            let Some(then) = then.get(question) else { continue };
            let what = format!("{}: {}", question.0, question.1);
            let both: Vec<_> = now
                .iter()
                .filter_map(|(subject, now)| Some((*subject, *then.get(subject)?, *now)))
                .collect();
            for (at, (subject, then, now)) in both.iter().enumerate() {
                if !(then.is_base && now.is_base) {
                    again.see_ratio(&format!("{what}: {subject}"), *then, *now);
                }
                for (other, other_then, other_now) in &both[..at] {
                    again.pairs += 1;
                    let (was, is) = (order(*other_then, *then), order(*other_now, *now));
                    if was.zip(is).is_some_and(|(was, is)| was != is) {
                        again.turned.push(format!("{what}: {other} and {subject}"));
                    }
                }
            }
        }
        again
    }

    fn see_ratio(&mut self, what: &str, then: Known, now: Known) {
        self.ratios += 1;
        let apart = (then.median / now.median).max(now.median / then.median);
        if apart > CALM {
            let line = format!("{what}: {:.2} then, {:.2} now", then.median, now.median);
            let is_marked = then.is_noisy || now.is_noisy;
            if is_marked { &mut self.marked } else { &mut self.unmarked }.push(line);
        }
    }

    /// Whether they asked the same, and nothing is different that they had not said themselves.
    pub(crate) fn is_same(&self) -> bool {
        self.ratios > 0 && self.unmarked.is_empty() && self.turned.is_empty()
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, apart) = ((CALM - 1.0) * 100.0, self.marked.len() + self.unmarked.len());
        writeln!(
            f,
            "against the run of {}: of {} ratios {} are within {percent:.0} %; of {} pairs {} stand in \
             the same order, or one run at least left that open",
            self.then,
            self.ratios,
            self.ratios - apart,
            self.pairs,
            self.pairs - self.turned.len(),
        )?;
        let parts = [
            ("further apart, and marked by one of the runs", &self.marked),
            ("further apart, and not marked", &self.unmarked),
            ("in another order", &self.turned),
        ];
        for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            writeln!(f, "  {title}: {}", lines.len())?;
            lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

/// Which of the two is less; `None` where what is known of them overlaps.
fn order(one: Known, other: Known) -> Option<bool> {
    match () {
        () if one.high < other.low => Some(true),
        () if one.low > other.high => Some(false),
        () => None,
    }
}

fn ratios(report: &Value) -> Ratios<'_> {
    let mut ratios = Ratios::new();
    for result in report["results"].as_array().into_iter().flatten() {
        let text = |field: &str| result[field].as_str();
        let (Some(backend), Some(question), Some(subject)) =
            (text("backend"), text("question"), text("subject"))
        else {
            continue;
        };
        let is_noisy = result["noisy"].as_bool().unwrap_or(false);
        let known = |ratio: &Value| {
            let number = |field: &str| ratio[field].as_f64();
            let (median, low, high) = match ratio["rounds"].as_u64() {
                // They leave all open.
                Some(rounds) if rounds < FEWEST as u64 => (number("median")?, 0.0, f64::INFINITY),
                _ => (number("median")?, number("low")?, number("high")?),
            };
            Some(Known { median, low, high, is_noisy, is_base: false })
        };
        let base = Known { median: 1.0, low: 1.0, high: 1.0, is_noisy, is_base: true };
        let ratio = known(&result["ratio"]).unwrap_or(base);
        ratios.entry((backend, question)).or_default().insert(subject, ratio);
    }
    ratios
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(ratios: &[(&str, f64, f64, f64, bool)]) -> Value {
        let result = |(subject, median, low, high, noisy): &(&str, f64, f64, f64, bool)| {
            json!({
                "backend": "redis", "question": "free", "subject": subject, "noisy": noisy,
                "ratio": { "median": median, "low": low, "high": high },
            })
        };
        let base =
            json!({ "backend": "redis", "question": "free", "subject": "bare", "ratio": null });
        let results: Vec<_> = ratios.iter().map(result).chain([base]).collect();
        json!({ "results": results, "date": "then" })
    }

    #[test]
    fn same_is_same() {
        let run = report(&[("ours", 1.2, 1.1, 1.3, false), ("peer", 3.0, 2.9, 3.1, false)]);
        let again = Again::of(&run, &run);
        assert!(again.is_same());
        assert_eq!((again.ratios, again.pairs), (2, 3));
    }

    #[test]
    fn what_was_left_open_is_no_difference() {
        let then = report(&[("ours", 1.2, 0.9, 2.0, true), ("peer", 1.3, 1.0, 2.1, false)]);
        let now = report(&[("ours", 1.5, 1.4, 1.6, false), ("peer", 1.3, 1.2, 1.35, false)]);
        let again = Again::of(&then, &now);
        assert!(again.is_same(), "{again}");
        assert_eq!(again.marked, ["redis: free: ours: 1.20 then, 1.50 now"]);
    }

    #[test]
    fn what_was_not_is() {
        let then = report(&[("ours", 1.2, 1.1, 1.25, false), ("peer", 1.5, 1.4, 1.6, false)]);
        let now = report(&[("ours", 1.7, 1.65, 1.75, false), ("peer", 1.5, 1.4, 1.6, false)]);
        let again = Again::of(&then, &now);
        assert_eq!(again.unmarked, ["redis: free: ours: 1.20 then, 1.70 now"]);
        assert_eq!(again.turned, ["redis: free: ours and peer"]);
        assert!(!again.is_same() && again.to_string().contains("in another order: 1"), "{again}");
    }

    #[test]
    fn few_rounds_leave_all_open() {
        let then = report(&[("ours", 1.2, 1.2, 1.2, true), ("peer", 1.3, 1.3, 1.3, true)]);
        let mut now = report(&[("ours", 1.3, 1.3, 1.3, true), ("peer", 1.2, 1.2, 1.2, true)]);
        assert_eq!(Again::of(&then, &now).turned, ["redis: free: ours and peer"]);
        now["results"][0]["ratio"]["rounds"] = json!(5);
        assert!(Again::of(&then, &now).is_same());
    }

    #[test]
    fn what_only_one_run_asked_is_left_out() {
        let again = Again::of(&json!({}), &report(&[("ours", 1.0, 1.0, 1.0, false)]));
        assert!(!again.is_same() && again.ratios == 0, "they have nothing in common");
    }
}
