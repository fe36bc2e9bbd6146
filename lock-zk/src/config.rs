//! Options of the driver.

use std::fmt;
use std::time::Duration;

use lockcore::options::{Limits, MAX_PREFIX, Tls, is_prefix};
use lockcore::{EngineConfig, Error, ErrorKind, Result};

use crate::ZkLock;
use crate::client::Cluster;
use crate::driver::ZkDriver;

/// How to reach a ZooKeeper ensemble, and how to behave there.
///
/// ```no_run
/// # async fn example() -> lockcore::Result<()> {
/// use lock_zk::ZkConfig;
///
/// let lock = ZkConfig::new([("10.0.0.1", 2181), ("10.0.0.2", 2181), ("10.0.0.3", 2181)])
///     .login("worker", "secret")
///     .prefix("shop")?
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ZkConfig {
    pub(crate) members: Vec<(String, u16)>,
    pub(crate) chroot: String,
    pub(crate) login: Option<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) prefix: String,
    pub(crate) limits: Limits,
}

impl ZkConfig {
    /// The directory of all names unless [`prefix`](Self::prefix) says otherwise.
    pub const DEFAULT_PREFIX: &'static str = "leasehold";
    /// How many may wait for one name unless [`max_waiters`](Self::max_waiters) says otherwise.
    pub const DEFAULT_MAX_WAITERS: usize = Limits::DEFAULT.max_waiters;
    /// How long one request may take unless [`request_timeout`](Self::request_timeout) says
    /// otherwise.
    pub const DEFAULT_REQUEST_TIMEOUT: Duration = Limits::DEFAULT.request_timeout;
    /// How often a waiter looks unless [`recheck`](Self::recheck) says otherwise.
    pub const DEFAULT_RECHECK: Duration = Limits::DEFAULT.recheck;

    /// The members of one ensemble, or some of them, by host and port for clients. One is used at a
    /// time, and another as soon as it fails.
    pub fn new<H: Into<String>>(members: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self {
            members: members.into_iter().map(|(host, port)| (host.into(), port)).collect(),
            chroot: String::new(),
            login: None,
            tls: None,
            prefix: Self::DEFAULT_PREFIX.to_owned(),
            limits: Limits::DEFAULT,
        }
    }

    /// Takes this node for the root of all, as `/CHROOT` behind the hosts does in the strings of other
    /// clients. It has to be there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for what is no path: it begins with a slash and does not end with
    /// one, has no empty part, no `.` and no `..`, and none of the characters that ZooKeeper forbids.
    pub fn chroot(mut self, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let path = if path == "/" { String::new() } else { path };
        let is_part = |part: &str| ![".", "..", ""].contains(&part);
        let is_plain = |c: char| {
            !c.is_control()
                && !matches!(u32::from(c), 0xd800..=0xf8ff | 0xfff0..=0xffff)
                && c != ','
        };
        let is_path = match path.strip_prefix('/') {
            Some(rest) => rest.split('/').all(is_part),
            None => path.is_empty(),
        };
        if !is_path || !path.chars().all(is_plain) {
            return Err(invalid(
                "`chroot` is a path like `/apps/shop`: no slash at the end, no empty part, no `.` or \
                 `..`, no comma and no characters that ZooKeeper forbids"
                    .into(),
            ));
        }
        self.chroot = path;
        Ok(self)
    }

    /// Logs in as this user, by the scheme `digest`. Nodes are made for this user alone then, so all
    /// who share locks log in as the same one. Without TLS the password crosses the network readably.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// Speaks TLS with all members: their `secureClientPort`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The directory of all names. Who holds the lock `orders` or waits for it has a node in
    /// `/PREFIX/orders`, so Curator's `InterProcessMutex` with that path is excluded and excludes us.
    ///
    /// Choose prefixes of which none is the beginning of another: the nodes of the prefix `a/b` are
    /// where the lock `b` of the prefix `a` looks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for more than 128 characters, for others than letters, digits
    /// and `._/:-`, for a part that is empty, `.` or `..`, and for `zookeeper`, which ZooKeeper keeps
    /// for itself.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        let is_part = |part: &str| ![".", "..", ""].contains(&part);
        let is_taken = prefix.split('/').next() == Some("zookeeper");
        let is_path = prefix.is_empty() || prefix.split('/').all(is_part);
        if !is_prefix(&prefix) || !is_path || is_taken {
            return Err(invalid(format!(
                "`prefix` has up to {MAX_PREFIX} letters, digits and `._/:-` and nothing else, no slash \
                 at its ends, no empty part, no `.` or `..`, and is not under `zookeeper`"
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

    /// How long one request may take before its outcome counts as unknown, and how long a member may
    /// be silent before another one is used, if that is shorter than a third of the TTL.
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

    /// Connects to the first member that answers, learns which TTLs the server gives, and tries on a
    /// node that nobody uses whether we may do what locks need.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when no member can be reached, or the ensemble takes no writes,
    /// [`ErrorKind::Unauthorized`] when it refuses us, or a request that locks need,
    /// [`ErrorKind::InvalidConfig`] when options make no sense to it, such as a chroot that is not
    /// there. No message has a password in it.
    ///
    /// # Cancel safety
    ///
    /// A node and two sessions of the trial may stay until the sessions' timeouts.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn connect(self) -> Result<ZkLock> {
        // A command may look for a connection, ask, look again, and clean up.
        let engine = EngineConfig::new()
            .request_timeout(self.limits.request_timeout * 2)
            .recheck(self.limits.recheck);
        let connecting = async {
            if self.members.is_empty() {
                return Err(invalid("name at least one member".into()));
            }
            ZkDriver::connect(Cluster::new(&self)?, &self).await
        };
        let driver = connecting.await.map_err(|error| error.at(BACKEND, "connect"))?;
        Ok(ZkLock::new(driver, engine))
    }
}

impl fmt::Debug for ZkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkConfig")
            .field("members", &self.members)
            .field("chroot", &self.chroot)
            .field("tls", &self.tls.is_some())
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).at(BACKEND, "")
}

pub(crate) const BACKEND: &str = "zk";
