//! Options of the driver.

use std::fmt;
use std::time::Duration;

use lockcore::options::{Limits, MAX_PREFIX, Tls, is_prefix};
use lockcore::{EngineConfig, Error, ErrorKind, Result};

use crate::EtcdLock;
use crate::client::Client;
use crate::driver::EtcdDriver;

/// How to reach an etcd cluster, and how to behave there.
///
/// ```no_run
/// # async fn example() -> lockcore::Result<()> {
/// use lock_etcd::EtcdConfig;
///
/// let lock = EtcdConfig::new([("10.0.0.1", 2379), ("10.0.0.2", 2379), ("10.0.0.3", 2379)])
///     .login("worker", "secret")
///     .prefix("shop")?
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct EtcdConfig {
    pub(crate) endpoints: Vec<(String, u16)>,
    pub(crate) login: Option<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) prefix: String,
    pub(crate) limits: Limits,
}

impl EtcdConfig {
    /// What keys begin with unless [`prefix`](Self::prefix) says otherwise.
    pub const DEFAULT_PREFIX: &'static str = "leasehold";
    /// How many may wait for one name unless [`max_waiters`](Self::max_waiters) says otherwise.
    pub const DEFAULT_MAX_WAITERS: usize = Limits::DEFAULT.max_waiters;
    /// How long one request may take unless [`request_timeout`](Self::request_timeout) says
    /// otherwise.
    pub const DEFAULT_REQUEST_TIMEOUT: Duration = Limits::DEFAULT.request_timeout;
    /// How often a waiter looks unless [`recheck`](Self::recheck) says otherwise.
    pub const DEFAULT_RECHECK: Duration = Limits::DEFAULT.recheck;

    /// The members of one cluster, or some of them, by host and port for clients. One is used at a
    /// time, and another as soon as it fails; the first is chosen at random.
    pub fn new<H: Into<String>>(endpoints: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(|(host, port)| (host.into(), port)).collect(),
            login: None,
            tls: None,
            prefix: Self::DEFAULT_PREFIX.to_owned(),
            limits: Limits::DEFAULT,
        }
    }

    /// Logs in as this user. Its token is renewed as often as the server forgets it.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// Speaks TLS with all members.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What keys begin with. Who holds the lock `orders` or waits for it has a key under
    /// `PREFIX/orders/`, so `etcdctl lock PREFIX/orders` is excluded and excludes us.
    ///
    /// Choose prefixes of which none is the beginning of another: the keys of the prefix `a/b` are
    /// among those of the lock `b` of the prefix `a`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for more than 128 characters, for others than letters, digits
    /// and `._/:-`, and for a slash at the end.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        if !is_prefix(&prefix) || prefix.ends_with('/') {
            return Err(invalid(format!(
                "`prefix` has up to {MAX_PREFIX} letters, digits and `._/:-`, no slash at the end, \
                 and nothing else"
            )));
        }
        self.prefix = prefix;
        Ok(self)
    }

    /// Lets at most `max_waiters` wait for one name; further ones fail with
    /// [`ErrorKind::QueueFull`]. Clients with different caps each judge by their own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for 0: nobody could ever wait.
    pub fn max_waiters(mut self, max_waiters: usize) -> Result<Self> {
        self.limits = self.limits.max_waiters(max_waiters)?;
        Ok(self)
    }

    /// How long one request may take before its outcome counts as unknown, and the next one goes to
    /// another member.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn request_timeout(mut self, limit: Duration) -> Result<Self> {
        self.limits = self.limits.request_timeout(limit)?;
        Ok(self)
    }

    /// How often a waiter looks where it stands though nothing woke it, at the least; the more
    /// often, the sooner a lost notification is made good, and the more requests are sent. It is
    /// never less often than a third of the TTL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn recheck(mut self, pace: Duration) -> Result<Self> {
        self.limits = self.limits.recheck(pace)?;
        Ok(self)
    }

    /// Connects to the first member that answers, logs in, learns the shortest TTL that the server
    /// takes, and tries on a key that nobody uses whether it may do what locks need.
    /// Each member that accepts us and says nothing costs one
    /// [`request_timeout`](Self::request_timeout).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no member can be reached, or the cluster takes no writes,
    /// [`ErrorKind::Unauthorized`] when it refuses us, or a request that locks need,
    /// [`ErrorKind::InvalidConfig`] when options make no sense to it. No message has a password in
    /// it.
    ///
    /// # Cancel safety
    ///
    /// A key and a lease of the trial may stay for some seconds.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn connect(self) -> Result<EtcdLock> {
        // A command is two requests at the most, or one at two members.
        let engine = EngineConfig::new()
            .request_timeout(self.limits.request_timeout * 2)
            .recheck(self.limits.recheck);
        let connecting = async {
            if self.endpoints.is_empty() {
                return Err(invalid("name at least one endpoint".into()));
            }
            EtcdDriver::connect(Client::new(&self)?, &self).await
        };
        let driver = connecting.await.map_err(|error| error.at(BACKEND, "connect"))?;
        Ok(EtcdLock::new(driver, engine))
    }
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("tls", &self.tls.is_some())
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).at(BACKEND, "")
}

pub(crate) const BACKEND: &str = "etcd";
