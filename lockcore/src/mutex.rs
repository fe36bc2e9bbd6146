//! A lock that one holder has at a time.

use std::time::Duration;

use crate::handle::{Handle, options};
use crate::{Guard, Held, Mode, Result};

/// A lock that one holder has at a time, across all processes that use the backend.
///
/// From [`Locks::mutex`](crate::Locks::mutex). Who waited longest goes first. Not re-entrant: a task
/// that holds the lock and takes it again waits for itself.
#[derive(Clone, Debug)]
pub struct Mutex {
    handle: Handle,
}

impl Mutex {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Takes the lock, waiting for its turn.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). After an error nothing of ours holds the lock, or its
    /// clean-up is on the way. [`Lost`](crate::ErrorKind::Lost) means that the place in the queue was
    /// lost, because the store did not hear of us for one TTL or lost its data: call again.
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is given up: gone within a round trip, or within the TTL when the
    /// store cannot be reached. So `tokio::time::timeout` and `select!` may be used around it.
    ///
    /// Poll it or drop it: one that is kept and not polled any more holds its place, and the lock
    /// once its turn has come, for about one TTL, and then fails with
    /// [`Lost`](crate::ErrorKind::Lost); in one process, where a hold has no end but for some
    /// renewals, until it is dropped.
    pub async fn lock(&self) -> Result<Guard> {
        self.handle.lock(Mode::Exclusive).await
    }

    /// Takes the lock if it is free and nobody waits for it; `None` when it is busy.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`].
    ///
    /// # Cancel safety
    ///
    /// A grant that nobody takes is given back.
    pub async fn try_lock(&self) -> Result<Option<Guard>> {
        self.handle.try_lock(Mode::Exclusive).await
    }

    /// Takes the lock, waiting for its turn for at most `limit`; `None` when the time is over.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`].
    ///
    /// # Cancel safety
    ///
    /// As of [`Mutex::lock`]; the end of the time does the same.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn try_lock_for(&self, limit: Duration) -> Result<Option<Guard>> {
        self.handle.try_lock_for(Mode::Exclusive, limit).await
    }

    /// Takes the lock, does `work`, gives the lock back. When the lock is lost, `work` is dropped
    /// where it stands.
    ///
    /// The work sees the lock as [`Held`], for the token above all. The future of `work` is dropped
    /// at its next await point; a task that it spawned is not.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`], and [`ErrorKind::Lost`](crate::ErrorKind::Lost) when the lock was
    /// lost before the work was done. What the work returned is kept when only the confirmation of
    /// the release is missing.
    ///
    /// # Cancel safety
    ///
    /// The work is dropped and the lock is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(locks: lockcore::Locks) -> lockcore::Result<()> {
    /// let lock = locks.mutex("orders/123")?;
    /// let token = lock.run(async |held| held.token()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<T>(&self, work: impl AsyncFnOnce(Held) -> T) -> Result<T> {
        self.handle.run(Mode::Exclusive, work).await
    }
}

options!(Mutex);
