//! The kinds of locks that the workers use.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use lockcore::{Guard, Locks, Mode, Renewal, Result};

/// A kind, and what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mutex,
    /// A mutex that the library does not renew.
    Unrenewed,
    Reader,
    Writer,
    Permit,
}

impl Kind {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Mutex | Self::Unrenewed | Self::Writer => Mode::Exclusive,
            Self::Reader => Mode::Shared,
            Self::Permit => Mode::Permit { of: PERMITS },
        }
    }

    pub(crate) fn renewal(self) -> Renewal {
        if self == Self::Unrenewed { Renewal::Never } else { Renewal::Auto }
    }

    pub(crate) async fn lock(self, locks: &Locks, name: &str, owner: &str) -> Result<Guard> {
        match self {
            Self::Mutex | Self::Unrenewed => {
                locks.mutex(name)?.owner(owner).renewal(self.renewal()).lock().await
            }
            Self::Reader => locks.rw_lock(name)?.owner(owner).read().await,
            Self::Writer => locks.rw_lock(name)?.owner(owner).write().await,
            Self::Permit => locks.semaphore(name, PERMITS.get())?.owner(owner).acquire().await,
        }
    }

    pub(crate) async fn try_lock(
        self,
        locks: &Locks,
        name: &str,
        owner: &str,
    ) -> Result<Option<Guard>> {
        match self {
            Self::Mutex | Self::Unrenewed => {
                locks.mutex(name)?.owner(owner).renewal(self.renewal()).try_lock().await
            }
            Self::Reader => locks.rw_lock(name)?.owner(owner).try_read().await,
            Self::Writer => locks.rw_lock(name)?.owner(owner).try_write().await,
            Self::Permit => locks.semaphore(name, PERMITS.get())?.owner(owner).try_acquire().await,
        }
    }

    pub(crate) async fn try_lock_for(
        self,
        locks: &Locks,
        name: &str,
        owner: &str,
        limit: Duration,
    ) -> Result<Option<Guard>> {
        match self {
            Self::Mutex | Self::Unrenewed => {
                let mutex = locks.mutex(name)?.owner(owner).renewal(self.renewal());
                mutex.try_lock_for(limit).await
            }
            Self::Reader => locks.rw_lock(name)?.owner(owner).try_read_for(limit).await,
            Self::Writer => locks.rw_lock(name)?.owner(owner).try_write_for(limit).await,
            Self::Permit => {
                let semaphore = locks.semaphore(name, PERMITS.get())?.owner(owner);
                semaphore.try_acquire_for(limit).await
            }
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "mutex" => Ok(Self::Mutex),
            "unrenewed" => Ok(Self::Unrenewed),
            "reader" => Ok(Self::Reader),
            "writer" => Ok(Self::Writer),
            "permit" => Ok(Self::Permit),
            _ => Err(format!("`{word}` is no kind of lock")),
        }
    }
}

/// Of each semaphore.
const PERMITS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
