//! From the commands of a store to a lock.

mod active;
mod shutdown;

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::active::Active;
use crate::acquisition::Acquisition;
use crate::detached::{Departure, Detached};
use crate::driver::{Driver, Entry, Sessions};
use crate::keeper::{Keeper, Tenure};
use crate::lanes::{Lanes, Turn};
use crate::rt::{AtomicU64, Handle, HashMap, Mutex, MutexGuard, timeout, watch};
use crate::tally::Tally;
use crate::withdrawal::Withdrawal;
use crate::{
    BootInstant, Error, ErrorKind, Guarantees, Inspection, Lease, Lock, LockName, Request, Result,
    TryLock, Ttl,
};

/// Makes a [`Lock`] of a [`Driver`].
///
/// An acquisition is polled by its caller, and becomes a task of its own when the caller drops it. So
/// a caller may go away at any await point: the task lets the request that is in flight finish, and
/// withdraws. A grant that nobody takes is released. What was said to the store and not answered is
/// repeated under the same id, and withdrawn until the store is certain or its TTL is over.
///
/// An acquisition that is neither polled nor dropped keeps its place, as long as its session lives: one
/// TTL, or with a session that is shared as long as the client.
///
/// A clone is the same client.
pub struct Engine<D: Driver> {
    pub(crate) shared: Arc<Shared<D>>,
}

/// How patient an engine is.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct EngineConfig {
    request_timeout: Duration,
    recheck: Duration,
}

impl EngineConfig {
    /// Two seconds for a command, five between checks of a waiter.
    pub const fn new() -> Self {
        Self { request_timeout: Duration::from_secs(2), recheck: Duration::from_secs(5) }
    }

    /// How long one command may take before its outcome counts as unknown.
    pub const fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How often a waiter looks where it stands though nothing woke it. Never less often than its TTL
    /// is renewed, unless sessions are shared and so many wait that the looks of all of them would
    /// stand in the way of other commands.
    pub const fn recheck(mut self, pace: Duration) -> Self {
        self.recheck = pace;
        self
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What the clones of an engine, its tasks and its leases share.
pub(crate) struct Shared<D: Driver> {
    pub(crate) driver: Arc<D>,
    pub(crate) config: EngineConfig,
    pub(crate) runtime: Handle,
    pub(crate) keeper: Keeper<D::Session>,
    pub(crate) lanes: Lanes,
    /// Acquisitions and releases under way, which their callers poll.
    pub(crate) asking: Tally,
    /// Withdrawals under way, which are tasks.
    pub(crate) jobs: Tally,
    closing: watch::Sender<bool>,
    /// Whether the one shutdown is over, once it was asked for.
    shutdown: Mutex<Option<watch::Receiver<bool>>>,
    /// Until when something may stand in the store whose withdrawal was given up; 0 if nothing.
    left_until: AtomicU64,
    active: Mutex<Active<D>>,
    sessions: Mutex<HashMap<Ttl, Arc<Tenure<D::Session>>>>,
    /// Held by the task that opens a session.
    opening: tokio::sync::Mutex<()>,
}

impl<D: Driver> Engine<D> {
    /// An engine on the runtime of the caller.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(driver: D, config: EngineConfig) -> Self {
        let (driver, runtime) = (Arc::new(driver), Handle::current());
        let shared = Arc::new_cyclic(|client| Shared {
            keeper: Keeper::start(driver.clone(), &runtime, client.clone()),
            lanes: Lanes::new(config.request_timeout),
            driver,
            config,
            runtime,
            asking: Tally::default(),
            jobs: Tally::default(),
            closing: watch::Sender::new(false),
            shutdown: Mutex::default(),
            left_until: AtomicU64::new(0),
            active: Mutex::new(Active { asks: HashMap::default(), holds: HashMap::default() }),
            sessions: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        });
        Self { shared }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &Arc<D> {
        &self.shared.driver
    }

    /// How many acquisitions and releases are under way.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.shared.asking.count() + self.shared.jobs.count()
    }

    async fn acquire(&self, request: &Request, waits: bool) -> Result<Option<Box<dyn Lease>>> {
        let shared = &self.shared;
        shared.driver.guarantees().check_ttl(request.ttl())?;
        // Before we look: a shutdown that we do not see waits for us.
        let job = shared.asking.start();
        if shared.is_closing() {
            return Err(Error::closed());
        }
        if !shared.keeper.is_alive() {
            return Err(Error::new(ErrorKind::Closed, "the runtime of this client has ended"));
        }
        let entry = Arc::new(Entry::new(request, waits)?);
        let departure = Arc::<Departure>::default();
        let work = Acquisition::new(shared.clone(), entry, departure.clone(), job).run();
        let lease = Detached::new(work, Some(departure), shared.runtime.clone()).await?;
        Ok(lease.map(|lease| Box::new(lease) as _))
    }
}

impl<D: Driver> Shared<D> {
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits for the shutdown.
    pub(crate) async fn closing(&self) {
        // The sender lives as long as we do.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Lets a command take as long as it may; then its outcome is unknown.
    pub(crate) async fn limited<T>(
        &self,
        command: impl Future<Output = Result<T>>,
        ttl: Ttl,
    ) -> Result<T> {
        within(self.config.request_timeout, command, ttl).await
    }

    /// [`Shared::limited`] for a command whose turn it is, and that is of use before `until`.
    pub(crate) async fn at_its_turn<T>(
        &self,
        turn: Turn<'_>,
        until: BootInstant,
        command: impl Future<Output = Result<T>>,
        ttl: Ttl,
    ) -> Result<T> {
        let limit = self.config.request_timeout.min(until.saturating_since(turn.sent()));
        let outcome = within(limit, command, ttl).await;
        let is_silence = |error: &Error| {
            matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Unavailable)
        };
        turn.ends(!outcome.as_ref().is_err_and(is_silence));
        outcome
    }

