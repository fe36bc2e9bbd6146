//! The only part that knows the client library of etcd: typed requests, each with a deadline, sent to
//! a member that answers.

mod dial;
mod keep_alive;
mod term;
mod transaction;
mod watch;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::select_ok;
use lockcore::{BootInstant, Error, ErrorKind, FencingToken, Result};
use tokio::sync::watch as signal;
use tokio::time::sleep;

use self::dial::{Conn, Dialer};
pub(crate) use self::keep_alive::KeepAlive;
use self::term::{Silence, Terms};
pub(crate) use self::transaction::{Look, Outcome, Row, Transaction};
pub(crate) use self::watch::{Range, WatchEvent, Watches};
use crate::config::EtcdConfig;
use crate::error::{self, Fate};
use crate::keys;

/// A condition of a transaction of etcd, as the crate `etcd-client` has it.
pub use etcd_client::Compare;

/// The compare that holds while the key stands that was created at the revision `token`.
pub(crate) fn created_at(key: String, token: FencingToken) -> Compare {
    Compare::create_revision(key, etcd_client::CompareOp::Equal, token.as_u64() as i64)
}

/// A client of one cluster.
pub(crate) struct Client {
    shared: Arc<Shared>,
    request_timeout: Duration,
    /// Requests with a login may wait for each other's, so nobody else may hold them up.
    has_login: bool,
}

struct Shared {
    dialer: Dialer,
    limit: Duration,
    terms: Terms,
    state: Mutex<State>,
    /// Held by the task that connects.
    dialing: tokio::sync::Mutex<()>,
    /// Rises whenever a connection is given up.
    generation: signal::Sender<u64>,
}

struct State {
    conn: Option<Arc<Conn>>,
    /// The member to begin with.
    first: usize,
    /// How often each member has failed: the one that did least is asked first.
    failures: Vec<u64>,
    /// Why the last attempt to connect failed, and its number.
    attempts: u64,
    failed: Option<Error>,
    is_closed: bool,
}

/// How a request comes to its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The member answers alone, or passes it on to whoever leads by then.
    Alone,
    /// The members agree. It may be lost with the leader, or done.
    Agreed,
    /// The same, and to do it twice is to do it once.
    Repeated,
}

type Asked<T> = Pin<Box<dyn Future<Output = Result<T, etcd_client::Error>> + Send>>;

impl Client {
    pub(crate) fn new(config: &EtcdConfig) -> Result<Self> {
        let dialer = Dialer::new(config)?;
        let failures = vec![0; dialer.members()];
        let first = fastrand::usize(..dialer.members());
        let state =
            State { conn: None, first, failures, attempts: 0, failed: None, is_closed: false };
        let shared = Shared {
            dialer,
            limit: config.limits.request_timeout,
            // No lease has this number.
            terms: Terms::new(keys::epoch(&config.prefix, 0)),
            state: Mutex::new(state),
            dialing: tokio::sync::Mutex::default(),
            generation: signal::Sender::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
            request_timeout: config.limits.request_timeout,
            has_login: config.login.is_some(),
        })
    }

    /// How long a request may take if nothing else is said.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// How many members were named.
    pub(crate) fn members(&self) -> usize {
        self.shared.dialer.members()
    }

    /// Tells whenever a connection is given up.
    pub(crate) fn generation(&self) -> signal::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// Runs a transaction. What it may have left is gone at `until`, if its outcome is unknown.
    pub(crate) async fn run(
        &self,
        transaction: Transaction,
        until: BootInstant,
    ) -> Result<Outcome> {
        let transaction = transaction.into_inner();
        let limit = self.request_timeout;
        let answer = self.send(limit, until, Way::Agreed, |conn| {
            let (mut kv, transaction) = (conn.kv.clone(), transaction.clone());
            Box::pin(async move { kv.txn(transaction).await })
        });
        let answer = answer.await?;
        self.shared.terms.hear(answer.header());
        Outcome::read(answer)
    }

    /// Grants a lease of so many seconds, and says how many the server made of it.
    pub(crate) async fn grant(&self, lease: i64, seconds: i64) -> Result<i64> {
        let answer = self.send(self.request_timeout, now(), Way::Repeated, |conn| {
            let mut client = conn.lease.clone();
            let options = etcd_client::LeaseGrantOptions::new().with_id(lease);
            Box::pin(async move { client.grant(seconds, Some(options)).await })
        });
        match answer.await {
            Ok(answer) => Ok(answer.ttl()),
            // By a first attempt whose answer was lost: nobody else draws the same number.
            Err(error) if error::is_lease_there(&error) => Ok(seconds),
            Err(error) => Err(error),
        }
    }

    /// Revokes a lease, and with it all keys under it.
    pub(crate) async fn revoke(&self, lease: i64) -> Result<()> {
        let answer = self.send(self.request_timeout, now(), Way::Repeated, |conn| {
            let mut client = conn.lease.clone();
            Box::pin(async move { client.revoke(lease).await })
        });
        match answer.await {
            Err(error) if error.kind() != ErrorKind::Lost => Err(error),
            _ => Ok(()),
        }
    }

    /// The keys under a lease; perhaps not the newest, so one that is missing is to be looked for.
    pub(crate) async fn keys_of(&self, lease: i64) -> Result<Vec<Vec<u8>>> {
        let answer = self.ask(self.request_timeout, now(), |conn| {
            let mut client = conn.lease.clone();
            let options = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
            Box::pin(async move { client.time_to_live(lease, Some(options)).await })
        });
        Ok(answer.await?.keys().to_vec())
    }

    pub(crate) fn close(&self) {
        let mut state = self.shared.state();
        (state.conn, state.is_closed) = (None, true);
        drop(state);
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Sends a request that the members need not agree upon.
    async fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        until: BootInstant,
        request: impl Fn(&Arc<Conn>) -> Asked<T>,
    ) -> Result<T> {
        self.send(limit, until, Way::Alone, request).await
    }

    /// Sends a request to a member that answers: to another one, if it surely did not get there.
    async fn send<T: Send + 'static>(
        &self,
        limit: Duration,
        until: BootInstant,
        way: Way,
        request: impl Fn(&Arc<Conn>) -> Asked<T>,
    ) -> Result<T> {
        let (begun, mut last) = (Instant::now(), None);
        for attempt in 0.. {
            if attempt > self.shared.dialer.members() {
                // None of them may have a leader while one is elected.
                if begun.elapsed() >= limit {
                    break;
                }
                sleep(ELECTION_PAUSE).await;
            }
            let conn = match self.shared.conn().await {
                Ok(conn) => conn,
                // Why the member that was reached refused says more.
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let answer = self.polled(&conn, request(&conn));
            let error = match self.shared.in_time(limit, way != Way::Alone, answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(Silence::TooLong) => {
                    self.shared.retire_silent(&conn, limit);
                    let message = format!("the store did not answer within {limit:?}");
                    return Err(Error::indeterminate(until, message));
                }
                Err(Silence::LedAnew) if way == Way::Repeated => continue,
                Err(Silence::LedAnew) => {
                    return Err(Error::indeterminate(until, error::LED_ANEW));
                }
            };
            match error::fate(&error) {
                Fate::Refused(error) => return Err(error),
                Fate::Unknown(message) => {
                    self.shared.retire(&conn);
                    return Err(Error::indeterminate(until, message).with_source(error));
                }
                Fate::Elsewhere(message) => {
                    self.shared.retire(&conn);
                    last = Some(Error::new(ErrorKind::Unavailable, message).with_source(error));
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "no member answered")))
    }

    /// A request that refreshes the login's token holds up the others that need it: it goes on
    /// though its caller does not poll.
    async fn polled<T: Send + 'static>(
        &self,
        conn: &Arc<Conn>,
        request: Asked<T>,
    ) -> Result<T, etcd_client::Error> {
        let conn = conn.clone();
        let request = async move {
            let answer = request.await;
            if answer.is_ok() {
                conn.hears();
            }
            answer
        };
        if !self.has_login {
            return request.await;
        }
        tokio::spawn(request).await.unwrap_or_else(|_| {
            Err(etcd_client::Error::Internal("the runtime of this client has ended".to_owned()))
        })
    }

    fn is_current(&self, conn: &Arc<Conn>) -> bool {
        self.shared.state().conn.as_ref().is_some_and(|current| Arc::ptr_eq(current, conn))
    }
}

