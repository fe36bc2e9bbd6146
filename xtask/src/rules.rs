//! Which rule has how many conformance cases on which backend.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::sh::Sh;
use crate::table;

/// The harness's `BACKEND`, and the test of the target `it` that prints its rules. A store that comes in
/// several kinds has a line, and a column, for each.
const BACKENDS: &[(&str, &str)] = &[
    ("local", "conformance::rules"),
    ("redis", "redis::conformance::rules"),
    ("redis (valkey)", "valkey::conformance::rules"),
    ("redis (cluster)", "cluster::conformance::rules"),
    ("etcd", "etcd::conformance::rules"),
    ("etcd (3.4)", "old::conformance::rules"),
    ("etcd (cluster)", "cluster::conformance::rules"),
    ("zk", "single::conformance::rules"),
    ("zk (ensemble)", "ensemble::conformance::rules"),
];

pub(crate) fn run() -> Result<()> {
    let mut tallies = Vec::new();
    // All at once, and of the build that the tests use.
    let tests: BTreeSet<_> = BACKENDS.iter().map(|(_, test)| test).collect();
    let output = Sh::cargo(["test", "-q", "--workspace", "--all-features", "--test", "it"])
        .args(["--", "--exact", "--nocapture", "--test-threads", "1"])
        .args(tests)
        .stdout()?;
    for (backend, _) in BACKENDS {
        tallies.push(Tally::parse(backend, &output)?);
    }
    print!("{}", render(&tallies));

    let missing = missing(&tallies);
    if !missing.is_empty() {
        bail!("rules without a case: {}", missing.join(", "));
    }
    Ok(())
}

/// What one backend's suite says about itself.
#[derive(Debug, PartialEq)]
struct Tally {
    backend: String,
    /// Cases that run, by rule.
    cases: BTreeMap<u8, usize>,
    out: Vec<OptOut>,
}

/// A case that the backend does not run.
#[derive(Debug, PartialEq)]
struct OptOut {
    rule: u8,
    case: String,
    reason: String,
}

impl Tally {
    fn parse(backend: &str, output: &str) -> Result<Self> {
        let mut tally =
            Self { backend: backend.to_owned(), cases: BTreeMap::new(), out: Vec::new() };
        for line in output.lines() {
            // The test harness may have begun the line with a dot or the name of the test.
            if let Some((_, entry)) = line.split_once(MARK)
                && !is_of_another(entry, backend)
            {
                tally
                    .add(entry)
                    .with_context(|| format!("not a line of the rule table: {line:?}"))?;
            }
        }
        Ok(tally)
    }

    fn add(&mut self, entry: &str) -> Result<()> {
        // Names may have blanks, and one may begin with another: `redis`, `redis (valkey)`.
        let after_name = entry.trim().strip_prefix(&self.backend).and_then(|s| s.strip_prefix(' '));
        let after_name = after_name.with_context(|| format!("not of {}", self.backend))?;
        let (rule, rest) = after_name.split_once(' ').context("too short")?;
        let rule = parse_rule(rule).with_context(|| format!("not of {}", self.backend))?;
        if let Some(opt_out) = rest.strip_prefix("out ") {
            let (case, reason) = opt_out.split_once(':').context("an opt-out without a reason")?;
            let (case, reason) = (case.trim().to_owned(), reason.trim().to_owned());
            ensure!(!case.is_empty(), "an opt-out without a case");
            ensure!(!reason.is_empty(), "an opt-out without a reason");
            self.out.push(OptOut { rule, case, reason });
        } else {
            let count: usize = rest.trim().parse().context("no number of cases")?;
            *self.cases.entry(rule).or_default() += count;
        }
        Ok(())
    }

    fn cell(&self, rule: u8) -> Cell {
        match self.cases.get(&rule) {
            Some(&count) if count > 0 => Cell::Cases(count),
            _ if self.out.iter().any(|opt_out| opt_out.rule == rule) => Cell::Out,
            _ => Cell::Missing,
        }
    }
}

