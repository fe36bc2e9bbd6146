//! Compares the backends with their floors and with the lock crates people would pick instead.
//! The README says how, and what the numbers cannot say.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::harness::{Backend, Plan};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::{Absent, Earlier, Report};

mod asking;
mod bars;
mod cores;
mod counts;
mod delays;
mod harness;
mod machine;
mod measured;
mod progress;
mod report;
mod sitting;
mod subjects;
mod workload;

/// Compares the backends with their floors and with the lock crates people would pick instead.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// The backends to measure; all of them when none is named.
    #[arg(value_name = "BACKEND", value_parser = subjects::names())]
    backends: Vec<String>,

    /// Fewer and shorter rounds: shows that everything runs, and numbers of a sort.
    #[arg(long)]
    quick: bool,

    /// Fail when a bar is missed.
    #[arg(long)]
    check: bool,

    /// Only the results whose `question: subject` contains this; for a profiler.
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "check")]
    only: String,

    /// Only holds leases and prints what they cost: a process of its own for that count.
    #[arg(long, hide = true, num_args = 4, value_names = ["SUBJECT", "URL", "LEASES", "MILLIS"])]
    hold: Vec<String>,

    /// Only takes a lock and never gives it back: a process of its own that is killed.
    #[arg(long, hide = true, num_args = 2, value_names = ["SUBJECT", "URL"])]
    hold_for_ever: Vec<String>,

    /// Only runs rounds of that backend, as it is told on its standard input: a process of its own.
    #[arg(long, hide = true, value_name = "BACKEND", exclusive = true)]
    sit: Option<String>,

    /// Also compares with the report of an earlier run; with `--check`, fails where they differ by more
    /// than they said they might.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Also puts the report where the repository keeps the latest, and its figures into the README.
    #[arg(long, conflicts_with_all = ["quick", "only", "backends"])]
    keep: bool,

    /// Where the report goes.
    #[arg(long, value_name = "FILE", default_value_os_t = default_output())]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let runtime = runtime()?;
    if !cli.hold.is_empty() {
        return runtime.block_on(subjects::hold(&cli.hold));
    }
    if !cli.hold_for_ever.is_empty() {
        return runtime.block_on(subjects::hold_for_ever(&cli.hold_for_ever));
    }
    if let Some(backend) = &cli.sit {
        return sitting::sit(&runtime, backend);
    }
    // Before half an hour has gone.
    report::can_be_written(&cli.output)?;
    let then = cli.against.as_deref().map(Earlier::read).transpose()?;
    // Goes after the servers whose files are in it.
    let scratch = scratch()?;
    let progress = Progress::new()?;
    progress.end_on_interrupt(&runtime, scratch.path());
    let (mut backends, absent) = backends(&cli.backends, &runtime, &progress);
    if progress.is_interrupted() {
        bail!("interrupted before anything was measured");
    }
    // A report of the rest is worth half an hour, but not to be kept.
    if let Some(missing) = absent.first().filter(|_| backends.is_empty() || cli.keep) {
        bail!("{missing}");
    }
    backends.iter_mut().for_each(|backend| backend.only.clone_from(&cli.only));
    let plan = if cli.quick { Plan::QUICK } else { Plan::FULL };

    let mut report = Report {
        groups: Vec::new(),
        tallies: Vec::new(),
        lapses: Vec::new(),
        verdicts: Vec::new(),
        absent,
        machine: Machine::read(),
        date: SystemTime::now(),
        quick: cli.quick,
        is_interrupted: false,
    };
    let expected: Duration = backends.iter().map(|backend| backend.expected(plan)).sum();
    if expected.is_zero() {
        bail!("nothing has `{}` in its `question: subject`; a report names them all", cli.only);
    }
    eprintln!("this takes about {}", spell(expected));
    progress.expect(expected);
    let measured = backends
        .iter()
        .take_while(|_| !progress.is_interrupted())
        .try_for_each(|backend| measure(&runtime, backend, plan, &progress, &mut report));
    progress.finish();
    report.is_interrupted = progress.is_interrupted();
    if !cli.only.is_empty() {
        report.verdicts.retain(|verdict| verdict.value.is_some());
    }

    print!("{report}");
    report.write(&cli.output)?;
    println!("report: {}", cli.output.display());
    let again = then.as_ref().map(|then| report.again(then));
    if let Some(again) = &again {
        print!("{again}");
    }

    measured?;
    if progress.is_interrupted() {
        bail!("interrupted; the report has what was measured until then");
    }
    if cli.keep {
        report.keep(root())?;
    }
    let failed = report.failed();
    if !failed.is_empty() {
        bail!("{} could not answer: {}", failed.len(), failed.join("; "));
    }
    if cli.check && again.is_some_and(|again| !again.is_same()) {
        bail!("the two runs differ by more than they said they might");
    }
    let missed = report.missed();
    if cli.check && !missed.is_empty() {
        bail!("{} missed: {}", count(missed.len(), "bar"), missed.join("; "));
    }
    Ok(())
}