impl Shared {
    /// The connection, made if there is none.
    async fn conn(self: &Arc<Self>) -> Result<Arc<Conn>> {
        let attempts = {
            let state = self.state();
            if let Some(conn) = &state.conn {
                return Ok(conn.clone());
            }
            state.attempts
        };
        // In a task: a caller that is not polled must not hold up those who wait for it.
        let dialing = tokio::spawn(self.clone().connect(attempts));
        dialing.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Closed, "the runtime of this client has ended"))
        })
    }

    /// Connects, unless somebody tried since there were so many `attempts`.
    async fn connect(self: Arc<Self>, attempts: u64) -> Result<Arc<Conn>> {
        let _turn = self.dialing.lock().await;
        let order = {
            let state = self.state();
            if state.is_closed {
                return Err(Error::closed());
            }
            if let Some(conn) = &state.conn {
                return Ok(conn.clone());
            }
            if let Some(failed) = state.failed.as_ref().filter(|_| state.attempts > attempts) {
                return Err(error::again(failed));
            }
            let mut order: Vec<usize> = (0..state.failures.len()).collect();
            order.rotate_left(state.first);
            order.sort_by_key(|member| state.failures[*member]);
            order
        };
        // A member that is silent costs no more than a short head start.
        let dials = order.into_iter().enumerate().map(|(place, member)| {
            let shared = &self;
            Box::pin(async move {
                sleep(HEAD_START * place as u32).await;
                let dialed = shared.dialer.dial(member, shared.limit).await;
                dialed.inspect_err(|_| shared.state().failures[member] += 1)
            })
        });
        let dialed = select_ok(dials).await;
        let mut state = self.state();
        state.attempts += 1;
        match dialed {
            Ok((conn, _)) => {
                let conn = Arc::new(conn);
                state.failed = None;
                if state.is_closed {
                    return Err(Error::closed());
                }
                state.conn = Some(conn.clone());
                Ok(conn)
            }
            Err(error) => {
                state.failed = Some(error::again(&error));
                Err(error)
            }
        }
    }

    /// Gives up a connection on which a request had no answer in time, if no other one has.
    fn retire_silent(&self, conn: &Arc<Conn>, limit: Duration) {
        if conn.is_silent(limit / 2) {
            self.retire(conn);
        }
    }

    /// Uses this connection for nothing more; what is under way on it goes on.
    fn retire(&self, conn: &Arc<Conn>) {
        let mut state = self.state();
        if state.conn.as_ref().is_some_and(|current| Arc::ptr_eq(current, conn)) {
            state.conn = None;
            state.failures[conn.member] += 1;
            drop(state);
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("members", &self.shared.dialer.members())
            .finish_non_exhaustive()
    }
}

/// For what leaves nothing that holds a lock.
fn now() -> BootInstant {
    BootInstant::now()
}

/// How long a member may take to connect before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(150);
/// Between two attempts when no member has a leader.
const ELECTION_PAUSE: Duration = Duration::from_millis(50);
