//! A client of the store.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use lockcore::{
    Error, FencingToken, Guarantees, Inspection, Lease, Lock, LockName, LossCause, Request, Result,
    Rule, TryLock,
};
use tokio::sync::Notify;

use crate::queue::{ClientId, Grant, Turn};
use crate::sync::AtomicBool;
use crate::table::{Asked, Key, Table, Terms};
use crate::{LocalConfig, LocalLease};

/// A client of an in-process store of locks.
///
/// A clone is the same client, and ends with it; [`LocalLock::sibling`] makes another one of the
/// same store.
#[derive(Clone)]
pub struct LocalLock {
    client: Arc<Client>,
    lanes: Arc<[Arc<Lane>]>,
}

/// A client as some of its leases share it. The others count their references elsewhere, so that
/// threads with different locks do not fight over one line of memory.
// Two lines of 64 bytes: neighbours are fetched in pairs.
#[repr(align(128))]
pub(crate) struct Lane {
    client: Arc<Client>,
}

impl std::ops::Deref for Lane {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// What the clones of a [`LocalLock`] and its leases share.
pub(crate) struct Client {
    pub(crate) table: Arc<Table>,
    id: ClientId,
    max_waiters: usize,
    closed: AtomicBool,
    closing: Notify,
    guarantees: Guarantees,
}

impl LocalLock {
    /// A client of a store of its own, with the default options.
    #[must_use]
    pub fn new() -> Self {
        LocalConfig::new().isolated()
    }

    pub(crate) fn of(table: Arc<Table>, max_waiters: usize) -> Self {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let client = Client {
            table,
            id: CLIENTS.fetch_add(1, SeqCst),
            max_waiters,
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            guarantees: guarantees(),
        };
        let client = Arc::new(client);
        let lane = |_| Arc::new(Lane { client: client.clone() });
        let lanes = (0..LANES).map(lane).collect();
        Self { client, lanes }
    }

    /// Another client of the same store, as another connection would be.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::of(self.client.table.clone(), self.client.max_waiters)
    }

    /// Another client of the same store, with options of its own but for the prefix.
    #[must_use]
    pub fn sibling_with(&self, config: LocalConfig) -> Self {
        config.client_of(self.client.table.clone())
    }

    /// Takes the lock if nobody is before us; `None` when it is busy. Like
    /// [`TryLock::try_lock`], without a future and without a box.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](lockcore::ErrorKind::Closed) after a shutdown,
    /// [`ErrorKind::InvalidConfig`](lockcore::ErrorKind::InvalidConfig) when the name is in use in
    /// a mode that does not go with this one.
    pub fn try_acquire(&self, request: &Request) -> Result<Option<LocalLease>> {
        let key = self.client.table.key(request.name());
        match self.client.ask(&key, request, None).map_err(|error| at(error, "try_lock"))? {
            Asked::Granted(grant) => {
                Ok(Some(LocalLease::new(self.lane(&key), key, request, grant)))
            }
            Asked::Busy | Asked::Queued(..) => Ok(None),
        }
    }

    /// Takes the lock, waiting for its turn. Like [`Lock::lock`], without a box: while the lock is
    /// free nothing is allocated but the queue of its name.
    ///
    /// # Errors
    ///
    /// As of [`LocalLock::try_acquire`], and
    /// [`ErrorKind::QueueFull`](lockcore::ErrorKind::QueueFull).
    ///
    /// # Cancel safety
    ///
    /// The place in the queue is given up at once; nothing is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use lock_local::LocalLock;
    /// use lockcore::{LockName, Mode, Request};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lockcore::Result<()> {
    /// let locks = LocalLock::new();
    /// let request = Request::new(LockName::new("orders/123")?, Mode::Exclusive);
    /// let lease = locks.acquire(&request).await?;
    /// assert!(locks.try_acquire(&request)?.is_none());
    /// drop(lease);
    /// assert!(locks.try_acquire(&request)?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acquire(&self, request: &Request) -> Result<LocalLease> {
        let key = self.client.table.key(request.name());
        let asked =
            poll_fn(|context| Poll::Ready(self.client.ask(&key, request, Some(context.waker()))));
        let grant = match asked.await.map_err(|error| at(error, "lock"))? {
            Asked::Granted(grant) => grant,
            Asked::Queued(token) => {
                let wait = Wait { client: &self.client, key: &key, token, state: WaitState::New };
                wait.await.map_err(|error| at(error, "lock"))?
            }
            Asked::Busy => return Err(at(Error::closed(), "lock")),
        };
        Ok(LocalLease::new(self.lane(&key), key, request, grant))
    }

    /// How many hold a lock of this store or wait for one, of whatever client.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.client.table.claims()
    }

    /// Moves the clock of all stores and ends what is due, as time and the thread would.
    #[cfg(shuttle)]
    pub fn advance(&self, by: std::time::Duration) {
        crate::sync::Clock::advance(by);
        self.client.table.expiries().expire_due(crate::sync::Clock::now());
    }

    fn lane(&self, key: &Key) -> Arc<Lane> {
        self.lanes[key.pick(LANES)].clone()
    }

    fn close(&self) {
        // Before the sweep: whoever asks later finds it under the lock of the shard.
        self.client.closed.store(true, SeqCst);
        self.client.closing.notify_waiters();
        self.client.table.evict(self.client.id);
    }
}

