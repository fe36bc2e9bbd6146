//! Options of the driver.

use std::fmt;
use std::time::Duration;

use lockcore::options::{Limits, MAX_PREFIX, Tls, is_prefix};
use lockcore::{EngineConfig, Error, ErrorKind, Result};

use crate::RedisLock;
use crate::client::Client;
use crate::driver::RedisDriver;

/// How to reach a Redis or Valkey store, and how to behave there.
///
/// ```no_run
/// # async fn example() -> lockcore::Result<()> {
/// use lock_redis::RedisConfig;
///
/// let lock = RedisConfig::single("127.0.0.1", 6379)
///     .login(Some("worker"), "secret")
///     .prefix("shop")?
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisConfig {
    pub(crate) topology: Topology,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) sentinel_login: Option<(Option<String>, String)>,
    pub(crate) database: i64,
    pub(crate) tls: Option<Tls>,
    pub(crate) prefix: String,
    pub(crate) limits: Limits,
}

/// Which servers there are.
#[derive(Clone, Debug)]
pub(crate) enum Topology {
    Single(Host),
    Sentinel { hosts: Vec<Host>, master: String },
    Cluster(Vec<Host>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl RedisConfig {
    /// What keys begin with unless [`prefix`](Self::prefix) says otherwise.
    pub const DEFAULT_PREFIX: &'static str = "leasehold";
    /// How many may wait for one name unless [`max_waiters`](Self::max_waiters) says otherwise.
    pub const DEFAULT_MAX_WAITERS: usize = Limits::DEFAULT.max_waiters;
    /// How long one command may take unless [`request_timeout`](Self::request_timeout) says
    /// otherwise.
    pub const DEFAULT_REQUEST_TIMEOUT: Duration = Limits::DEFAULT.request_timeout;
    /// How often a waiter looks unless [`recheck`](Self::recheck) says otherwise.
    pub const DEFAULT_RECHECK: Duration = Limits::DEFAULT.recheck;

    /// One server.
    pub fn single(host: impl Into<String>, port: u16) -> Self {
        Self::of(Topology::Single(Host { name: host.into(), port }))
    }

    /// The master that these sentinels know as `master`; asked again whenever a connection is
    /// made.
    pub fn sentinel<H: Into<String>>(
        sentinels: impl IntoIterator<Item = (H, u16)>,
        master: impl Into<String>,
    ) -> Self {
        Self::of(Topology::Sentinel { hosts: hosts(sentinels), master: master.into() })
    }

    /// The cluster that these nodes are part of; one that answers is enough.
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self::of(Topology::Cluster(hosts(nodes)))
    }

    fn of(topology: Topology) -> Self {
        Self {
            topology,
            username: None,
            password: None,
            sentinel_login: None,
            database: 0,
            tls: None,
            prefix: Self::DEFAULT_PREFIX.to_owned(),
            limits: Limits::DEFAULT,
        }
    }

    /// Who we are; without a name, the server's default user.
    pub fn login(mut self, username: Option<&str>, password: impl Into<String>) -> Self {
        self.username = username.map(str::to_owned);
        self.password = Some(password.into());
        self
    }

    /// Who we are to the sentinels, if they want to know.
    pub fn sentinel_login(mut self, username: Option<&str>, password: impl Into<String>) -> Self {
        self.sentinel_login = Some((username.map(str::to_owned), password.into()));
        self
    }

    /// The number of the database; 0 unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for another than 0 in a cluster, which has only that one.
    pub fn database(mut self, number: u32) -> Result<Self> {
        if number != 0 && matches!(self.topology, Topology::Cluster(_)) {
            return Err(invalid("a cluster has only database 0".to_owned()));
        }
        self.database = number.into();
        Ok(self)
    }

    /// Speaks TLS with all servers.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What keys and channels begin with. The lock `orders/123` is the key `PREFIX:orders/123`, so
    /// that is what a client of another kind takes to exclude us; with an empty prefix it is the
    /// name alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for more than 128 characters, or others than letters, digits and
    /// `._/:-`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        if !is_prefix(&prefix) {
            return Err(invalid(format!(
                "`prefix` has up to {MAX_PREFIX} letters, digits and `._/:-`, and nothing else"
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

    /// How long one command may take, connecting included, before its outcome counts as unknown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn request_timeout(mut self, limit: Duration) -> Result<Self> {
        self.limits = self.limits.request_timeout(limit)?;
        Ok(self)
    }

    /// How often a waiter looks where it stands though nothing woke it, at the least; the more
    /// often, the sooner a lost notification is made good, and the more commands are sent. It is
    /// never less often than a third of the TTL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn recheck(mut self, pace: Duration) -> Result<Self> {
        self.limits = self.limits.recheck(pace)?;
        Ok(self)
    }

    /// Connects, logs in, tries on keys that nobody uses whether it may do what locks need, and
    /// subscribes to notifications.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no server can be reached, or only one that takes no writes,
    /// [`ErrorKind::Unauthorized`] when it refuses us, or a command that locks need,
    /// [`ErrorKind::InvalidConfig`] when options make no sense to it. No message has a password in
    /// it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn connect(self) -> Result<RedisLock> {
        let engine = EngineConfig::new()
            .request_timeout(self.limits.request_timeout)
            .recheck(self.limits.recheck);
        let client = Client::new(&self).map_err(|error| error.at(BACKEND, "connect"))?;
        let driver = RedisDriver::connect(client, &self).await;
        let driver = driver.map_err(|error| error.at(BACKEND, "connect"))?;
        Ok(RedisLock::new(driver, engine))
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("topology", &self.topology)
            .field("database", &self.database)
            .field("tls", &self.tls.is_some())
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn hosts<H: Into<String>>(hosts: impl IntoIterator<Item = (H, u16)>) -> Vec<Host> {
    hosts.into_iter().map(|(name, port)| Host { name: name.into(), port }).collect()
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

pub(crate) const BACKEND: &str = "redis";
