//! Workers charge the orders of a shop: without a lock, with a lock, and with a zombie among them.

#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod generator;
mod ledger;
mod orders;
mod report;
mod workers;
mod zombie;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use leasehold::Locks;

use crate::orders::Order;
use crate::report::{Audit, Row, Table, count, money};
use crate::workers::Job;

/// Workers charge the orders of a shop, and none may be charged twice
///
/// Phase 1: without a lock, workers charge many orders twice. Phase 2: with a lock per order, each
/// is charged once. Phase 3: a worker that slept through its lease tries to charge all the same,
/// and the ledger refuses it by its fencing token. Exit code 0: all three went so.
///
/// Several processes at one ledger: start `orders --locked-only --ledger DIR --url URL` in each,
/// with the URL of a store that all can reach.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    backend: common::Backend,

    /// How many workers go through the orders at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    workers: u16,

    /// A CSV file of orders instead of the 3,000 that come with the example
    #[arg(long, value_name = "PATH")]
    orders: Option<PathBuf>,

    /// Takes only the first N orders, for a store that is far away
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// The directory of the ledgers [default: a new one in the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    ledger: Option<PathBuf>,

    /// How long the zombie's lease is [default: 2s, or the shortest that the store takes]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    zombie_ttl: Option<Duration>,

    /// Only phase 2, on a ledger that other processes may use at the same time
    #[arg(long)]
    locked_only: bool,

    /// Writes the 3,000 orders that come with the example to PATH, and ends
    #[arg(long, value_name = "PATH", exclusive = true)]
    generate: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(&Args::parse()).await)
}

async fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = &args.generate {
        return std::fs::write(path, generator::csv())
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let mut orders = orders::load(args.orders.as_deref())?;
    if let Some(limit) = args.limit {
        orders = orders.iter().take(limit as usize).cloned().collect();
    }
    let locks = args.backend.connect().await?;
    let dir = ledgers(args)?;
    println!("Workers charge the orders of a shop; none may be charged twice.");
    println!("  orders:  {}", count(orders.len()));
    println!("  workers: {}", args.workers);
    println!("  locks:   {}", locks.backend());
    println!("  ledgers: {}\n", dir.display());

    let mut rows = Vec::new();
    if !args.locked_only {
        rows.push(without_lock(args, &orders, &dir).await?);
    }
    rows.push(with_lock(args, &orders, &dir, locks.clone()).await?);
    if !args.locked_only {
        println!("Phase 3: a zombie, a worker that lost its lock in its sleep");
        let shortest = locks.guarantees().ttl().start().as_duration();
        let ttl = args.zombie_ttl.unwrap_or(ZOMBIE_TTL.max(shortest));
        rows.extend(zombie::scene(&args.backend, &dir, ttl).await?);
        println!();
    }
    locks.shutdown().await?;
    print!("{}", Table(rows));
    Ok(())
}

/// The directory of the ledgers, which is made if need be.
fn ledgers(args: &Args) -> anyhow::Result<PathBuf> {
    let fresh = || std::env::temp_dir().join(format!("leasehold-orders-{}", common::run_id()));
    let dir = args.ledger.clone().unwrap_or_else(fresh);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let used = dir.join(WITH_LOCK).exists() || dir.join(WITHOUT_LOCK).exists();
    ensure!(
        args.locked_only || !used,
        "{} has the ledgers of an earlier run: name another directory, or go on with --locked-only",
        dir.display()
    );
    Ok(dir)
}

async fn without_lock(args: &Args, orders: &Arc<[Order]>, dir: &Path) -> anyhow::Result<Row> {
    println!("Phase 1: without a lock");
    println!(
        "  Each worker: if the ledger has no charge of the order, pay, then write the charge."
    );
    let ledger = dir.join(WITHOUT_LOCK);
    let job = Job { orders: orders.clone(), ledger: ledger.clone(), locks: None };
    let time = job.run(args.workers).await?;
    let audit = Audit::of(&ledger, orders)?;
    ensure!(
        audit.twice > 0,
        "the race did not happen: without a lock no order was charged twice, so this run shows \
         nothing; try again with more --workers or more orders"
    );
    let sums: Vec<_> = audit.overcharged.iter().map(|(name, sum)| money(name, *sum)).collect();
    println!("  {} orders were charged twice or more.", count(audit.twice));
    println!("  Customers paid too much: {}.\n", sums.join(", "));
    Ok(Row::new("1  without a lock", audit, Some(time)))
}

async fn with_lock(
    args: &Args,
    orders: &Arc<[Order]>,
    dir: &Path,
    locks: Locks,
) -> anyhow::Result<Row> {
    println!("Phase 2: with a lock per order");
    println!("  The same, but each worker takes the lock of the order before it looks.");
    if args.locked_only && locks.backend() == "local" {
        println!("  Note: `local:` does not keep processes apart; give the --url of a store.");
    }
    let ledger = dir.join(WITH_LOCK);
    let job = Job { orders: orders.clone(), ledger: ledger.clone(), locks: Some(locks) };
    let time = job.run(args.workers).await?;
    let audit = Audit::of(&ledger, orders)?;
    println!("  {} orders were charged twice or more.", count(audit.twice));
    ensure!(
        audit.is_exact(),
        "with a lock per order, {} orders were charged twice or more and {} were not charged",
        audit.twice,
        audit.missing
    );
    println!("  Each of the {} orders was charged once.\n", count(audit.orders));
    Ok(Row::new("2  with a lock per order", audit, Some(time)))
}

const WITHOUT_LOCK: &str = "without-lock.csv";
const WITH_LOCK: &str = "with-lock.csv";
const ZOMBIE_TTL: Duration = Duration::from_secs(2);
