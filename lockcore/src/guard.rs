//! What holds a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::telemetry::Telemetry;
use crate::{BootInstant, FencingToken, Lease, LockName, LossCause, Mode, Released, Result};

/// Holds a lock until it is released, dropped or lost.
///
/// It borrows nothing: keep it in a struct, send it to another task. Dropping it *asks* for the
/// release, from anywhere, also outside a runtime and while unwinding; only
/// [`release`](Guard::release) tells that it happened. A dropped guard whose process ends before
/// the request has left holds the lock for one TTL more; call
/// [`Locks::shutdown`](crate::Locks::shutdown) before the end.
#[must_use = "dropping a guard gives the lock back at once"]
pub struct Guard {
    lease: Box<dyn Lease>,
    mode: Mode,
    since: BootInstant,
    telemetry: Telemetry,
    /// Whether the end of the hold was told already.
    is_told: AtomicBool,
}

impl Guard {
    pub(crate) fn new(lease: Box<dyn Lease>, mode: Mode, telemetry: Telemetry) -> Self {
        let (since, is_told) = (BootInstant::now(), AtomicBool::new(false));
        Self { lease, mode, since, telemetry, is_told }
    }

    /// The name of the lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.lease.name()
    }

    /// In which company it is held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The number of this grant: send it with every write that the lock protects.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.lease.token()
    }

    /// Until when the lock is held unless a renewal moves it on. Once it is not held any more, an
    /// instant that has passed.
    ///
    /// A call that cannot be taken back, such as a payment, should be bounded by it.
    #[must_use]
    pub fn deadline(&self) -> BootInstant {
        self.lease.deadline()
    }

    /// Whether the lock is held now. Reads a clock and memory; no I/O, no mutex.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.lease.is_held()
    }

    /// Waits until the lock is lost, and says how. At a deadline it is as late as the runtime's
    /// timer, a few milliseconds; [`is_held`](Guard::is_held) is not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled, if the hold has a deadline.
    pub async fn lost(&self) -> LossCause {
        self.lease.lost().await
    }

    /// Renews now; the library does so by itself unless [`Renewal::Never`](crate::Renewal::Never).
    /// The limit of [`Renewal::AutoUntil`](crate::Renewal::AutoUntil) does not move.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) when the lock is gone. After a transient error it
    /// is held until its deadline, and a further call may succeed.
    ///
    /// # Cancel safety
    ///
    /// A renewal that was sent may be applied; then the store keeps the lock one TTL longer than
    /// this client believes.
    pub async fn renew(&self) -> Result<()> {
        self.lease.renew().await
    }

    /// Gives the lock back, and returns when the store has confirmed it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotHeld`](crate::ErrorKind::NotHeld) when the lock had been lost: work done
    /// under it was not protected to the end.
    /// [`ErrorKind::Indeterminate`](crate::ErrorKind::Indeterminate) when the store did not answer
    /// until the deadline.
    ///
    /// # Cancel safety
    ///
    /// The release goes on without the future.
    pub async fn release(self) -> Result<Released> {
        self.release_shared().await
    }

    pub(crate) async fn release_shared(&self) -> Result<Released> {
        self.tell_end();
        self.lease.release().await
    }

    /// Gives the lock up though others still have the guard.
    pub(crate) fn give_up(&self) {
        self.tell_end();
        self.lease.give_up();
    }

    /// Tells the telemetry that the hold is over, once.
    fn tell_end(&self) {
        if self.is_told.swap(true, Relaxed) {
            return;
        }
        let lost = self.loss();
        if let Some(cause) = lost {
            let (backend, name) = (self.telemetry.backend(), self.name());
            tracing::warn!(backend, %name, %cause, "a lock was lost");
        }
        self.telemetry.held(self.mode, self.since, lost);
    }

    /// How it was lost, if it was: an ended lease answers at the first poll.
    pub(crate) fn loss(&self) -> Option<LossCause> {
        if self.lease.is_held() {
            return None;
        }
        let mut lost = self.lease.lost();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match lost.as_mut().poll(&mut context) {
            std::task::Poll::Ready(LossCause::Released) | std::task::Poll::Pending => None,
            std::task::Poll::Ready(cause) => Some(cause),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell_end();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("name", self.name())
            .field("mode", &self.mode)
            .field("token", &self.token())
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}

/// What work inside `run` sees of its lock: everything but the release.
///
/// A clone is cheap. One that outlives `run` says that the lock is not held.
#[derive(Clone, Debug)]
pub struct Held(Arc<Guard>);

impl Held {
    pub(crate) fn new(guard: Arc<Guard>) -> Self {
        Self(guard)
    }

    /// The number of this grant, see [`Guard::token`].
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.0.token()
    }

    /// Until when the lock is held unless a renewal moves it on, see [`Guard::deadline`].
    #[must_use]
    pub fn deadline(&self) -> BootInstant {
        self.0.deadline()
    }

    /// Whether the lock is held now, see [`Guard::is_held`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// Waits until the lock is lost or given back, and says how.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn lost(&self) -> LossCause {
        self.0.lost().await
    }
}
