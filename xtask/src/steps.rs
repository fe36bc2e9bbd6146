//! A run of several steps, and how long each took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::table;

/// The steps so far. The first that fails ends the run.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    passed: bool,
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
        let start = Instant::now();
        let outcome = body();
        let name = name.to_owned();
        self.done.push(Step { name, took: start.elapsed(), passed: outcome.is_ok() });
        outcome.with_context(|| format!("step `{}`", self.done[self.done.len() - 1].name))
    }

    fn render(&self) -> String {
        let rows: Vec<_> = self
            .done
            .iter()
            .map(|step| {
                let verdict = if step.passed { "ok" } else { "FAILED" };
                let took = format!("{:.1}", step.took.as_secs_f64());
                vec![step.name.clone(), verdict.to_owned(), took]
            })
            .collect();
        table::render(&["step", "result", "seconds"], &rows)
    }
}

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

        steps.done.iter_mut().for_each(|step| step.took = Duration::from_millis(1_240));
        let expected = "step    result  seconds\n------  ------  -------\n\
                        fmt     ok      1.2\nclippy  FAILED  1.2\n";
        assert_eq!(steps.render(), expected);
    }
}
