//! Everything that runs the product.

use std::{env, thread};

use anyhow::Result;

use crate::sh::Sh;
use crate::steps::Steps;
use crate::{harness, mutants, setup, workspace};

pub(crate) fn run(quick: bool) -> Result<()> {
    setup::run()?;
    Steps::report(|steps| run_in(steps, quick))
}

/// The steps of the tests, as a part of a longer run.
pub(crate) fn run_in(steps: &mut Steps, quick: bool) -> Result<()> {
    steps.step("tests", || {
        let all = ["test", "--workspace", "--all-features", "--", "--skip", FLAWS];
        let slow: &[&str] =
            if quick { &["--skip", CLUSTER, "--skip", ENSEMBLE, "--skip", OLD] } else { &[] };
        let threads = env::var(THREADS).unwrap_or_else(|_| default_threads());
        Sh::cargo(all).args(slow.iter().copied()).env(THREADS, threads).run()
    })?;
    // Apart from the others, for its table: the harness shows it only uncaptured.
    steps.step("flaws", || {
        let flaws = ["test", "--workspace", "--all-features", "--test", "mutants", "--", FLAWS];
        harness::run_some(Sh::cargo(flaws).args(["--nocapture"]))
    })?;
    steps.step("schedules", schedules)?;
    for example in EXAMPLES {
        steps.step(&format!("example {example}"), || {
            Sh::cargo(["run", "--release", "-p", "leasehold", "--example", example]).run()
        })?;
    }
    if !quick {
        steps.step("heavy tests", || {
            let heavy = ["test", "--release", "-p", "lock-local", "--test", "heavy"];
            Sh::cargo(heavy).args(["--", "--nocapture"]).run()
        })?;
        steps.step("mutants", || mutants::run(None))?;
    }
    Ok(())
}

/// Most of a test on a server is waiting, for a TTL to end or for the server's disk.
fn default_threads() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores * 2).to_string()
}

/// The exploration has a target directory of its own: other flags rebuild every dependency, and
/// would do so again on the next plain build. Without our flag there is nothing to explore, and
/// cargo lets other settings win over the variable.
fn schedules() -> Result<()> {
    for package in ["lock-local", "lock-conformance"] {
        let tests = Sh::cargo(["test", "-p", package, "--release", "--test", "shuttle"])
            .env_append("RUSTFLAGS", "--cfg shuttle")
            .env("CARGO_TARGET_DIR", workspace::target_dir()?.join("shuttle"));
        harness::run_some(tests)?;
    }
    Ok(())
}

/// How many tests run at a time.
const THREADS: &str = "RUST_TEST_THREADS";
const EXAMPLES: &[&str] = &["orders", "counter", "readers"];
/// A cluster of its own for each case of the suite.
const CLUSTER: &str = "cluster::conformance::";
/// Three servers, each with a Java of its own, for each case.
const ENSEMBLE: &str = "ensemble::conformance::";
/// The suite on an older server, whose faults and input are tested all the same.
const OLD: &str = "old::conformance::";
/// The test in which the suite has to catch each flaw of the fake store.
const FLAWS: &str = "every_mutant_is_caught";
