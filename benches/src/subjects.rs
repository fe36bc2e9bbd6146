//! What is measured.

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::harness::Backend;

mod local;

/// One way to take and give back named locks: ours, a peer's, or the floor beneath both.
///
/// The loops of [`workload`](crate::workload) are compiled for each subject anew, so neither a box
/// nor a dynamic call of the harness stands in the measured path. What a subject can prepare —
/// names, requests, connections — it prepares when it is made: `cycle` holds only what a user
/// would run for each lock.
pub(crate) trait Subject: Send + Sync + 'static {
    /// The name under which its results stand.
    fn name(&self) -> &'static str;

    /// Takes the lock of the `name`-th name, waiting for its turn; does what is `inside`; gives the
    /// lock back, and returns when it is free. A subject has [`NAMES`](crate::workload::NAMES)
    /// names.
    ///
    /// All in one, so that a guard stays where it is: a harness that hands guards around would
    /// measure how large they are.
    fn cycle<F>(
        &self,
        name: usize,
        inside: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = Result<()>> + Send
    where
        F: Future<Output = ()> + Send;

    /// Whether it waits for its turn. One that does not is only asked questions in which
    /// nobody waits.
    fn waits(&self) -> bool {
        true
    }
}

/// Makes the subjects of a backend; starts whatever they need.
pub(crate) type MakeBackend = fn(&Runtime) -> Result<Backend>;

/// The backends by name.
pub(crate) const BACKENDS: &[(&str, MakeBackend)] = &[("local", local::backend)];

pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|(name, _)| *name).collect()
}
