//! What is measured.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;

use self::store::leases::Work;
use crate::harness::Backend;
use crate::workload::Workload;

mod etcd;
mod foreign;
mod local;
mod redis;
pub(crate) mod store;
mod zk;

/// One way to take and give back named locks: ours, a peer's, or the floor beneath both.
///
/// The loops of [`workload`](crate::workload) are compiled for each subject anew, so neither a box
/// nor a dynamic call of the harness stands in the measured path. What a subject can prepare —
/// names, requests, connections — it prepares when it is made: `cycle` holds only what a user
/// would run for each lock.
pub(crate) trait Subject: Send + Sync + 'static {
    /// The name under which its results stand.
    fn name(&self) -> &'static str;

    /// Takes the lock, waiting for its turn; does what is `inside`; gives the lock back, and returns
    /// when it is free.
    ///
    /// All in one, so that a guard stays where it is: a harness that hands guards around would
    /// measure how large they are.
    fn cycle<F>(
        &self,
        at: At,
        inside: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = Result<()>> + Send
    where
        F: Future<Output = ()> + Send;

    /// Tries to take the lock, and gives it back if that was possible. Whether it was.
    fn is_taken(&self, _at: At) -> impl Future<Output = Result<bool>> + Send {
        async { bail!("BUG: {} does not try", self.name()) }
    }

    /// Whether it is asked to do this. One that does not wait for its turn leaves out what
    /// [contends](Workload::contends).
    fn does(&self, workload: Workload) -> bool {
        match workload {
            Workload::ManyNames { .. } | Workload::OwnNames { .. } | Workload::HandOff { .. } => {
                true
            }
            // Many that poll take minutes for a turn each.
            Workload::OneName { tasks, .. } => {
                tasks <= 64 || (self.polls_every() + self.is_served_every()).is_zero()
            }
            _ => false,
        }
    }

    /// How long one that polls sleeps between two looks, at most. A release then comes at any time
    /// of such a sleep, not always at the same one.
    fn polls_every(&self) -> Duration {
        Duration::ZERO
    }

    /// How long a server that looks now and then for those who wait sleeps between two looks. They
    /// come at any time of such a sleep, not always just after one.
    fn is_served_every(&self) -> Duration {
        Duration::ZERO
    }
}

/// Who takes what, counted from 0: subjects have as many clients and names as their questions ask
/// for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// A client of its own for each task that competes with others. Within one process there is
    /// only one.
    pub(crate) client: usize,
    pub(crate) name: usize,
}

/// The first of the names that subjects prepare are one that is shared by readers, the same for those
/// who write, and one with permits. From [`PLAIN`] on each stands for a mutex.
pub(crate) const READ: usize = 0;
pub(crate) const WRITE: usize = 1;
pub(crate) const PERMIT: usize = 2;
pub(crate) const PLAIN: usize = 3;

/// Of the semaphore.
pub(crate) const PERMITS: usize = 8;
/// As many as compete, each with a connection of its own.
pub(crate) const CLIENTS: usize = 8;

/// Makes the subjects of a backend; starts whatever they need.
pub(crate) type MakeBackend = fn(&Runtime) -> Result<Backend>;

/// The backends by name.
pub(crate) const BACKENDS: &[(&str, MakeBackend)] = &[
    ("local", local::backend),
    ("redis", redis::backend),
    ("etcd", etcd::backend),
    ("zk", zk::backend),
    ("redis-far", redis::far),
    ("etcd-far", etcd::far),
    ("zk-far", zk::far),
];

/// How the name of one ends whose server stands at the end of a link.
pub(crate) const FAR: &str = "-far";

pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|(name, _)| *name).collect()
}

/// Holds leases, and prints what they cost; the arguments are those of [`store::leases::cost`].
pub(crate) async fn hold(arguments: &[String]) -> Result<()> {
    let work = Work::read(arguments)?;
    let costs = match work.url.split_once("://") {
        Some(("local", _)) => local::leases::hold(&work).await?,
        Some(("etcd", _)) => etcd::leases::hold(&work).await?,
        Some(("zk", _)) => zk::leases::hold(&work).await?,
        _ => redis::leases::hold(&work).await?,
    };
    println!("{}", costs.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    Ok(())
}

/// Takes a lock as this subject does at this URL, and never gives it back.
pub(crate) async fn hold_for_ever(arguments: &[String]) -> Result<()> {
    let [subject, url] = arguments else { bail!("BUG: {arguments:?}") };
    match url.split_once("://") {
        Some(("etcd", _)) => etcd::broken::hold_for_ever(subject, url).await,
        Some(("zk", _)) => zk::broken::hold_for_ever(subject, url).await,
        _ => redis::broken::hold_for_ever(subject, url).await,
    }
}
