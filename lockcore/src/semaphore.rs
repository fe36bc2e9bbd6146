//! A lock that a number of holders have at a time.

use std::time::Duration;

use crate::handle::{Handle, options};
use crate::{Guard, Held, Mode, Result};

/// A lock that up to a number of holders have at a time, across all processes that use the backend.
///
/// From [`Locks::semaphore`](crate::Locks::semaphore). All who use the name give the same count; an
/// acquisition with another count than that of those who hold or wait fails.
#[derive(Clone, Debug)]
pub struct Semaphore {
    handle: Handle,
}

impl Semaphore {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// How many may hold it at a time.
    #[must_use]
    pub fn permits(&self) -> u32 {
        match self.handle.mode() {
            Mode::Permit { of } => of.get(),
            Mode::Exclusive | Mode::Shared => 1,
        }
    }

    /// Takes a permit, waiting for its turn.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock), and
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig) when others use the name with
    /// another count.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is given up: gone within a round trip, or within the TTL when the
    /// store cannot be reached.
    pub async fn acquire(&self) -> Result<Guard> {
        self.handle.lock(self.handle.mode()).await
    }

    /// Takes a permit if one is free and nobody waits; `None` otherwise.
    ///
    /// # Errors
    ///
    /// As of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// A grant that nobody takes is given back.
    pub async fn try_acquire(&self) -> Result<Option<Guard>> {
        self.handle.try_lock(self.handle.mode()).await
    }

    /// Like [`Semaphore::acquire`], waiting for at most `limit`; `None` when the time is over.
    ///
    /// # Errors
    ///
    /// As of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// As of [`Semaphore::acquire`]; the end of the time does the same.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn try_acquire_for(&self, limit: Duration) -> Result<Option<Guard>> {
        self.handle.try_lock_for(self.handle.mode(), limit).await
    }

    /// Does `work` with a permit, see [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Errors
    ///
    /// As of [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Cancel safety
    ///
    /// The work is dropped and the permit is given back.
    pub async fn run<T>(&self, work: impl AsyncFnOnce(Held) -> T) -> Result<T> {
        self.handle.run(self.handle.mode(), work).await
    }
}

options!(Semaphore);
