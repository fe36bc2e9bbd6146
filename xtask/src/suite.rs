//! The test programs, one after the other, each with its output and its seconds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::limit::{self, Ended, Kill};
use crate::programs::TestProgram;
use crate::steps::Part;

/// Runs all of them, also after a failure, with these arguments and so many tests of one at a time. The
/// output is kept in `logs` as well.
///
/// Not two programs at a time: the threads of one have work nearly to its end, so that little is won, and
/// the servers of one take the cores from the times of the other.
pub(crate) fn run(
    programs: &[TestProgram],
    args: &[&str],
    threads: &str,
    logs: &Path,
    parts: &mut Vec<Part>,
) -> Result<()> {
    fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
    for program in programs {
        parts.push(run_one(program, args, threads, logs)?);
    }
    let failed: Vec<_> = parts.iter().filter(|part| !part.passed).map(|part| &*part.name).collect();
    if !failed.is_empty() {
        bail!("{} of {} programs failed: {}", failed.len(), parts.len(), failed.join(", "));
    }
    Ok(())
}

fn run_one(program: &TestProgram, args: &[&str], threads: &str, logs: &Path) -> Result<Part> {
    let name = program.name();
    let log = logs.join(format!("{}.txt", name.replace(' ', "-")));
    let sh = program.command().args(args).env(THREADS, threads);
    let start = Instant::now();
    // In the group that the terminal interrupts; servers end with their test.
    let ended = limit::run(sh, &log, &log, LIMIT, Kill::Program)?;
    let took = start.elapsed();
    // Servers and children write whatever they like.
    let output = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let verdict = match ended {
        Ended::Passed => "passed",
        Ended::Failed => "FAILED",
        Ended::Hung => "KILLED: it did not end",
    };
    let output = String::from_utf8_lossy(&output);
    println!("{output}{name}: {verdict}, {:.1} s\n", took.as_secs_f64());
    Ok(Part { name, took, passed: ended == Ended::Passed })
}

/// How many tests of a program run at a time, to its harness.
pub(crate) const THREADS: &str = "RUST_TEST_THREADS";
/// The longest takes a few minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::{env, process};

    use super::*;

    /// A program that is the shell, whose script says how it is to be run.
    fn program(dir: &Path, script: &str) -> TestProgram {
        let (package, file) = (dir.to_owned(), PathBuf::from("/bin/sh"));
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("script"), script).unwrap();
        TestProgram { package, target: "it".to_owned(), file, is_fresh: true }
    }

    #[test]
    fn all_are_run_and_those_that_fail_are_named() {
        let home = env::temp_dir().join(format!("xtask-suite-{}", process::id()));
        let says = "echo threads: $RUST_TEST_THREADS; echo 'test result: ok. 3 passed;'";
        let programs = [("good", says), ("bad", "exit 1"), ("also", says)];
        let programs = programs.map(|(name, script)| program(&home.join(name), script));
        let (logs, mut parts) = (home.join("logs"), Vec::new());
        let error = run(&programs, &["script"], "3", &logs, &mut parts).unwrap_err();
        assert_eq!(error.to_string(), "1 of 3 programs failed: bad it");
        assert_eq!(parts.len(), 3);
        let log = fs::read_to_string(home.join("logs/good-it.txt")).unwrap();
        assert!(log.contains("\nthreads: 3\n"), "{log}");
        fs::remove_dir_all(&home).unwrap();
    }
}
