//! The commands of the workspace. `cargo xtask --help` lists them.

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::sh::Sh;

mod ahead;
mod harness;
mod licences;
mod limit;
mod mutants;
mod programs;
mod rules;
mod setup;
mod sh;
mod steps;
mod suite;
mod table;
mod test;
mod verify;
mod workspace;

/// The commands of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make sure that everything the tests need is installed.
    Setup,
    /// Run all tests, the schedule exploration, the examples and the mutants.
    Test {
        /// Leave out the heavy tests and the mutants.
        #[arg(long)]
        quick: bool,
    },
    /// Check everything that CI checks; writes nothing to the tree.
    Verify {
        /// Leave out the heavy tests and the mutants.
        #[arg(long)]
        quick: bool,
    },
    /// Rewrite what can be rewritten: formatting and mechanical lints.
    Fix,
    /// Check the licence and the source of every dependency.
    Licences,
    /// Count the conformance cases of every rule on every backend.
    Rules,
    /// Run the benchmarks; all arguments go to them.
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Break stores, links and processes while workers hold locks; all arguments go to the runner.
    #[command(disable_help_flag = true)]
    Faults {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Break the fake store one way at a time; the suite must notice.
    Flaws {
        /// How many times each must be caught.
        #[arg(long, default_value = "1")]
        times: NonZeroU32,
    },
    /// Break the product one way at a time; the tests must notice.
    Mutants {
        /// Only the mutants whose name contains this.
        filter: Option<String>,
        /// How many times each must be caught.
        #[arg(long, default_value = "1")]
        times: NonZeroU32,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The alternate form: the whole chain on one line, never a backtrace.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::run(),
        Task::Test { quick } => test::run(quick),
        Task::Verify { quick } => verify::run(quick),
        Task::Fix => verify::fix(),
        Task::Licences => licences::run(),
        Task::Rules => rules::run(),
        Task::Bench { args } => {
            setup::run()?;
            Sh::cargo(["run", "--release", "-p", "benches", "--"]).args(args).run()
        }
        Task::Faults { args } => {
            setup::run()?;
            Sh::cargo(["run", "--release", "-p", "faults", "--"]).args(args).run()
        }
        Task::Flaws { times } => test::flaws(times),
        Task::Mutants { filter, times } => mutants::run(filter.as_deref(), times),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bench_passes_everything_through() {
        let line = ["xtask", "bench", "--help", "-x", "redis", "--", "--y"];
        let Task::Bench { args } = Cli::try_parse_from(line).unwrap().task else {
            panic!("not bench")
        };
        assert_eq!(args, ["--help", "-x", "redis", "--", "--y"]);
    }
}