    /// [`Shared::limited`] for a command that changes no lock, whether it was applied or not.
    pub(crate) async fn harmless<T>(&self, command: impl Future<Output = Result<T>>) -> Result<T> {
        let error = match self.limited(command, Ttl::MIN).await {
            Err(error) if error.kind() == ErrorKind::Indeterminate => error,
            other => return other,
        };
        Err(Error::new(ErrorKind::Unavailable, error.message().to_owned()).with_source(error))
    }

    /// The session that entries of this TTL share, opened if there is none that is valid.
    pub(crate) async fn shared_tenure(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
    ) -> Result<Arc<Tenure<D::Session>>> {
        if let Some(tenure) = self.valid_tenure(entry.request().ttl()) {
            return Ok(tenure);
        }
        // In a task: a caller that is not polled must not hold up those who wait for the session.
        let opening = self.runtime.spawn(self.clone().open_shared_tenure(entry.clone()));
        opening.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Closed, "the runtime of this client has ended"))
        })
    }

    async fn open_shared_tenure(
        self: Arc<Self>,
        entry: Arc<Entry>,
    ) -> Result<Arc<Tenure<D::Session>>> {
        let ttl = entry.request().ttl();
        // One opens, the others wait for it.
        let _turn = self.opening.lock().await;
        if self.is_closing() {
            return Err(Error::closed());
        }
        if let Some(tenure) = self.valid_tenure(ttl) {
            return Ok(tenure);
        }
        let tenure = self.open_tenure(&entry).await?;
        self.sessions().insert(ttl, tenure.clone());
        Ok(tenure)
    }

    fn valid_tenure(&self, ttl: Ttl) -> Option<Arc<Tenure<D::Session>>> {
        let tenure = self.sessions().get(&ttl).cloned();
        tenure.filter(|tenure| tenure.term.is_valid_at(BootInstant::now()))
    }

    /// A session that is renewed from now on.
    pub(crate) async fn open_tenure(&self, entry: &Entry) -> Result<Arc<Tenure<D::Session>>> {
        let ttl = entry.request().ttl();
        let sent = BootInstant::now();
        let session = self.harmless(self.driver.open(entry)).await?;
        let tenure = Arc::new(Tenure::new(Arc::new(session), ttl, sent));
        self.keeper.keep(&tenure);
        Ok(tenure)
    }

    /// Something was left to its TTL in the store; the shutdown will say so.
    pub(crate) fn leave_behind(&self, ttl: Ttl) -> BootInstant {
        let until = BootInstant::now().saturating_add(ttl.as_duration());
        self.left_until.fetch_max(until.as_nanos(), SeqCst);
        until
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Ttl, Arc<Tenure<D::Session>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<D: Driver> TryLock for Engine<D> {
    async fn try_lock(&self, request: &Request) -> Result<Option<Box<dyn Lease>>> {
        self.acquire(request, false).await.map_err(|error| self.at(error, "try_lock"))
    }
}

#[async_trait]
impl<D: Driver> Lock for Engine<D> {
    async fn lock(&self, request: &Request) -> Result<Box<dyn Lease>> {
        let lease = self.acquire(request, true).await.and_then(|lease| {
            lease.ok_or_else(|| {
                Error::new(ErrorKind::Backend, "the driver refused an entry that waits")
            })
        });
        lease.map_err(|error| self.at(error, "lock"))
    }

    fn guarantees(&self) -> &Guarantees {
        self.shared.driver.guarantees()
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        if self.shared.is_closing() {
            return Err(self.at(Error::closed(), "inspect"));
        }
        let answer = self.shared.driver.inspect(name);
        self.shared.harmless(answer).await.map_err(|error| self.at(error, "inspect"))
    }

    async fn shutdown(&self) -> Result<()> {
        let mut shutdown = self.shared.begin_shutdown();
        let result = match shutdown.wait_for(|is_over| *is_over).await {
            Ok(_) => self.shared.confirmed(),
            Err(_) => Err(Error::new(ErrorKind::Closed, "the runtime of this client has ended")),
        };
        result.map_err(|error| self.at(error, "shutdown"))
    }
}

impl<D: Driver> Engine<D> {
    fn at(&self, error: Error, operation: &'static str) -> Error {
        error.at(self.shared.driver.guarantees().backend(), operation)
    }
}

async fn within<T>(
    limit: Duration,
    command: impl Future<Output = Result<T>>,
    ttl: Ttl,
) -> Result<T> {
    timeout(limit, command).await.unwrap_or_else(|_| {
        let until = BootInstant::now().saturating_add(ttl.as_duration());
        Err(Error::indeterminate(until, format!("the store did not answer within {limit:?}")))
    })
}

impl<D: Driver> Clone for Engine<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Driver> fmt::Debug for Engine<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("driver", &self.shared.driver)
            .field("jobs", &self.jobs())
            .finish_non_exhaustive()
    }
}

impl<D: Driver> Shared<D> {
    /// Withdraws an entry in the background.
    pub(crate) fn withdraw(self: &Arc<Self>, withdrawal: Withdrawal<D>) {
        self.go_on(withdrawal, None);
    }

    /// Withdraws an entry in the background, whose first withdrawal has failed.
    pub(crate) fn retry(self: &Arc<Self>, withdrawal: Withdrawal<D>, failed: Error) {
        self.go_on(withdrawal, Some(failed));
    }

    fn go_on(self: &Arc<Self>, withdrawal: Withdrawal<D>, failed: Option<Error>) {
        let job = self.jobs.start();
        let shared = self.clone();
        self.runtime.spawn(async move {
            withdrawal.run(&shared, failed).await;
            drop(job);
        });
    }

    pub(crate) fn sessions_are_shared(&self) -> bool {
        self.driver.sessions().are_shared()
    }

    /// Whether what is to end by itself has to be taken out of the store by us.
    pub(crate) fn ends_holds(&self) -> bool {
        self.driver.sessions() == Sessions::Connection
    }

    pub(crate) fn recheck(&self) -> Duration {
        self.config.recheck
    }
}
