//! What many held leases cost, in memory and in renewals.
//!
//! They are held by a process of their own, which has nothing else in its memory. It counts, and
//! prints the numbers.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lockcore::{Guard, Locks};
use tokio::time::sleep;

use super::Meter;
use crate::harness::Plan;

/// Has the leases of `subject` held by a process, and returns what they cost: bytes of each, and
/// what the server's meter says.
pub(crate) fn cost(subject: &str, url: &str, plan: Plan) -> Result<Vec<f64>> {
    let holder = Command::new(std::env::current_exe()?)
        .args(["--hold", subject, url])
        .args([plan.leases.to_string(), plan.wait.as_millis().to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(holder.status.success(), "the process that holds them: {}", holder.status);
    let numbers = String::from_utf8(holder.stdout)?;
    let numbers = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    numbers.context("the process that holds them printed something else")
}

/// What the process does: holds so many leases for so long.
pub(crate) struct Work<'a> {
    pub(crate) subject: &'a str,
    pub(crate) url: &'a str,
    leases: usize,
    wait: Duration,
}

impl<'a> Work<'a> {
    /// From the arguments that [`cost`] gives to the process.
    pub(crate) fn read(arguments: &'a [String]) -> Result<Self> {
        let [subject, url, leases, wait] = arguments else { bail!("BUG: {arguments:?}") };
        let wait = Duration::from_millis(wait.parse()?);
        Ok(Self { subject, url, leases: leases.parse()?, wait })
    }

    /// [`run`](Work::run) with ours.
    pub(crate) async fn run_ours<M: Meter>(&self, locks: &Locks) -> Result<Vec<f64>> {
        let acquire = async |name: &str| Ok(locks.mutex(name)?.lock().await?);
        let release = async |guard: Guard| {
            guard.release().await?;
            Ok(())
        };
        self.run::<M, _>(acquire, release).await
    }

    /// Bytes of a lease, and what the meter says of all of them while they are held.
    pub(crate) async fn run<M: Meter, G>(
        &self,
        acquire: impl AsyncFn(&str) -> Result<G>,
        release: impl AsyncFn(G) -> Result<()>,
    ) -> Result<Vec<f64>> {
        for cycle in 0..WARM_UP {
            release(acquire(&format!("{}/warm-up/{cycle:06}", self.subject)).await?).await?;
        }
        let before = resident()?;
        let mut held = Vec::with_capacity(self.leases);
        // One after the other, so that they are not all due for renewal at once.
        for lease in 0..self.leases {
            held.push(acquire(&format!("{}/leases/{lease:06}", self.subject)).await?);
        }
        let meter = M::start(self.url).await?;
        sleep(self.wait).await;
        let requests = meter.read().await?;
        let grown = resident()?.saturating_sub(before);
        Ok([vec![grown as f64 / held.len() as f64], requests].concat())
    }
}

/// The memory of this process, in bytes.
fn resident() -> Result<usize> {
    let memory = fs::read_to_string("/proc/self/smaps_rollup")?;
    let mut lines = memory.lines().filter_map(|line| line.strip_prefix("Rss:"));
    let kib = lines.next().and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: usize = kib.context("the kernel does not tell how much memory is used")?;
    Ok(kib * 1024)
}

/// Cycles that bring connections, scripts and the allocator to their working size.
const WARM_UP: usize = 1_000;