impl Client {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Waits for the shutdown.
    pub(crate) async fn closed(&self) {
        let closing = self.closing.notified();
        if !self.is_closed() {
            closing.await;
        }
    }

    fn ask(&self, key: &Key, request: &Request, waker: Option<&Waker>) -> Result<Asked> {
        let terms = Terms {
            client: self.id,
            waits: waker.map(|waker| (waker, self.max_waiters)),
            is_open: &|| !self.is_closed(),
        };
        self.table.ask(key, request, &terms)
    }
}

/// A place in the queue. Dropping it gives the place up, there and then, or the grant if that was
/// made meanwhile: both stand in the table, and nothing is on the way in between.
struct Wait<'a> {
    client: &'a Client,
    key: &'a Key,
    token: FencingToken,
    state: WaitState,
}

enum WaitState {
    /// Queued in this very poll, with its waker.
    New,
    Waiting,
    Done,
}

impl Future for Wait<'_> {
    type Output = Result<Grant>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let WaitState::New = self.state {
            self.state = WaitState::Waiting;
            return Poll::Pending;
        }
        let turn = self.client.table.turn(self.key, self.token, context.waker());
        let outcome = match turn {
            Turn::Waiting(_replaced) => return Poll::Pending,
            Turn::Granted(grant) => Ok(grant),
            Turn::Gone if self.client.is_closed() => Err(Error::closed()),
            // It had its turn and slept through it.
            Turn::Gone => Err(Error::lost(LossCause::Expired)),
        };
        self.state = WaitState::Done;
        Poll::Ready(outcome)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !matches!(self.state, WaitState::Done) {
            self.client.table.give_up(self.key, self.token);
        }
    }
}

#[async_trait]
impl TryLock for LocalLock {
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>> {
        Ok(self.try_acquire(request)?.map(|lease| Box::new(lease) as _))
    }
}

#[async_trait]
impl Lock for LocalLock {
    async fn lock(&self, request: &Request) -> Result<Box<dyn Lease>> {
        Ok(Box::new(self.acquire(request).await?))
    }

    fn guarantees(&self) -> &Guarantees {
        &self.client.guarantees
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        if self.client.is_closed() {
            return Err(at(Error::closed(), "inspect"));
        }
        Ok(self.client.table.inspect(&self.client.table.key(name)))
    }

    async fn shutdown(&self) -> Result<()> {
        self.close();
        Ok(())
    }
}

impl Default for LocalLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLock")
            .field("max_waiters", &self.max_waiters)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

fn at(error: Error, operation: &'static str) -> Error {
    error.at(BACKEND, operation)
}

fn guarantees() -> Guarantees {
    Guarantees::all(BACKEND)
        .except(
            Rule::R2,
            "after a restart of the process with the wall clock set back, tokens fall",
        )
        .except(
            Rule::R7,
            "the store dies with the process: there is no holder left to recover from",
        )
        .except(Rule::R12, "waiters have no session that could die")
}

pub(crate) const BACKEND: &str = "local";

/// A power of two, above the threads that a machine usually has.
const LANES: usize = 16;
