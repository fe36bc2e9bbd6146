//! Four clients share a read-write lock: readers together, a writer alone, nobody overtakes.

#![forbid(unsafe_code)]

mod common;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use indicatif::ProgressBar;
use leasehold::{Claim, Locks};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Four clients share a read-write lock; the timeline shows who holds it when
///
/// r1 and r2 read, rw3 writes, r4 reads. They arrive in this order, 100 ms apart, and each holds
/// the lock for 500 ms. The readers r1 and r2 hold it together; the writer rw3 waits for both;
/// r4 could read along with r1 and r2 but came after the writer, so it waits: otherwise a stream
/// of readers would keep a writer out for ever. Exit code 0: it was so.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    backend: common::Backend,

    /// The name of the lock; runs that share a name share the lock [default: one of this run]
    #[arg(long)]
    name: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let locks = args.backend.connect().await?;
    let name = args.name.unwrap_or_else(|| format!("readers/{}", common::run_id()));
    println!("Four clients arrive at one read-write lock, 100 ms apart; each holds it for 500 ms.");
    println!("Locks: {}, name: {name}\n", locks.backend());

    let bar = common::progress(3 * CLIENTS.len() as u64, "clients arrive, hold, release");
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for (place, client) in CLIENTS.into_iter().enumerate() {
        let (locks, name, bar) = (locks.clone(), name.clone(), bar.clone());
        clients.spawn(async move {
            let visit = client.visit(&locks, &name, start, place, &bar).await;
            visit.with_context(|| format!("client {}", client.label))
        });
    }
    sleep_until(start + LOOK_AT).await;
    let looked_at = start.elapsed();
    let picture = locks.inspect(&name).await?;

    let mut visits = Vec::new();
    while let Some(visit) = clients.join_next().await {
        visits.push(visit??);
    }
    visits.sort_by_key(|visit| visit.place);
    bar.finish_and_clear();
    locks.shutdown().await?;

    println!("At {} ms inspect() said:", looked_at.as_millis());
    println!("  hold it: {}", list(picture.holders()));
    println!("  wait:    {}\n", list(picture.waiters()));
    print_timeline(&visits);
    check(&visits)?;
    println!("\nAs it should be: r1 and r2 share, rw3 waits for both, r4 waits for rw3.");
    Ok(())
}

/// Who comes to the lock, and what for.
#[derive(Clone, Copy)]
struct Client {
    label: &'static str,
    writes: bool,
}

/// What became of it, as times since the start.
struct Visit {
    client: Client,
    place: usize,
    arrived: Duration,
    granted: Duration,
    released: Duration,
}

impl Client {
    async fn visit(
        self,
        locks: &Locks,
        name: &str,
        start: Instant,
        place: usize,
        bar: &ProgressBar,
    ) -> leasehold::Result<Visit> {
        let lock = locks.rw_lock(name)?.owner(self.label);
        sleep_until(start + ARRIVAL_GAP * place as u32).await;
        let arrived = start.elapsed();
        bar.inc(1);

        let guard = if self.writes { lock.write().await? } else { lock.read().await? };
        let granted = start.elapsed();
        bar.inc(1);

        sleep(HOLD).await;
        // Taken before the call: the next one may have the lock before we read the reply.
        let released = start.elapsed();
        guard.release().await?;
        bar.inc(1);
        Ok(Visit { client: self, place, arrived, granted, released })
    }
}

fn list(claims: &[Claim]) -> String {
    let texts: Vec<_> = claims
        .iter()
        .map(|claim| format!("{} ({})", claim.owner().unwrap_or("somebody else"), claim.mode()))
        .collect();
    if texts.is_empty() { "nobody".to_owned() } else { texts.join(", ") }
}

fn print_timeline(visits: &[Visit]) {
    println!("client    arrived    granted   released   . waits  # holds  (one character: 25 ms)");
    for Visit { client, arrived, granted, released, .. } in visits {
        let column = |time: &Duration| (time.as_millis() / COLUMN.as_millis()) as usize;
        let (from, held, to) = (column(arrived), column(granted), column(released));
        println!(
            "{:<6} {:>7} ms {:>7} ms {:>7} ms   {}{}{}",
            client.label,
            arrived.as_millis(),
            granted.as_millis(),
            released.as_millis(),
            " ".repeat(from),
            ".".repeat(held - from),
            "#".repeat((to - held).max(1)),
        );
    }
}

/// The order is the promise; the milliseconds depend on the machine and the store.
fn check(visits: &[Visit]) -> anyhow::Result<()> {
    let [r1, r2, rw3, r4] = visits else { unreachable!("BUG: as many visits as clients") };
    ensure!(
        r2.granted < r1.released && r1.granted < r2.released,
        "r1 and r2 only read and should have held the lock together, but one waited for the other; \
         {SHARED}"
    );
    for reader in [r1, r2] {
        ensure!(
            reader.released <= rw3.granted,
            "rw3 writes and should have waited until {} released; {SHARED}",
            reader.client.label
        );
    }
    ensure!(
        rw3.released <= r4.granted,
        "r4 came after the writer rw3 and should have waited until it released; {SHARED}"
    );
    Ok(())
}

const CLIENTS: [Client; 4] = [
    Client { label: "r1", writes: false },
    Client { label: "r2", writes: false },
    Client { label: "rw3", writes: true },
    Client { label: "r4", writes: false },
];
const ARRIVAL_GAP: Duration = Duration::from_millis(100);
const HOLD: Duration = Duration::from_millis(500);
/// After the last arrival and before the first release.
const LOOK_AT: Duration = Duration::from_millis(350);
const COLUMN: Duration = Duration::from_millis(25);
const SHARED: &str =
    "does the store take longer than 100 ms to answer, or do others use this name?";
