//! A grant as its holder sees it.

use std::fmt;

use async_trait::async_trait;

use crate::{BootInstant, FencingToken, LockName, Result};

/// One grant of one lock, from its acquisition to its end.
///
/// # Contract
///
/// For users:
///
/// 1. [`is_held`](Lease::is_held) is an answer from the local clock, not from the store. While it
///    says yes, no other client was granted the lock (**R1**), unless the backend's
///    [`Guarantees`](crate::Guarantees) except it.
/// 2. It says no from the [`deadline`](Lease::deadline) on at the latest, which lies before the
///    store gives the lock away (**R4**). It never says yes again (**R3**).
/// 3. The [`token`](Lease::token) does not change (**R2**).
///
/// For authors of drivers: dropping a lease that was not released asks for its release, in the
/// background and outside a runtime as well. [`Engine`](crate::Engine) does all of this for you.
#[async_trait]
pub trait Lease: fmt::Debug + Send + Sync {
    /// The name of the lock.
    fn name(&self) -> &LockName;

    /// The number of this grant, to be checked by the resource.
    fn token(&self) -> FencingToken;

    /// Until when the lock is believed to be held unless a renewal moves it on. Once it is not held
    /// any more, an instant that has passed.
    fn deadline(&self) -> BootInstant;

    /// Whether the lock is held now. Reads a clock and memory; no I/O, no mutex.
    fn is_held(&self) -> bool;

    /// Waits until the lock is lost, and says how. After a release: [`LossCause::Released`]. At a
    /// deadline it is as late as the runtime's timer, a few milliseconds;
    /// [`is_held`](Lease::is_held) is not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled, if the hold has a deadline.
    async fn lost(&self) -> LossCause;

    /// Renews now, and returns when the store has confirmed it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) when the lock is gone. Transient errors change
    /// nothing: the lock is held until its deadline.
    ///
    /// # Cancel safety
    ///
    /// A renewal that was sent may be applied; then the store keeps the lock one TTL longer than
    /// this client believes.
    async fn renew(&self) -> Result<()>;

    /// Gives the lock up, and returns when the store has confirmed it. The belief ends at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotHeld`](crate::ErrorKind::NotHeld) when the store had no such grant: it was
    /// lost, or released before. [`ErrorKind::Indeterminate`](crate::ErrorKind::Indeterminate) when
    /// the store did not answer until the deadline; the release goes on being tried.
    ///
    /// # Cancel safety
    ///
    /// The release goes on without the future, so the lock is given up all the same.
    async fn release(&self) -> Result<Released>;

    /// Gives the lock up without waiting for anything: the belief ends at once, and the release is
    /// asked for in the background. What dropping the lease does, for one that others still have.
    fn give_up(&self);
}

/// How a lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// The deadline passed without a confirmed renewal.
    Expired,
    /// It was held for as long as [`Renewal::AutoUntil`](crate::Renewal::AutoUntil) allows.
    MaxHold,
    /// The holder released it.
    Released,
    /// The store said that it has no such lock: it was removed, or the store lost its data.
    Revoked,
    /// The session that it belonged to ended in the store.
    SessionEnded,
    /// The client was shut down.
    Shutdown,
}

impl LossCause {
    /// The cause in one word, as metrics carry it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxHold => "max_hold",
            Self::Released => "released",
            Self::Revoked => "revoked",
            Self::SessionEnded => "session_ended",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed without a renewal",
            Self::MaxHold => "it was held for as long as allowed",
            Self::Released => "it was released",
            Self::Revoked => "the store no longer has it",
            Self::SessionEnded => "its session ended",
            Self::Shutdown => "the client was shut down",
        })
    }
}

/// The store has confirmed a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// The token of the grant that ended.
    pub token: FencingToken,
}

impl Released {
    /// A confirmed release; for authors of drivers.
    #[must_use]
    pub fn new(token: FencingToken) -> Self {
        Self { token }
    }
}
