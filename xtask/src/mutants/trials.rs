//! Where mutants are tried, while the next one is built.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::read;
use super::table::Mutant;
use super::verdict::{Outcome, Tally};
use crate::limit::{self, Ended, Kill};
use crate::programs::TestProgram;
use crate::sh::Sh;

/// Trials that wait for a runner.
pub(super) struct Trials {
    times: NonZeroU32,
    queue: Mutex<Receiver<Trial>>,
    entrance: Mutex<Option<SyncSender<Trial>>>,
    is_over: AtomicBool,
}

/// A program to be tried.
pub(super) struct Trial {
    pub(super) program: TestProgram,
    /// In the names of its logs.
    pub(super) name: String,
    pub(super) task: Task,
    pub(super) logs: PathBuf,
    pub(super) tools: PathBuf,
}

pub(super) enum Task {
    /// All of these cases must pass. One that fails anyway, or that does not exist, would catch
    /// everything.
    Whole(BTreeSet<&'static str>),
    /// The mutant's case must fail.
    Broken(Mutant),
}

impl Trials {
    pub(super) fn new(times: NonZeroU32) -> Self {
        // Each waits as a program of many megabytes.
        let (entrance, queue) = mpsc::sync_channel(WAITING);
        Self {
            times,
            queue: Mutex::new(queue),
            entrance: Mutex::new(Some(entrance)),
            is_over: AtomicBool::new(false),
        }
    }

    /// Waits while there are many.
    pub(super) fn bring(&self, trial: Trial) -> Result<()> {
        let entrance = self.entrance.lock().unwrap_or_else(PoisonError::into_inner).clone();
        entrance.context("BUG: closed")?.send(trial).ok().context("BUG: nobody tries")
    }

    /// Whether a trial has met an error, so that the others are not worth their time.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.entrance.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Runs until nothing more comes. After an error it throws away what comes, or who brings it would
    /// wait for ever.
    pub(super) fn try_what_comes(&self) -> Result<Vec<Outcome>> {
        let mut outcome = Ok(Vec::new());
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(trial) = next else { return outcome };
            if self.is_over() {
                continue;
            }
            match (trial.run(self.times), &mut outcome) {
                (Ok(tried), Ok(outcomes)) => outcomes.extend(tried),
                (Err(error), _) => {
                    self.is_over.store(true, SeqCst);
                    outcome = Err(error);
                }
                (Ok(_), Err(_)) => {}
            }
        }
    }
}

impl Trial {
    fn run(&self, times: NonZeroU32) -> Result<Option<Outcome>> {
        let outcome = match &self.task {
            Task::Whole(cases) => self.check(cases).map(|()| None),
            Task::Broken(mutant) => self.judge(mutant, times).map(Some),
        };
        fs::remove_file(&self.program.file)
            .with_context(|| format!("cannot remove {}", self.program.file.display()))?;
        outcome
    }

    fn check(&self, cases: &BTreeSet<&'static str>) -> Result<()> {
        let log = self.log("test");
        let ended = limit::run(self.sh().args(cases), &log, &log, WHOLE_LIMIT, Kill::Group)?;
        let output = read(&log)?;
        let passed = |case: &&&str| output.lines().any(|line| has_passed(line, case));
        let missing: Vec<_> = cases.iter().filter(|case| !passed(case)).copied().collect();
        if ended != Ended::Passed || !missing.is_empty() {
            bail!("{} {ended:?}, and did not pass {missing:?}; see {}", self.name, log.display());
        }
        println!("{}: {} cases pass", self.name, cases.len());
        Ok(())
    }

    fn judge(&self, mutant: &Mutant, times: NonZeroU32) -> Result<Outcome> {
        let mut tally = Tally::default();
        for run in 1..=times.get() {
            let log = self.log(&format!("test-{run}"));
            let start = Instant::now();
            let ended =
                limit::run(self.sh().args([mutant.case]), &log, &log, TEST_LIMIT, Kill::Group)?;
            tally.add(is_caught(ended, &log)?, start.elapsed());
        }
        let outcome = Outcome::tried(*mutant, tally);
        println!("{}", outcome.summary());
        Ok(outcome)
    }

