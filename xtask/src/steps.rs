//! A run of several steps, and how long each took.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::table;

/// The steps so far. The first that fails ends the run.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    whole: Part,
    parts: Vec<Part>,
}

/// How long something took, and how it ended.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) took: Duration,
    pub(crate) passed: bool,
}

impl Steps {
    /// Runs `body`; prints the table at its end, also when a step failed.
    pub(crate) fn report(body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mut steps = Self::default();
        let outcome = body(&mut steps);
        println!("\n{}", steps.render());
        outcome
    }

    pub(crate) fn step(&mut self, name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
        self.step_of_parts(name, |_| body())
    }

    /// A step that says what its parts took; the table shows the longest.
    pub(crate) fn step_of_parts(
        &mut self,
        name: &str,
        body: impl FnOnce(&mut Vec<Part>) -> Result<()>,
    ) -> Result<()> {
        let (start, mut parts) = (Instant::now(), Vec::new());
        let outcome = body(&mut parts);
        parts.sort_by_key(|part| Reverse(part.took));
        let whole = Part { name: name.to_owned(), took: start.elapsed(), passed: outcome.is_ok() };
        self.done.push(Step { whole, parts });
        outcome.with_context(|| format!("step `{name}`"))
    }

    fn render(&self) -> String {
        let mut rows = Vec::new();
        for Step { whole, parts } in &self.done {
            rows.push(whole.row(""));
            rows.extend(parts.iter().take(LONGEST).map(|part| part.row("- ")));
        }
        table::render(&["step", "result", "seconds"], &rows)
    }
}

impl Part {
    fn row(&self, prefix: &str) -> Vec<String> {
        let verdict = if self.passed { "ok" } else { "FAILED" };
        let took = format!("{:.1}", self.took.as_secs_f64());
        vec![format!("{prefix}{}", self.name), verdict.to_owned(), took]
    }
}

/// How many parts of a step are shown.
const LONGEST: usize = 10;

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn failed_step_is_in_the_table_and_in_the_error() {
        let mut steps = Steps::default();
        steps.step("fmt", || Ok(())).unwrap();
        let error = steps.step("clippy", || bail!("no")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `clippy`: no");

        steps.done.iter_mut().for_each(|step| step.whole.took = Duration::from_millis(1_240));
        let expected = "step    result  seconds\n------  ------  -------\n\
                        fmt     ok      1.2\nclippy  FAILED  1.2\n";
        assert_eq!(steps.render(), expected);
    }

    #[test]
    fn the_longest_parts_are_shown_below_their_step() {
        let mut steps = Steps::default();
        let part = |number| {
            let (name, took) = (format!("it {number}"), Duration::from_secs(number));
            Part { name, took, passed: number != 11 }
        };
        let body = |parts: &mut Vec<Part>| {
            parts.extend((0..12).map(part));
            bail!("no")
        };
        steps.step_of_parts("tests", body).unwrap_err();
        let text = steps.render();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[2].starts_with("tests    FAILED"), "{text}");
        assert_eq!((lines[3], lines[12]), ("- it 11  FAILED  11.0", "- it 2   ok      2.0"));
        assert_eq!(lines.len(), 13);
    }
}
