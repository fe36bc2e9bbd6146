//! What is measured.

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::harness::Backend;

mod local;

/// One way to take and give back named locks: ours, a peer's, or the floor beneath both.
///
/// The loops of [`workload`](crate::workload) are compiled for each subject anew, so neither a box
/// nor a dynamic call of the harness stands in the measured path. What a subject can prepare —
/// names, requests, connections — it prepares when it is made: `lock` and `unlock` hold only
/// what a user would run for each lock.
pub(crate) trait Subject: Send + Sync + 'static {
    /// A lock that is held.
    type Held<'a>: Send
    where
        Self: 'a;

    /// The name under which its results stand.
    fn name(&self) -> &'static str;

    /// Takes the lock of the `name`-th name, waiting for its turn. A subject has
    /// [`NAMES`](crate::workload::NAMES) names.
    fn lock(&self, name: usize) -> impl Future<Output = Result<Self::Held<'_>>> + Send;

    /// Gives it back, and returns when it is free.
    fn unlock(&self, held: Self::Held<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Whether `lock` waits for its turn. One that does not is only asked questions in which
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
