//! A lock that many readers or one writer have at a time.

use std::time::Duration;

use crate::handle::{Handle, options};
use crate::{Guard, Held, Mode, Result};

/// A lock that many readers or one writer have at a time, across all processes that use the
/// backend.
///
/// From [`Locks::rw_lock`](crate::Locks::rw_lock). One queue for both: a writer waits only for
/// those who came before it, and a reader that comes after a waiting writer waits for that writer.
/// So neither side starves.
#[derive(Clone, Debug)]
pub struct RwLock {
    handle: Handle,
}

impl RwLock {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Takes the lock together with other readers, waiting for its turn.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is given up: gone within a round trip, or within the TTL when the
    /// store cannot be reached.
    pub async fn read(&self) -> Result<Guard> {
        self.handle.lock(Mode::Shared).await
    }

    /// Takes the lock together with other readers if no writer has it or waits for it; `None` when
    /// it is busy.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// A grant that nobody takes is given back.
    pub async fn try_read(&self) -> Result<Option<Guard>> {
        self.handle.try_lock(Mode::Shared).await
    }

    /// Like [`RwLock::read`], waiting for at most `limit`; `None` when the time is over.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// As of [`RwLock::read`]; the end of the time does the same.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn try_read_for(&self, limit: Duration) -> Result<Option<Guard>> {
        self.handle.try_lock_for(Mode::Shared, limit).await
    }

    /// Takes the lock alone, waiting for its turn.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// As of [`RwLock::read`].
    pub async fn write(&self) -> Result<Guard> {
        self.handle.lock(Mode::Exclusive).await
    }

    /// Takes the lock alone if nobody has it or waits for it; `None` when it is busy.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// A grant that nobody takes is given back.
    pub async fn try_write(&self) -> Result<Option<Guard>> {
        self.handle.try_lock(Mode::Exclusive).await
    }

    /// Like [`RwLock::write`], waiting for at most `limit`; `None` when the time is over.
    ///
    /// # Errors
    ///
    /// As of [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    ///
    /// As of [`RwLock::read`]; the end of the time does the same.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn try_write_for(&self, limit: Duration) -> Result<Option<Guard>> {
        self.handle.try_lock_for(Mode::Exclusive, limit).await
    }

    /// Does `work` as a reader, see [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Errors
    ///
    /// As of [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Cancel safety
    ///
    /// The work is dropped and the lock is given back.
    pub async fn run_read<T>(&self, work: impl AsyncFnOnce(Held) -> T) -> Result<T> {
        self.handle.run(Mode::Shared, work).await
    }

    /// Does `work` as the writer, see [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Errors
    ///
    /// As of [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Cancel safety
    ///
    /// The work is dropped and the lock is given back.
    pub async fn run_write<T>(&self, work: impl AsyncFnOnce(Held) -> T) -> Result<T> {
        self.handle.run(Mode::Exclusive, work).await
    }
}

options!(RwLock);
