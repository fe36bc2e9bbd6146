//! Many tasks add 1 to one number: without a lock additions get lost, with a lock none does.

#![forbid(unsafe_code)]

mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use indicatif::{HumanCount, ProgressBar};
use leasehold::Mutex;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

/// Many tasks add 1 to one number, first without a lock and then with one
///
/// Each task reads the number, does something else for a moment, and writes the number plus 1, as
/// a program does with a row of a table or a file. Without a lock, tasks read the same number and
/// overwrite each other. Exit code 0: the run without a lock lost additions and the run with the
/// lock lost none.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    backend: common::Backend,

    /// How many tasks add 1, all at once
    #[arg(long, default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=100_000))]
    tasks: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(&Args::parse()).await)
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let locks = args.backend.connect().await?;
    let expected = u64::from(args.tasks);
    println!(
        "{} tasks add 1 to a number that starts at 0. Locks: {}\n",
        HumanCount(expected),
        locks.backend()
    );

    let (without, time) = count(args.tasks, None).await?;
    print_result("without a lock", without, expected, time);

    let lock = locks.mutex(format!("counter/{}", common::run_id()))?;
    let (with, time) = count(args.tasks, Some(lock)).await?;
    print_result("with a mutex", with, expected, time);
    locks.shutdown().await?;

    ensure!(
        without < expected,
        "nothing was lost without a lock, so this run shows nothing: try again with more --tasks"
    );
    ensure!(with == expected, "the mutex let {with} additions through instead of {expected}");
    println!(
        "\nWithout a lock, tasks overwrote each other; with the mutex, every addition counts."
    );
    Ok(())
}

fn print_result(how: &str, number: u64, expected: u64, time: Duration) {
    println!(
        "  {how:<14}  the number is {:>7}  {:>7} lost  {:>6.3} s",
        HumanCount(number).to_string(),
        HumanCount(expected.abs_diff(number)).to_string(),
        time.as_secs_f64()
    );
}

/// Lets `tasks` tasks add 1 each, and returns the number and the time it took.
async fn count(tasks: u32, lock: Option<Mutex>) -> anyhow::Result<(u64, Duration)> {
    let cell = Arc::new(Cell::default());
    let start = Arc::new(Barrier::new(tasks as usize));
    let bar = common::progress(tasks.into(), "adding");
    let begun = Instant::now();
    let mut adders = JoinSet::new();
    for _ in 0..tasks {
        adders.spawn(adder(cell.clone(), start.clone(), lock.clone(), bar.clone()));
    }
    while let Some(ended) = adders.join_next().await {
        ended??;
    }
    bar.finish_and_clear();
    Ok((cell.read(), begun.elapsed()))
}

async fn adder(
    cell: Arc<Cell>,
    start: Arc<Barrier>,
    lock: Option<Mutex>,
    bar: ProgressBar,
) -> leasehold::Result<()> {
    start.wait().await;
    match lock {
        None => cell.add_one().await,
        Some(lock) => lock.run(async |_held| cell.add_one().await).await?,
    }
    bar.inc(1);
    Ok(())
}

/// A number that is read and written as a whole, like a file: nothing joins the two.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    fn read(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn write(&self, number: u64) {
        self.0.store(number, Ordering::SeqCst);
    }

    async fn add_one(&self) {
        let number = self.read();
        // Any await will do: a query, a request, a file. Here the other tasks have their turn.
        yield_now().await;
        self.write(number + 1);
    }
}
