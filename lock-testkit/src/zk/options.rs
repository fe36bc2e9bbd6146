//! What a ZooKeeper is started with.

use std::time::Duration;

use crate::redis_options::OBSERVER;
use crate::tls::TlsOptions;
use crate::zk::server::Zk;

/// What a [`Zk`] is started with. Without any option: ticks of 200 ms, sessions of 400 ms to 40 s,
/// no TLS, and it does not wait for the disk.
///
/// What is written survives a kill of the server nevertheless, as the kernel has it by then; only
/// with [`durable`](ZkOptions::durable) it survives the machine too, and costs the time of that.
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `start`"]
pub struct ZkOptions {
    pub(crate) tick: Duration,
    pub(crate) sessions: (Option<Duration>, Option<Duration>),
    pub(crate) superuser: (String, String),
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) properties: Vec<(String, String)>,
    durable: bool,
}

impl Default for ZkOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ZkOptions {
    /// A server without any option.
    pub fn new() -> Self {
        Self {
            tick: Duration::from_millis(200),
            sessions: (None, Some(Duration::from_secs(40))),
            superuser: ("super".to_owned(), OBSERVER.to_owned()),
            tls: None,
            settings: Vec::new(),
            properties: Vec::new(),
            durable: false,
        }
    }

    /// How often it looks for sessions to expire, which so live up to this much longer. Unless
    /// [set](ZkOptions::min_session_timeout) otherwise, no session is shorter than two of them.
    pub fn tick_time(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// The shortest timeout that a session gets.
    pub fn min_session_timeout(mut self, timeout: Duration) -> Self {
        self.sessions.0 = Some(timeout);
        self
    }

    /// The longest timeout that a session gets.
    pub fn max_session_timeout(mut self, timeout: Duration) -> Self {
        self.sessions.1 = Some(timeout);
        self
    }

    /// Whether it waits for the disk before it answers.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Who may do everything, by `digest`. The kit itself is this user, whom every server has.
    pub fn superuser(mut self, user: &str, password: &str) -> Self {
        self.superuser = (user.to_owned(), password.to_owned());
        self
    }

    #[cfg(feature = "tls")]
    /// With certificates of its own. It speaks TLS 1.2 unless `zookeeper.ssl.protocol` and
    /// `zookeeper.ssl.enabledProtocols` say otherwise.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How often it looks for containers that are empty, and for nodes whose TTL is over, and how
    /// many it deletes in a minute.
    pub fn container_check(self, interval: Duration, per_minute: u32) -> Self {
        self.property("znode.container.checkIntervalMs", &interval.as_millis().to_string())
            .property("znode.container.maxPerMinute", &per_minute.to_string())
    }

    /// How long a container that never had a child stays; without this, for ever.
    pub fn container_never_used(self, interval: Duration) -> Self {
        let millis = interval.as_millis().to_string();
        self.property("znode.container.maxNeverUsedIntervalMs", &millis)
    }

    /// How long a request may be, in bytes, and so the data of a node.
    pub fn max_buffer(self, bytes: u32) -> Self {
        self.property("jute.maxbuffer", &bytes.to_string())
    }

    /// How many connections a client's address may have. The kit has another address.
    pub fn max_client_connections(self, count: u32) -> Self {
        self.setting("maxClientCnxns", &count.to_string())
    }

    /// Quotas, which are written below `/zookeeper/quota`, are not only logged.
    pub fn enforce_quota(self) -> Self {
        self.property("zookeeper.enforceQuota", "true")
    }

    /// There are nodes with a TTL.
    pub fn extended_types(self) -> Self {
        self.property("zookeeper.extendedTypesEnabled", "true")
    }

    /// A line of its configuration, as `globalOutstandingLimit` and `10`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A system property of its Java, as `zookeeper.snapCount` and `100`.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server, and returns when it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed, or does not answer within 30 s.
    ///
    /// # Cancel safety
    ///
    /// A server that was started is killed.
    pub async fn start(self) -> Zk {
        Zk::start_with(self).await
    }

    pub(crate) fn forces_sync(&self) -> bool {
        self.durable
    }
}