/// Whether another backend than this says it of itself.
fn is_of_another(entry: &str, backend: &str) -> bool {
    let is_of = |name: &str| {
        let rest = entry.trim().strip_prefix(name).and_then(|rest| rest.strip_prefix(" R"));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    BACKENDS.iter().any(|(name, _)| *name != backend && is_of(name))
}

enum Cell {
    Cases(usize),
    Out,
    Missing,
}

fn parse_rule(word: &str) -> Result<u8> {
    let number = word.strip_prefix('R').and_then(|digits| digits.parse().ok());
    number.filter(|rule| (1..=LAST_RULE).contains(rule)).with_context(|| format!("no rule {word}"))
}

fn render(tallies: &[Tally]) -> String {
    let mut header = vec!["rule"];
    header.extend(tallies.iter().map(|tally| tally.backend.as_str()));
    let rows: Vec<Vec<String>> = (1..=LAST_RULE)
        .map(|rule| {
            let mut row = vec![format!("R{rule}")];
            row.extend(tallies.iter().map(|tally| match tally.cell(rule) {
                Cell::Cases(count) => count.to_string(),
                Cell::Out => "0 (out)".to_owned(),
                Cell::Missing => "MISSING".to_owned(),
            }));
            row
        })
        .collect();

    let mut text = table::render(&header, &rows);
    for tally in tallies {
        for OptOut { rule, case, reason } in &tally.out {
            text += &format!("out: {} R{rule} {case}: {reason}\n", tally.backend);
        }
    }
    text
}

fn missing(tallies: &[Tally]) -> Vec<String> {
    let of = |tally: &Tally| {
        let rules = (1..=LAST_RULE).filter(|rule| matches!(tally.cell(*rule), Cell::Missing));
        rules.map(|rule| format!("R{rule} on {}", tally.backend)).collect::<Vec<_>>()
    };
    tallies.iter().flat_map(of).collect()
}

const MARK: &str = "rule-table: ";
const LAST_RULE: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let mut output = "\nrunning 1 test\n".to_owned();
        for rule in (1..=16).filter(|rule| ![4, 12, 13].contains(rule)) {
            output += &format!("rule-table: local R{rule} {}\n", rule + 1);
        }
        output
            + "rule-table: local R1 out r1_other: no second process\n\
               rule-table: local R12 out r12_session: has no session: nothing can die\n\
               rule-table: local R13 0\n.\ntest result: ok. 1 passed; 0 failed\n"
    }

    #[test]
    fn counts_and_opt_outs_are_read() {
        let tally = Tally::parse("local", &sample()).unwrap();
        assert_eq!(tally.cases[&1], 2);
        assert_eq!(tally.cases[&16], 17);
        let reason = "has no session: nothing can die".to_owned();
        assert_eq!(tally.out[1], OptOut { rule: 12, case: "r12_session".to_owned(), reason });
    }

    #[test]
    fn only_rules_without_cases_and_reasons_are_missing() {
        let tally = Tally::parse("local", &sample()).unwrap();
        assert_eq!(missing(&[tally]), ["R4 on local", "R13 on local"]);
        let silent = Tally::parse("local", "running 0 tests").unwrap();
        assert_eq!(missing(&[silent]).len(), 16);
    }

    #[test]
    fn table_has_a_column_a_backend_and_the_reasons_below() {
        let local = Tally::parse("local", &sample()).unwrap();
        let redis = Tally::parse("redis", "test x ... rule-table: redis R1 40").unwrap();
        let valkey = "rule-table: redis (valkey) R1 41\nrule-table: redis (valkey) R12 7";
        let valkey = Tally::parse("redis (valkey)", valkey).unwrap();
        let text = render(&[local, redis, valkey]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "rule  local    redis    redis (valkey)");
        assert_eq!(lines[2], "R1    2        40       41");
        assert_eq!(lines[13], "R12   0 (out)  MISSING  7");
        assert_eq!(lines[18], "out: local R1 r1_other: no second process");
        assert_eq!(lines[19], "out: local R12 r12_session: has no session: nothing can die");
        assert_eq!(lines.len(), 20);
    }

    #[test]
    fn bad_lines_are_errors() {
        for bad in [
            "rule-table: local R17 1",
            "rule-table: local R0 1",
            "rule-table: local 3 1",
            "rule-table: local R3 many",
            "rule-table: local R3",
            "rule-table: nobody R3 1",
            "rule-table: local (other) R3 1",
            "rule-table: locals R3 1",
            "rule-table: local",
            "rule-table: local R3 out r3_x",
            "rule-table: local R3 out r3_x: ",
        ] {
            Tally::parse("local", bad).expect_err(bad);
        }
    }
}
