//! Getting a session.

use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::future::join_all;
use lockcore::options::Tls;
use lockcore::{Error, ErrorKind, Result, Ttl};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use zookeeper_client::{Client, Error as ZkError, SessionInfo, TlsOptions};

use super::Connection;
use crate::config::ZkConfig;
use crate::error::{self, Effect};

/// The members of a cluster, and how to speak with them.
pub(crate) struct Cluster {
    members: Vec<(String, u16)>,
    chroot: String,
    login: Option<(String, String)>,
    tls: Option<TlsOptions>,
    limit: Duration,
}

impl Cluster {
    pub(crate) fn new(config: &ZkConfig) -> Result<Self> {
        if !config.members.iter().all(|(host, _)| is_host(host)) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "the host of a member is a name or an address and nothing else",
            ));
        }
        if config.login.as_ref().is_some_and(|(user, _)| user.contains(':')) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "the user of `login` has no colon: ZooKeeper takes what is behind it for the password",
            ));
        }
        Ok(Self {
            members: config.members.iter().map(|(host, port)| (bare(host), *port)).collect(),
            chroot: config.chroot.clone(),
            login: config.login.clone(),
            tls: config.tls.as_ref().map(tls_options).transpose()?,
            limit: config.limits.request_timeout,
        })
    }

    /// How long one request may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Opens a session that ends when nobody was heard of for `timeout`, if the server likes that;
    /// it says what it gave.
    pub(crate) async fn open(self: &Arc<Self>, asked: Duration) -> Result<Arc<Connection>> {
        let client = self.dial_apart(asked, None).await?;
        Ok(Arc::new(Connection::new(client, self.login.is_some(), self.limit)))
    }

    /// Ends a session, and returns when the store has.
    pub(crate) async fn end(self: &Arc<Self>, connection: Arc<Connection>) -> Result<()> {
        if connection.is_connected() {
            return connection.end().await;
        }
        // The client library takes its time to connect again, so this is done by another one.
        let (asked, session) = (connection.session_timeout(), connection.session());
        drop(connection);
        match self.dial_apart(asked, Some(session)).await {
            Ok(client) => {
                let taken_over = Connection::new(client, self.login.is_some(), self.limit);
                Arc::new(taken_over).end().await
            }
            Err(error) if error.kind() == ErrorKind::Lost => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whoever asks may go, and the session that comes of it is ended all the same.
    async fn dial_apart(
        self: &Arc<Self>,
        asked: Duration,
        session: Option<SessionInfo>,
    ) -> Result<Client> {
        let cluster = self.clone();
        let dialing = tokio::spawn(async move { cluster.dial(asked, session).await });
        dialing.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Closed, "the runtime of this client has ended"))
        })
    }

    /// Tries as long as somebody is there who may answer, but no longer than two requests may take. A
    /// server that has just started may never answer the first, and what one with Netty, as all with
    /// TLS, answers to a login may overtake the session, which the client library does not understand.
    async fn dial(&self, asked: Duration, session: Option<SessionInfo>) -> Result<Client> {
        let until = Instant::now() + self.limit * 2;
        loop {
            let attempt = timeout_at(until, self.call(asked, session.clone())).await;
            let error = match attempt.unwrap_or(Err(ZkError::Timeout)) {
                Ok(client) => return Ok(client),
                Err(
                    error @ (ZkError::AuthFailed
                    | ZkError::BadArguments(_)
                    | ZkError::SessionExpired),
                ) => return Err(error::of(error, Effect::None)),
                Err(error) => error,
            };
            let (is_there, message) = self.diagnose().await;
            if !is_there || until - PAUSE <= Instant::now() {
                return Err(Error::new(ErrorKind::Unavailable, message).with_source(error));
            }
            sleep(PAUSE).await;
        }
    }

    async fn call(&self, asked: Duration, session: Option<SessionInfo>) -> Result<Client, ZkError> {
        // A member that is silent for so long is left for another one.
        let patience = (asked * 3 / 10).min(self.limit);
        let mut connector = Client::connector()
            .with_session_timeout(asked)
            .with_connection_timeout(patience)
            .with_fail_eagerly();
        if let Some((user, password)) = &self.login {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
        if let Some(session) = session {
            connector = connector.with_session(session);
        }
        let address = self.address();
        match &self.tls {
            Some(tls) => connector.with_tls(tls.clone()).secure_connect(&address).await,
            None => connector.connect(&address).await,
        }
    }

    /// `host:port,host:port/chroot`.
    fn address(&self) -> String {
        let members = self.members.iter().map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        });
        members.collect::<Vec<_>>().join(",") + &self.chroot
    }

    /// Whether any member can be reached at all, and why none gave us a session. The client library
    /// does not say, so each is called on.
    async fn diagnose(&self) -> (bool, &'static str) {
        let called = join_all(
            self.members
                .iter()
                .map(|(host, port)| timeout(CALL, TcpStream::connect((host.as_str(), *port)))),
        );
        let called = called.await;
        let is_there = |called: &Result<io::Result<_>, _>| match called {
            Ok(Ok(_)) => true,
            // It accepts, and hangs up at once.
            Ok(Err(error)) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::BrokenPipe
            ),
            Err(_) => false,
        };
        if called.iter().any(is_there) {
            return (true, if self.tls.is_some() { NO_SESSION_BY_TLS } else { NO_SESSION });
        }
        let message = match called.into_iter().next() {
            None => "no member is named",
            Some(Ok(Err(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nothing listens there: is the server up, and are host and port right?"
            }
            Some(Ok(Err(error))) if error.to_string().contains("lookup") => {
                "the host name cannot be resolved: is it right?"
            }
            Some(Ok(_)) => "the member cannot be reached",
            Some(Err(_)) => "the member did not answer in time",
        };
        (false, message)
    }
}