/// To the minute, or to the second of what is shorter.
fn spell(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => count(seconds as usize, "second"),
        seconds => count(seconds.div_ceil(60) as usize, "minute"),
    }
}

/// All of one backend.
fn measure(
    runtime: &Runtime,
    backend: &Backend,
    plan: Plan,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    harness::run(runtime, backend, plan, progress, &mut report.groups)?;
    let verdicts = backend.bars.iter().map(|bar| bar.judge(backend.name, &report.groups));
    report.verdicts.extend(verdicts);
    let (tallies, verdicts) = counts::run(runtime, backend, plan, progress);
    report.tallies.extend(tallies);
    report.verdicts.extend(verdicts);
    report.lapses.extend(delays::run(runtime, backend, plan, progress));
    Ok(())
}

/// As many workers as cores, as an application would have.
fn runtime() -> Result<Runtime> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().context("no runtime")
}

/// Where all servers of this run have their files.
fn scratch() -> Result<TempDir> {
    let scratch = tempfile::Builder::new().prefix("leasehold-bench-").tempdir();
    let scratch = scratch.context("no directory for servers")?;
    let earlier = tempfile::env::override_temp_dir(scratch.path());
    earlier.map_err(|_| anyhow!("BUG: a directory for servers was chosen before"))?;
    Ok(scratch)
}

/// Those that are wanted. One that does not start keeps no other one from being measured.
fn backends(
    wanted: &[String],
    runtime: &Runtime,
    progress: &Progress,
) -> (Vec<Backend>, Vec<Absent>) {
    let (mut backends, mut absent) = (Vec::new(), Vec::new());
    let is_wanted = |name: &&str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for (name, make) in subjects::BACKENDS.iter().filter(|(name, _)| is_wanted(name)) {
        if progress.is_interrupted() {
            break;
        }
        match started(|| make(runtime)) {
            Ok(backend) => backends.push(backend),
            Err(error) => {
                let missing = Absent { backend: name, why: format!("{error:#}") };
                eprintln!("{missing}");
                absent.push(missing);
            }
        }
    }
    (backends, absent)
}

/// The kit of the tests panics where a test could not go on.
fn started(make: impl FnOnce() -> Result<Backend>) -> Result<Backend> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!("{}", text.unwrap_or("it panicked")))
    })
}

fn default_output() -> PathBuf {
    root().join("target/bench/report.json")
}

/// Of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["bench", "--quick", "local", "--check"]);
        assert!(cli.quick && cli.check && cli.backends == ["local"]);
        assert!(Cli::try_parse_from(["bench", "nosuch"]).is_err());
    }

    #[test]
    fn a_panic_is_the_failure_of_that_store() {
        let why = |make: fn() -> Result<Backend>| format!("{:#}", started(make).err().unwrap());
        assert_eq!(why(|| panic!("no {}", "Java")), "no Java");
        assert_eq!(why(|| panic!("no Java")), "no Java");
        assert_eq!(why(|| bail!("no Java")), "no Java");
    }

    #[test]
    fn times_are_spelled_as_people_do() {
        let spelled = [1, 59, 60, 61, 1_800].map(|seconds| spell(Duration::from_secs(seconds)));
        assert_eq!(spelled, ["1 second", "59 seconds", "1 minute", "2 minutes", "30 minutes"]);
    }
}
