//! Logs that are written by hand.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use lock_conformance::history::{Finding, Place, Tolerance, Verdict, judge, line};
use lockcore::Rule;
use tempfile::TempDir;

/// What all tests give.
pub(crate) const TOLERANCE: Tolerance =
    Tolerance { signal: Duration::from_millis(100), recovery: Duration::from_millis(500) };

/// The logs of a run, one line for each event: when it was in milliseconds, which process says so, the
/// number of its attempt or `-`, and the rest of the line. A time in it may be said as `7ms`. An
/// `asked` is alone, for ever and renewed, if it does not say otherwise; its TTL is a second. A
/// line is marked with `!` that contradicts another, and with `?` if a fault excuses it.
pub(crate) struct Script {
    dir: TempDir,
    marked: Vec<Place>,
    excused: Vec<Place>,
}

impl Script {
    pub(crate) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let (mut marked, mut excused) = (Vec::new(), Vec::new());
        for row in script.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let plain = row.trim_start_matches(['!', '?', ' ']);
            let mut words = plain.split_whitespace();
            let mut word = || words.next().unwrap_or_else(|| panic!("{row}"));
            let (at, process, attempt, what) = (word(), word(), word(), word());
            let lines = files.entry(process.to_owned()).or_default();
            let mut text = format!("at={} by={process}", nanos(at));
            if attempt != "-" {
                text += &format!(" attempt={attempt}");
            }
            text += &format!(" what={what}");
            let mut rest: Vec<String> = words.map(in_nanos).collect();
            if what == "asked" {
                rest = ask(&rest);
            }
            rest.iter().for_each(|word| text += &format!(" {word}"));
            line::read(&text).unwrap_or_else(|problem| panic!("{row}: {problem}"));
            lines.push(text.clone());
            let file = dir.path().join(format!("{process}.log"));
            let place = Place { file, line: lines.len(), text };
            match row.chars().next() {
                Some('!') => marked.push(place),
                Some('?') => excused.push(place),
                _ => {}
            }
        }
        for (process, lines) in files {
            fs::write(dir.path().join(format!("{process}.log")), lines.join("\n") + "\n").unwrap();
        }
        Self { dir, marked, excused }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        judge(self.dir.path(), TOLERANCE).unwrap()
    }
}

/// Nothing contradicts itself, and nothing would without a fault.
#[track_caller]
pub(crate) fn sound(script: &str) -> Verdict {
    let script = Script::new(script);
    assert!(script.marked.is_empty() && script.excused.is_empty(), "nothing is marked");
    let verdict = script.verdict();
    assert!(verdict.is_sound() && verdict.expected.is_empty(), "{verdict}");
    verdict
}

/// The two marked lines contradict each other by this rule, and no others do.
#[track_caller]
pub(crate) fn broken(rule: Rule, script: &str) {
    let script = Script::new(script);
    let verdict = script.verdict();
    one_finding(rule, &verdict.contradictions, &script.marked, &verdict);
    assert!(verdict.expected.is_empty() && !verdict.is_sound(), "{verdict}");
    for place in &script.marked {
        assert!(verdict.to_string().contains(&place.to_string()), "{verdict}");
    }
}

/// The two marked lines would contradict each other by this rule, but for a fault.
#[track_caller]
pub(crate) fn excused(rule: Rule, script: &str) {
    let script = Script::new(script);
    let verdict = script.verdict();
    one_finding(rule, &verdict.expected, &script.excused, &verdict);
    assert!(verdict.is_sound() && verdict.expected[0].fault.is_some(), "{verdict}");
}

#[track_caller]
fn one_finding(rule: Rule, findings: &[Finding], marked: &[Place], verdict: &Verdict) {
    let [finding] = findings else { panic!("{} findings\n{verdict}", findings.len()) };
    assert_eq!(finding.rule, rule, "{verdict}");
    let mut lines = [finding.one.clone(), finding.other.clone()];
    let mut marked = marked.to_vec();
    lines.sort_by_key(|place| (place.file.clone(), place.line));
    marked.sort_by_key(|place| (place.file.clone(), place.line));
    assert_eq!(lines, *marked, "{verdict}");
    // Who asked for what is told with it.
    assert!(
        !finding.parties.is_empty() && finding.to_string().contains(&finding.modes()),
        "{verdict}"
    );
    for party in &finding.parties {
        let asked = format!(" what=asked name={} ", finding.name);
        assert!(party.asked.text.contains(&asked), "{verdict}");
        assert!(finding.to_string().contains(&party.asked.to_string()), "{verdict}");
    }
}

fn nanos(millis: &str) -> String {
    format!("{millis}000000")
}

fn in_nanos(word: &str) -> String {
    word.strip_suffix("ms").map_or_else(|| word.to_owned(), nanos)
}

fn ask(said: &[String]) -> Vec<String> {
    let words = ["name=n", "mode=x", "patience=forever", "ttl=1000000000", "renewal=auto"];
    let said_or = |word: &str| {
        let key = word.split_once('=').unwrap().0;
        let found = said.iter().find(|said| said.split_once('=').unwrap().0 == key);
        found.cloned().unwrap_or_else(|| word.to_owned())
    };
    words.into_iter().map(said_or).collect()
}
