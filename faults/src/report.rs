//! What came of it, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lock_conformance::history::{Finding, Place, Verdict};
use lockcore::Rule;
use serde_json::{Value, json};

use crate::fault::{Backend, Fault};
use crate::resource::Tally;

/// One backend.
pub(crate) struct Run {
    pub(crate) backend: Backend,
    pub(crate) seed: u64,
    /// How long faults were made.
    pub(crate) took: Duration,
    pub(crate) rows: Vec<Row>,
    /// Grants a second before the first fault, and after the last one.
    pub(crate) load: f64,
    pub(crate) load_after: f64,
    pub(crate) floor: f64,
    /// Why it ended before its time.
    pub(crate) ended: Option<String>,
    /// What the store still had when all were gone.
    pub(crate) left: Vec<String>,
    pub(crate) verdict: Verdict,
    pub(crate) fenced: Tally,
    /// Writes without a fence, and how many of them were undone.
    pub(crate) unfenced: (u64, u64),
}

/// One fault.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    /// How often each form has landed.
    pub(crate) landed: BTreeMap<&'static str, u64>,
    /// How often it has not, and why the last time.
    pub(crate) missed: u64,
    pub(crate) why_missed: String,
    /// How often the system did not heal.
    pub(crate) broken: u64,
    /// What showed that it had landed, the last time.
    pub(crate) shown: String,
}

impl Row {
    pub(crate) fn new(fault: Fault) -> Self {
        let (landed, why_missed, shown) = Default::default();
        Self { fault, landed, missed: 0, why_missed, broken: 0, shown }
    }

    pub(crate) fn landed(&mut self, form: &'static str, shown: String) {
        *self.landed.entry(form).or_default() += 1;
        self.shown = shown;
    }

    pub(crate) fn missed(&mut self, form: &'static str, why: String) {
        self.missed += 1;
        self.why_missed = format!("{form}: {why}");
    }

    fn is_tried(&self) -> bool {
        self.times() + self.missed + self.broken > 0
    }

    fn remark(&self) -> String {
        match (self.times(), self.missed) {
            (0, 0) => "not tried".to_owned(),
            (0, _) => self.why_missed.clone(),
            _ => {
                let forms = self.landed.iter().map(|(form, times)| format!("{form} {times}"));
                format!("{}; {}", forms.collect::<Vec<_>>().join(", "), self.shown)
            }
        }
    }

    pub(crate) fn times(&self) -> u64 {
        self.landed.values().sum()
    }
}

impl Run {
    /// Why it proves nothing.
    pub(crate) fn void(&self) -> Option<String> {
        (self.load < self.floor).then(|| {
            format!(
                "{:.0} grants/s before the first fault, and {:.0} are wanted",
                self.load, self.floor
            )
        })
    }

    /// What is wrong.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self.ended.iter().cloned().collect();
        failures.extend(self.void().map(|why| format!("void: {why}")));
        if !self.left.is_empty() {
            failures.push(format!("left behind: {}", self.left.join(", ")));
        }
        let count = self.verdict.contradictions.len();
        if count > 0 {
            failures.push(format!("{count} contradictions"));
        }
        let count = self.verdict.unexplained.len();
        if count > 0 {
            failures.push(format!("{count} unknown outcomes that nothing explains"));
        }
        // One for which there was no time is in the table; it counts for nothing.
        let never = self.rows.iter().filter(|row| row.times() == 0 && row.missed > 0);
        failures.extend(never.map(|row| format!("{} never landed: {}", row.fault, row.why_missed)));
        let is_paused = |row: &Row| row.fault == Fault::HolderPaused && row.times() > 0;
        if self.rows.iter().any(is_paused) && self.unfenced.1 == 0 {
            failures
                .push("the control did not fail: no write without a fence was undone".to_owned());
        }
        failures
    }

    /// What was broken as it is documented: by which fault, and how often.
    fn expected(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for Finding { rule, fault, .. } in &self.verdict.expected {
            let label = fault.as_ref().map_or("", |place| label(&place.text));
            *counts.entry(format!("{rule} during {label}")).or_default() += 1;
        }
        counts
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "fault": row.fault.to_string(),
                    "landed": row.times(),
                    "forms": row.landed,
                    "missed": row.missed,
                    "violations": row.broken,
                    "shown": row.shown,
                    "why_missed": row.why_missed,
                })
            })
            .collect();
        let contradictions: Vec<_> =
            self.verdict.contradictions.iter().map(contradiction).collect();
        json!({
            "backend": self.backend.to_string(),
            "seed": self.seed,
            "minutes": self.took.as_secs_f64() / 60.0,
            "faults": rows,
            "load": { "before": self.load, "after": self.load_after, "floor": self.floor },
            "events": self.verdict.events,
            "attempts": self.verdict.attempts,
            "grants": self.verdict.grants.len(),
            "unknown": self.verdict.unknown,
            "unexplained": self.verdict.unexplained.iter().map(line).collect::<Vec<_>>(),
            "contradictions": contradictions,
            "expected": self.expected(),
            "left": self.left,
            "failures": self.failures(),
            "fenced": { "admitted": self.fenced.admitted, "refused": self.fenced.refused },
            "unfenced": { "writes": self.unfenced.0, "lost": self.unfenced.1 },
        })
    }
}

