//! Options of the in-process store.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use lockcore::{Error, ErrorKind, Result};

use crate::LocalLock;
use crate::sync::{Mutex, lock};
use crate::table::Table;

/// Options of the in-process store.
///
/// ```
/// use lock_local::LocalConfig;
///
/// let locks = LocalConfig::new().prefix("billing").max_waiters(1_000)?.connect();
/// # Ok::<(), lockcore::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LocalConfig {
    prefix: String,
    max_waiters: usize,
}

impl LocalConfig {
    /// How many may wait for one name unless [`max_waiters`](Self::max_waiters) says otherwise.
    pub const DEFAULT_MAX_WAITERS: usize = 100_000;

    /// The store of the whole process, without a prefix.
    pub fn new() -> Self {
        Self { prefix: String::new(), max_waiters: Self::DEFAULT_MAX_WAITERS }
    }

    /// Keeps the names apart from those under any other prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Lets at most `max_waiters` wait for one name; further ones fail with
    /// [`ErrorKind::QueueFull`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for 0: nobody could ever wait.
    pub fn max_waiters(mut self, max_waiters: usize) -> Result<Self> {
        if max_waiters == 0 {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "max_waiters is at least 1: with 0 nobody could ever wait",
            ));
        }
        self.max_waiters = max_waiters;
        Ok(self)
    }

    /// A new client of the process's store: all clients with this prefix, wherever in the process
    /// they were made, exclude each other.
    #[must_use]
    pub fn connect(self) -> LocalLock {
        let mut tables = lock(&TABLES);
        let table = tables.get(&self.prefix).and_then(Weak::upgrade).unwrap_or_else(|| {
            let table = Table::new();
            tables.retain(|_, table| table.strong_count() > 0);
            tables.insert(self.prefix, Arc::downgrade(&table));
            table
        });
        LocalLock::of(table, self.max_waiters)
    }

    /// A new client of a store of its own, which ends with its last client and lease.
    #[must_use]
    pub fn isolated(self) -> LocalLock {
        self.client_of(Table::new())
    }

    pub(crate) fn client_of(self, table: Arc<Table>) -> LocalLock {
        LocalLock::of(table, self.max_waiters)
    }
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A table lives as long as somebody uses it.
static TABLES: LazyLock<Mutex<HashMap<String, Weak<Table>>>> = LazyLock::new(Mutex::default);
