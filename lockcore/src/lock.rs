//! The contract of a backend.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Guarantees, Inspection, Lease, LockName, Request, Result};

/// Takes a lock, or says that it is busy.
#[async_trait]
pub trait TryLock: Debug + Send + Sync {
    /// Takes the lock if nobody is before us; `None` when somebody holds it or waits for it.
    ///
    /// Never overtakes a queue (**R9**): a free permit is not for a `try_lock` while somebody waits.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). After an error nothing of ours holds the lock, or its
    /// clean-up is on the way (**R11**).
    ///
    /// # Cancel safety
    ///
    /// A grant that nobody takes is released: gone within a round trip of its arrival, or within
    /// the TTL when the store cannot be reached (**R6**).
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>>;
}

/// A backend: takes locks, waits for them, shows who holds them.
///
/// # Contract
///
/// For users:
///
/// 1. **R1** Two grants of one name that are not both shared are never believed at once; of a
///    permit, never more than its count.
/// 2. **R2** Tokens rise in the order of the grants of a name.
/// 3. **R9** Who queued first goes first.
/// 4. **R6** An acquisition that fails or is dropped leaves nothing behind.
///
/// All sixteen rules stand in [`Rule`](crate::Rule), what a backend excepts in
/// [`Lock::guarantees`].
///
/// For authors of drivers: write a [`Driver`](crate::Driver) and let [`Engine`](crate::Engine) make
/// a `Lock` of it; then certify it with the crate `lock-conformance`.
#[async_trait]
pub trait Lock: TryLock {
    /// Takes the lock, waiting for its turn.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind); [`ErrorKind::Lost`](crate::ErrorKind::Lost) when the
    /// place in the queue was lost with its session.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is given up: gone within a round trip, or within the TTL when the
    /// store cannot be reached (**R6**).
    async fn lock(&self, request: &Request) -> Result<Box<dyn Lease>>;

    /// What this backend promises, and what not.
    fn guarantees(&self) -> &Guarantees;

    /// Who holds the lock and who waits for it, now.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Reads only; dropping the future has no effect.
    async fn inspect(&self, name: &LockName) -> Result<Inspection>;

    /// Ends this client: those who wait fail with [`ErrorKind::Closed`](crate::ErrorKind::Closed),
    /// held locks are lost with [`LossCause::Shutdown`](crate::LossCause::Shutdown) and given back.
    /// Returns when the store has confirmed every release, also those that drops asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Indeterminate`](crate::ErrorKind::Indeterminate) when a release could not be
    /// confirmed; what is left goes with its TTL. A second call is no error.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on without the future; call again to wait for its end.
    async fn shutdown(&self) -> Result<()>;
}
