//! Breaks real stores, links and processes while workers hold locks, and judges what they believed.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum as _};
use lock_testkit::child;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::fault::{Backend, Fault};
use crate::run::Order;

mod clock;
mod crew;
mod fault;
mod plan;
mod report;
mod resource;
mod run;
mod scene;
mod stand;
mod trouble;
mod way;
mod worker;

/// Breaks real stores, links and processes while workers hold locks, and judges what they believed.
#[derive(Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
struct Cli {
    /// The backends, one after the other; all of them when none is named.
    #[arg(long = "backend", value_name = "BACKEND", value_enum)]
    backends: Vec<Backend>,

    /// Replays the plan of another run.
    #[arg(long)]
    seed: Option<u64>,

    /// How long each backend is broken; what is under way then is brought to its end.
    #[arg(long, default_value = "10", value_parser = minutes, allow_negative_numbers = true)]
    minutes: Duration,

    /// Only these faults; all that a backend has when none is named.
    #[arg(long = "only", value_name = "FAULT", value_enum)]
    only: Vec<Fault>,

    /// How many wait for one lock in the fault `crowd`.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    waiters: usize,

    /// Where the report goes, and the logs of workers when something is wrong.
    #[arg(long, value_name = "DIR", default_value_os_t = default_output())]
    output: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match child::role() {
        Some(role) => worker::run(role),
        None => run(&Cli::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let backends: &[_] =
        if cli.backends.is_empty() { Backend::value_variants() } else { &cli.backends };
    let mut orders = Vec::new();
    for backend in backends {
        let faults = faults(*backend, &cli.only);
        let foreign = cli.only.iter().find(|fault| !faults.contains(fault));
        if let Some(fault) = foreign.filter(|_| !cli.backends.is_empty()) {
            let has: Vec<_> = self::faults(*backend, &[]).iter().map(Fault::to_string).collect();
            bail!("{backend} has no fault `{fault}`; it has {}", has.join(", "));
        }
        let (time, waiters) = (cli.minutes, cli.waiters);
        orders.push(Order { backend: *backend, faults, seed, time, waiters });
    }
    let runtime = Runtime::new()?;
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    // Without a backend that was named, those that have one of the faults.
    for order in orders.iter().filter(|order| !order.faults.is_empty()) {
        let backend = order.backend;
        let dir = cli.output.join(backend.to_string());
        empty(&dir)?;
        let run = runtime.block_on(async {
            // What a run has started goes with it.
            tokio::select! {
                run = run::run(order, &dir) => run.with_context(|| backend.to_string()),
                _ = tokio::signal::ctrl_c() => bail!("interrupted; logs in {}", dir.display()),
            }
        })?;
        println!("\n{run}");
        if !run.failures().is_empty() {
            failed.push(format!("{backend} (logs in {})", dir.display()));
        }
        reports.push(run.json());
    }
    let file = cli.output.join("report.json");
    let report = serde_json::to_string_pretty(&Value::Array(reports))?;
    fs::write(&file, report).with_context(|| format!("cannot write {}", file.display()))?;
    println!("report: {}", file.display());
    if failed.is_empty() { Ok(()) } else { bail!("something is wrong with {}", failed.join(", ")) }
}

fn minutes(text: &str) -> Result<Duration, &'static str> {
    let time = text.parse::<f64>().ok().map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
    match time {
        Some(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err("it is a number above 0, such as 10 or 0.5"),
    }
}

fn faults(backend: Backend, only: &[Fault]) -> Vec<Fault> {
    let all = Fault::value_variants().iter().copied();
    let wanted = |fault: &Fault| only.is_empty() || only.contains(fault);
    all.filter(|fault| fault.applies_to(backend)).filter(wanted).collect()
}

/// An empty directory in the place of what was there.
fn empty(dir: &Path) -> Result<()> {
    let made = || -> std::io::Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)
    };
    made().with_context(|| format!("cannot make {}", dir.display()))
}

fn default_output() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.parent().unwrap_or(root).join("target/faults")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
        let line = ["faults", "--backend", "zk", "--only", "leader-cut", "--minutes", "0.5"];
        let cli = Cli::parse_from(line);
        assert_eq!((cli.backends, cli.only), (vec![Backend::Zk], vec![Fault::LeaderCut]));
    }

    #[test]
    fn minutes_are_a_number_above_0() {
        let parse = |minutes| Cli::try_parse_from(["faults", "--minutes", minutes]);
        assert_eq!(parse("0.5").unwrap().minutes, Duration::from_secs(30));
        for wrong in ["-1", "0", "-0.5", "nan", "inf", "1e300", "ten", ""] {
            let error = parse(wrong).err().unwrap().to_string();
            assert!(error.contains("--minutes <MINUTES>': it is a number above 0"), "{error}");
        }
    }

    #[test]
    fn a_fault_that_a_store_does_not_have_is_refused_by_name() {
        let line = ["faults", "--backend", "local", "--only", "storm", "--only", "data-lost"];
        let error = run(&Cli::parse_from(line)).unwrap_err().to_string();
        assert!(
            error.starts_with("local has no fault `data-lost`; it has acquire-dropped, "),
            "{error}"
        );
    }

    #[test]
    fn every_store_has_faults_of_its_own() {
        let counts = Backend::value_variants().iter().map(|backend| faults(*backend, &[]).len());
        assert_eq!(counts.collect::<Vec<_>>(), [6, 22, 21, 21]);
    }
}
