//! What many held leases cost, in memory and in renewals.
//!
//! They are held by a process of their own, which has nothing else in its memory. It counts, and
//! prints the two numbers.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lockcore::Guard;
use rlock::AcquireOptions;
use rlock::async_lock::{RLock, RLockGuard};
use rslock::{LockGuard, LockManager};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::server::{Monitor, Server};
use super::{OURS, RLOCK, RSLOCK, TTL, ours};
use crate::counts::Counted;
use crate::harness::Plan;

/// A subject by name.
pub(super) struct Leases {
    server: Arc<Server>,
    subject: &'static str,
}

impl Leases {
    pub(super) fn of(server: &Arc<Server>, subject: &'static str) -> Box<dyn Counted> {
        Box::new(Self { server: server.clone(), subject })
    }
}

impl Counted for Leases {
    fn name(&self) -> &'static str {
        self.subject
    }

    fn count(&self, _: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        let holder = Command::new(std::env::current_exe()?)
            .args(["--hold", self.subject, &self.server.url()])
            .args([plan.leases.to_string(), plan.wait.as_millis().to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(holder.status.success(), "the process that holds them: {}", holder.status);
        let numbers = String::from_utf8(holder.stdout)?;
        let numbers = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        numbers.context("the process that holds them printed something else")
    }
}

/// What the process does: holds so many leases for so many milliseconds, and prints what they cost.
pub(crate) async fn hold(arguments: &[String]) -> Result<()> {
    let [subject, url, leases, wait] = arguments else { bail!("BUG: {arguments:?}") };
    let (leases, wait) = (leases.parse()?, Duration::from_millis(wait.parse()?));
    let work = Work { subject, url, leases, wait };
    let (bytes, commands) = match subject.as_str() {
        OURS => {
            let locks = ours::connect(url, TTL).await?;
            let acquire = async |name: &str| Ok(locks.mutex(name)?.lock().await?);
            let release = async |guard: Guard| {
                guard.release().await?;
                Ok(())
            };
            work.cost(acquire, release).await?
        }
        RSLOCK => {
            let client = LockManager::new(vec![url.as_str()]);
            let acquire = async |name: &str| Ok(client.acquire(name, TTL).await?);
            let release = async |guard: LockGuard| {
                guard.release().await;
                Ok(())
            };
            work.cost(acquire, release).await?
        }
        RLOCK => {
            let client = RLock::new(url.as_str()).await?;
            let options = AcquireOptions::builder().ttl(TTL).build()?;
            let acquire = async |name: &str| {
                Ok(client.acquire_mutex_with_options(name, options.clone()).await?)
            };
            let release = async |mut guard: RLockGuard| Ok(guard.release().await?);
            work.cost(acquire, release).await?
        }
        _ => bail!("BUG: who is {subject}?"),
    };
    println!("{bytes} {commands}");
    Ok(())
}

struct Work<'a> {
    subject: &'a str,
    url: &'a str,
    leases: usize,
    wait: Duration,
}

impl Work<'_> {
    /// Bytes of a lease, and commands of all of them while they are held.
    async fn cost<G>(
        &self,
        acquire: impl AsyncFn(&str) -> Result<G>,
        release: impl AsyncFn(G) -> Result<()>,
    ) -> Result<(f64, u64)> {
        for cycle in 0..WARM_UP {
            release(acquire(&format!("{}/warm-up/{cycle:06}", self.subject)).await?).await?;
        }
        let before = resident()?;
        let mut held = Vec::with_capacity(self.leases);
        // One after the other, so that they are not all due for renewal at once.
        for lease in 0..self.leases {
            held.push(acquire(&format!("{}/leases/{lease:06}", self.subject)).await?);
        }
        let monitor = Monitor::start(self.url).await?;
        sleep(self.wait).await;
        let commands = monitor.count().await?;
        let grown = resident()?.saturating_sub(before);
        Ok((grown as f64 / held.len() as f64, commands))
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