    fn sh(&self) -> Sh {
        self.program.command().env("LEASEHOLD_TOOLS", &self.tools)
    }

    fn log(&self, what: &str) -> PathBuf {
        self.logs.join(format!("{}.{what}.txt", self.name))
    }
}

/// Whether a test has failed: a program that could not run its tests, or that hangs, has caught nothing.
fn is_caught(ended: Ended, log: &Path) -> Result<bool> {
    Ok(ended == Ended::Failed && read(log)?.contains("test result: FAILED"))
}

/// Whether the test harness says here that a test of this case has passed.
fn has_passed(line: &str, case: &str) -> bool {
    let test = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... ok"));
    test.is_some_and(|test| test.contains(case))
}

/// How many programs wait at most.
const WAITING: usize = 4;
/// For all healthy cases of a package.
const WHOLE_LIMIT: Duration = Duration::from_secs(600);
/// A mutant must be caught by then; a lost wake-up takes for ever.
const TEST_LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn only_a_test_that_passed_is_a_case() {
        assert!(has_passed("test etcd::r01_one ... ok", "r01_"));
        assert!(!has_passed("test etcd::r01_one ... FAILED", "r01_"));
        assert!(!has_passed("test etcd::r02_one ... ok", "r01_"));
        assert!(!has_passed("r01_", "r01_"));
    }

    /// A trial of a program that is this script.
    fn trial(name: &str, script: &str, task: Task) -> Trial {
        let logs = env::temp_dir().join(format!("xtask-trials-{name}-{}", process::id()));
        fs::create_dir_all(&logs).unwrap();
        let (package, file) = (logs.clone(), logs.join("program"));
        // The shell, and the script's name is that of the case. Linked: a program that was just written
        // may be busy in the child of another thread.
        fs::write(logs.join("script"), script).unwrap();
        std::os::unix::fs::symlink("/bin/sh", &file).unwrap();
        let program = TestProgram { package, target: "it".to_owned(), file, is_fresh: false };
        Trial { program, name: name.to_owned(), task, tools: logs.clone(), logs }
    }

    fn broken() -> Task {
        let mutant = Mutant {
            name: "broken",
            file: "",
            find: "",
            replace: "",
            package: "a",
            test_target: "it",
            case: "script",
        };
        Task::Broken(mutant)
    }

    #[test]
    fn a_test_that_fails_has_caught_it_and_other_failures_have_not() {
        let twice = NonZeroU32::new(2).unwrap();
        for (name, script, summary) in [
            ("caught", "echo 'test result: FAILED. 0 passed'; exit 101", "2/2 script"),
            ("passed", "echo 'test result: ok. 1 passed'", "0/2 SURVIVED script"),
            ("crashed", "exit 101", "0/2 SURVIVED script"),
        ] {
            let trial = trial(name, script, broken());
            let outcome = trial.run(twice).unwrap().unwrap();
            assert!(outcome.summary().contains(summary), "{}", outcome.summary());
            assert!(!trial.program.file.exists());
            fs::remove_dir_all(&trial.logs).unwrap();
        }
    }

    #[test]
    fn an_error_ends_the_trials_and_blocks_nobody() {
        let trials = Trials::new(NonZeroU32::MIN);
        let whole = || Task::Whole(BTreeSet::from(["script"]));
        let logs = std::thread::scope(|scope| {
            let runner = scope.spawn(|| trials.try_what_comes());
            let mut logs = Vec::new();
            for number in 0..WAITING * 3 {
                let trial = trial(&format!("whole-{number}"), "exit 1", whole());
                logs.push(trial.logs.clone());
                trials.bring(trial).unwrap();
            }
            trials.close();
            let error = runner.join().unwrap().err().unwrap().to_string();
            assert!(trials.is_over());
            assert!(error.starts_with("whole-0 Failed, and did not pass [\"script\"]"), "{error}");
            logs
        });
        for dir in logs {
            fs::remove_dir_all(dir).unwrap();
        }
    }
}
