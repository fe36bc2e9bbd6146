//! Everything that runs the product.

use anyhow::Result;

use crate::sh::Sh;
use crate::steps::Steps;
use crate::{mutants, setup, workspace};

pub(crate) fn run(quick: bool) -> Result<()> {
    setup::run()?;
    Steps::report(|steps| run_in(steps, quick))
}

/// The steps of the tests, as a part of a longer run.
pub(crate) fn run_in(steps: &mut Steps, quick: bool) -> Result<()> {
    steps.step("tests", || Sh::cargo(["test", "--workspace", "--all-features"]).run())?;
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

/// The exploration has a target directory of its own: other flags rebuild every dependency, and
/// would do so again on the next plain build.
fn schedules() -> Result<()> {
    Sh::cargo(["test", "-p", "lock-local", "--release", "--test", "shuttle"])
        .env_append("RUSTFLAGS", "--cfg shuttle")
        .env("CARGO_TARGET_DIR", workspace::target_dir()?.join("shuttle"))
        .run()
}

const EXAMPLES: &[&str] = &["orders", "counter", "readers"];