fn contradiction(finding: &Finding) -> Value {
    let asked = finding.parties.iter().map(|party| line(&party.asked));
    json!({
        "rule": finding.rule.to_string(),
        "what": finding.what,
        "lock": finding.name.as_str(),
        "mode": finding.modes(),
        "lines": [line(&finding.one), line(&finding.other)],
        "asked": asked.collect::<Vec<_>>(),
    })
}

fn line(Place { file, line, text }: &Place) -> Value {
    json!({ "file": file, "line": line, "text": text })
}

/// The label in the line of a fault, up to its form.
fn label(line: &str) -> &str {
    let label = line.split(' ').find_map(|word| word.strip_prefix("label="));
    label.map_or(line, |label| label.split('%').next().unwrap_or(label))
}

/// How many lines of a kind are printed.
const SHOWN: usize = 20;
/// How many contradictions of each rule: one broken rule breaks others, and says more of itself than
/// these do.
const SHOWN_OF_EACH: usize = 4;

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.took.as_secs_f64() / 60.0;
        writeln!(f, "{}, seed {}, {minutes:.1} minutes", self.backend, self.seed)?;
        let width = self.rows.iter().map(|row| row.fault.to_string().len()).max().unwrap_or(0);
        writeln!(f, "  {:width$}  landed  missed  violations  forms; the last one", "fault")?;
        for row in &self.rows {
            let (fault, times) = (row.fault.to_string(), row.times());
            let Row { missed, broken, .. } = row;
            writeln!(f, "  {fault:width$}  {times:6}  {missed:6}  {broken:10}  {}", row.remark())?;
        }
        let tried = self.rows.iter().filter(|row| row.is_tried()).count();
        writeln!(f, "  {tried} of {} faults tried", self.rows.len())?;
        writeln!(
            f,
            "  {:.0} grants/s before, {:.0} after (floor {:.0})",
            self.load, self.load_after, self.floor
        )?;
        writeln!(
            f,
            "  fenced writes: {} taken, {} refused; without a fence: {} writes, {} undone by others",
            self.fenced.admitted, self.fenced.refused, self.unfenced.0, self.unfenced.1
        )?;
        let verdict = &self.verdict;
        writeln!(
            f,
            "  {} events of {} attempts, {} grants; {} outcomes unknown, {} of them unexplained",
            verdict.events,
            verdict.attempts,
            verdict.grants.len(),
            verdict.unknown,
            verdict.unexplained.len()
        )?;
        for place in verdict.unexplained.iter().take(SHOWN) {
            writeln!(f, "    {place}")?;
        }
        for (what, times) in self.expected() {
            writeln!(f, "  expected: {what}: {times}")?;
        }
        let mut broken = BTreeMap::<Rule, Vec<&Finding>>::new();
        for finding in &verdict.contradictions {
            broken.entry(finding.rule).or_default().push(finding);
        }
        for (rule, findings) in broken {
            writeln!(f, "  broken: {rule}: {}, of which these are the first", findings.len())?;
            for finding in findings.into_iter().take(SHOWN_OF_EACH) {
                write!(f, "{finding}")?;
            }
        }
        for failure in self.failures() {
            writeln!(f, "  FAILED: {failure}")?;
        }
        Ok(())
    }
}
