//! Everything that runs the product.

use std::num::NonZeroU32;
use std::{env, thread};

use anyhow::{Result, ensure};

use crate::ahead::Ahead;
use crate::programs::TestProgram;
use crate::sh::Sh;
use crate::steps::{Part, Steps};
use crate::{harness, mutants, programs, setup, suite, workspace};

pub(crate) fn run(quick: bool) -> Result<()> {
    setup::run()?;
    Steps::report(|steps| run_in(steps, quick, Vec::new()))
}

/// The steps of the tests, as a part of a longer run, which has these to build for steps of its own
/// that come after.
pub(crate) fn run_in(steps: &mut Steps, quick: bool, more: Vec<Sh>) -> Result<()> {
    steps.step_of_parts("tests", |parts| tests(quick, more, parts))?;
    steps.step("doc tests", || {
        Sh::cargo(["test", "--workspace", "--all-features", "--doc"]).run()
    })?;
    // Apart from the others, for its table: the harness shows it only uncaptured.
    steps.step("flaws", || flaws(NonZeroU32::MIN))?;
    steps.step("schedules", || {
        EXPLORED.iter().try_for_each(|package| harness::run_some(schedules(package)?))
    })?;
    for name in EXAMPLES {
        steps.step(&format!("example {name}"), || example("run", name).run())?;
    }
    if !quick {
        steps.step("heavy tests", || heavy().args(["--", "--nocapture"]).run())?;
        steps.step("mutants", || mutants::run(None, NonZeroU32::MIN))?;
    }
    Ok(())
}

/// Builds all test programs at once, and runs them without cargo, which ends with the first that fails.
/// What comes after is built meanwhile, by one compiler at a time.
fn tests(quick: bool, more: Vec<Sh>, parts: &mut Vec<Part>) -> Result<()> {
    let build = ["test", "--workspace", "--all-features", "--no-run", programs::MESSAGES];
    let mut programs = TestProgram::parse(&Sh::cargo(build).stdout()?)?;
    // It has a step of its own.
    programs.retain(|program| program.target != HEAVY);
    ensure!(!programs.is_empty(), "cargo built no test");
    let mut args = vec!["--skip", FLAWS];
    if quick {
        args.extend(["--skip", CLUSTER, "--skip", ENSEMBLE, "--skip", OLD]);
    }
    let threads = env::var(suite::THREADS).unwrap_or_else(|_| default_threads());
    let mut later = Vec::new();
    for package in EXPLORED {
        later.push(schedules(package)?.args(["--no-run"]));
    }
    later.extend(EXAMPLES.iter().map(|name| example("build", name)));
    if !quick {
        later.push(heavy().args(["--no-run"]));
    }
    later.extend(more);
    let one = |build: Sh| build.env("CARGO_BUILD_JOBS", "1");
    let _ahead = Ahead::start(later.into_iter().map(one).collect());
    suite::run(&programs, &args, &threads, &workspace::target_dir()?.join("tests"), parts)
}

/// Breaks the fake store in each way that it knows, and has each found so many times.
pub(crate) fn flaws(times: NonZeroU32) -> Result<()> {
    let flaws = ["test", "--workspace", "--all-features", "--test", "mutants", "--", FLAWS];
    let flaws = Sh::cargo(flaws).args(["--nocapture"]);
    harness::run_some(flaws.env("LEASEHOLD_FLAW_TIMES", times.to_string()))
}

/// Most of a test on a server is waiting, for a TTL to end or for the server's disk.
fn default_threads() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores * 2).to_string()
}

/// The exploration has a target directory of its own: other flags rebuild every dependency, and
/// would do so again on the next plain build. Without our flag there is nothing to explore, and
/// cargo lets other settings win over the variable.
fn schedules(package: &str) -> Result<Sh> {
    Ok(Sh::cargo(["test", "-p", package, "--release", "--test", "shuttle"])
        .env_append("RUSTFLAGS", "--cfg shuttle")
        .env("CARGO_TARGET_DIR", workspace::target_dir()?.join("shuttle")))
}

fn example(what: &str, name: &str) -> Sh {
    Sh::cargo([what, "--release", "-p", "leasehold", "--example", name])
}

fn heavy() -> Sh {
    Sh::cargo(["test", "--release", "-p", "lock-local", "--test", HEAVY])
}

/// Whose schedules are explored.
const EXPLORED: &[&str] = &["lock-local", "lock-conformance"];
const EXAMPLES: &[&str] = &["orders", "counter", "readers"];
/// The test program that measures memory, and has to have the machine for itself.
const HEAVY: &str = "heavy";
/// A cluster of its own for each case of the suite.
const CLUSTER: &str = "cluster::conformance::";
/// Three servers, each with a Java of its own, for each case.
const ENSEMBLE: &str = "ensemble::conformance::";
/// The suite on an older server, whose faults and input are tested all the same.
const OLD: &str = "old::conformance::";
/// The test in which the suite has to catch each flaw of the fake store.
const FLAWS: &str = "every_mutant_is_caught";
