//! What `connect` returns: the locks of one backend.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::handle::Handle;
use crate::telemetry::Telemetry;
use crate::{
    Error, ErrorKind, Guarantees, Inspection, Lock, LockName, Mode, Mutex, OwnerLabel, Request,
    Result, RwLock, Semaphore, Ttl,
};

/// The locks of one backend. A clone is cheap and is the same client: a
/// [`shutdown`](Locks::shutdown) of one is the shutdown of all. A client with connections belongs to
/// the runtime that it was made in, and is closed when that ends.
///
/// A handle, such as the one from [`Locks::mutex`], is a name with options; making one asks nothing
/// of the store, and two handles of one name are the same lock.
#[derive(Clone)]
pub struct Locks {
    lock: Arc<dyn Lock>,
    ttl: Ttl,
    owner: Option<OwnerLabel>,
    telemetry: Telemetry,
}

impl Locks {
    /// The locks of `lock`, with the default TTL.
    #[must_use]
    pub fn new(lock: impl Lock + 'static) -> Self {
        Self::from_arc(Arc::new(lock))
    }

    /// The locks of a backend that is shared with others.
    #[must_use]
    pub fn from_arc(lock: Arc<dyn Lock>) -> Self {
        let telemetry = Telemetry::new(lock.guarantees().backend());
        Self { lock, ttl: Ttl::DEFAULT, owner: None, telemetry }
    }

    /// The same locks with another TTL where a handle says none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] when it is out of range, see [`Ttl`], or the backend does not
    /// take it.
    pub fn ttl(mut self, ttl: Duration) -> Result<Self> {
        let ttl = Ttl::new(ttl)?;
        self.lock.guarantees().check_ttl(ttl)?;
        self.ttl = ttl;
        Ok(self)
    }

    /// The same locks with an owner label where a handle says none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for a label that cannot be printed, see [`OwnerLabel`].
    pub fn owner(mut self, label: impl AsRef<str>) -> Result<Self> {
        self.owner = Some(OwnerLabel::new(label)?);
        Ok(self)
    }

    /// A lock that one holder has at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], see [`LockName`].
    pub fn mutex(&self, name: impl AsRef<str>) -> Result<Mutex> {
        Ok(Mutex::new(self.handle(name, Mode::Exclusive)?))
    }

    /// A lock that many readers or one writer have at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], see [`LockName`].
    pub fn rw_lock(&self, name: impl AsRef<str>) -> Result<RwLock> {
        Ok(RwLock::new(self.handle(name, Mode::Shared)?))
    }

    /// A lock that up to `permits` holders have at a time. All who use the name give the same
    /// count.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], see [`LockName`]; [`ErrorKind::InvalidConfig`] for 0 permits.
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Result<Semaphore> {
        let of = NonZeroU32::new(permits).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                "a semaphore has at least 1 permit: with 0 nobody would ever get one",
            )
        })?;
        Ok(Semaphore::new(self.handle(name, Mode::Permit { of })?))
    }

    /// Who holds `name` and who waits for it, now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], [`ErrorKind::Closed`] after a shutdown, or when the store cannot
    /// be asked.
    ///
    /// # Cancel safety
    ///
    /// Reads only; dropping the future has no effect.
    pub async fn inspect(&self, name: impl AsRef<str>) -> Result<Inspection> {
        self.lock.inspect(&LockName::new(name)?).await
    }

    /// The backend's name, such as `local`.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.telemetry.backend()
    }

    /// What the backend promises, and what not.
    #[must_use]
    pub fn guarantees(&self) -> &Guarantees {
        self.lock.guarantees()
    }

    /// Ends this client, see [`Lock::shutdown`]: held locks are lost, and when this returns every
    /// release has left, also those that drops asked for. Acquisitions that somebody keeps and does
    /// not poll are waited for as long as one command may take, and then taken out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Indeterminate`] when a release could not be confirmed and its TTL is not over.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on without the future; call again to wait for its end.
    pub async fn shutdown(&self) -> Result<()> {
        self.lock.shutdown().await
    }

    /// The backend itself, for what the handles do not offer.
    #[must_use]
    pub fn as_lock(&self) -> &Arc<dyn Lock> {
        &self.lock
    }

    fn handle(&self, name: impl AsRef<str>, mode: Mode) -> Result<Handle> {
        let request = Request::new(LockName::new(name)?, mode).with_owner(self.owner.clone());
        let request = request.with_ttl(self.ttl)?;
        Ok(Handle::new(self.lock.clone(), self.telemetry.clone(), request))
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks")
            .field("backend", &self.telemetry.backend())
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