/// The shortest and the longest timeout that the server gives, and a session of the longest to try
/// things in: it bears a server that is slow for once.
pub(crate) async fn range(cluster: &Arc<Cluster>) -> Result<(Ttl, Ttl, Arc<Connection>)> {
    // One after the other: the second finds a server that is warm, for which it has less patience.
    let long = cluster.open(LONGEST).await?;
    let brief = cluster.open(SHORTEST).await?;
    let longest = long.session_timeout().min(Ttl::MAX.as_duration());
    let shortest = brief.session_timeout();
    // It ends with its connection at the latest.
    let _ = cluster.end(brief).await;
    Ok((Ttl::new(shortest)?, Ttl::new(longest)?, long))
}

/// Whether it is one host, so that nothing else is read out of it; an address of version 6 with or
/// without brackets.
fn is_host(host: &str) -> bool {
    if host.starts_with('[') || host.contains(':') {
        let address = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'));
        return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    !host.is_empty() && host.chars().all(is_plain)
}

/// Without brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn tls_options(tls: &Tls) -> Result<TlsOptions> {
    let text = |pem: &[u8], what: &str| {
        String::from_utf8(pem.to_vec()).map_err(|_| unreadable(what)).and_then(|pem| {
            let has_any = pem.contains("-----BEGIN ");
            has_any.then_some(pem).ok_or_else(|| unreadable(what))
        })
    };
    let mut options = TlsOptions::new();
    match tls.authority() {
        Some(pem) => {
            let pem = text(pem, "tls_ca")?;
            let read = options.with_pem_ca(&pem);
            options = read.map_err(|error| unreadable("tls_ca").with_source(error))?;
        }
        None => {
            let trusted = rustls_native_certs::load_native_certs().certs;
            let all: String = trusted.iter().map(|certificate| in_pem(certificate)).collect();
            if !all.is_empty() {
                let read = options.with_pem_ca(&all);
                options =
                    read.map_err(|error| unreadable("the system's store").with_source(error))?;
            }
        }
    }
    if let Some((certificate, key)) = tls.identity() {
        let (certificate, key) = (text(certificate, "tls_cert")?, text(key, "tls_key")?);
        let read = options.with_pem_identity(&certificate, &key);
        options = read.map_err(|error| unreadable("tls_cert or tls_key").with_source(error))?;
    }
    Ok(options)
}

fn in_pem(certificate: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("{what} is not in PEM, or cannot be used"))
}

/// What the shortest session of all is asked for with: less makes the client library hasty.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);
const CALL: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);
const NO_SESSION: &str = "what listens there gave us no session: is it ZooKeeper's port for clients and \
                          without TLS (else say `zks://`), are most members up, and does it take more \
                          connections from here (`maxClientCnxns`)?";
const NO_SESSION_BY_TLS: &str = "what listens there gave us no session: is it a TLS port \
                                 (`secureClientPort`) of ZooKeeper, does `tls_ca` name the authority of \
                                 its certificate, is that valid for this host, does it want a \
                                 certificate of ours (`tls_cert` and `tls_key`), and are most members \
                                 up?";
