//! Connections to members of the cluster.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use etcd_client::{
    Certificate, Channel, ConnectOptions, Identity, KvClient, LeaseClient, TlsOptions, WatchClient,
};
use lockcore::options::Tls;
use lockcore::{Error, ErrorKind, Result};
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::config::{BACKEND, EtcdConfig};
use crate::error;

/// One connection to one member.
///
/// Requests of a client all go to the member that answers: what one of them said, the next one
/// finds, and a member that is down costs no request in three.
pub(crate) struct Conn {
    pub(crate) kv: KvClient,
    pub(crate) lease: LeaseClient,
    pub(crate) watch: WatchClient,
    /// The place of the member among the endpoints.
    pub(crate) member: usize,
    /// When the last answer came to a request.
    heard: Mutex<Instant>,
}

impl Conn {
    /// An answer has come.
    pub(crate) fn hears(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether no request had an answer for so long. One that answers others is slow: another
    /// connection would not be faster, and all who wait would have to look again.
    pub(crate) fn is_silent(&self, time: Duration) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= time
    }
}

/// How to connect.
pub(crate) struct Dialer {
    endpoints: Vec<Endpoint>,
    options: ConnectOptions,
    has_tls: bool,
}

impl Dialer {
    pub(crate) fn new(config: &EtcdConfig) -> Result<Self> {
        let endpoints = config.endpoints.iter().map(|(host, port)| endpoint(config, host, *port));
        let mut options = ConnectOptions::new().with_require_leader(true);
        if let Some((user, password)) = &config.login {
            options = options.with_user(user, password).with_auto_token_refresh(true);
        }
        Ok(Self {
            endpoints: endpoints.collect::<Result<_>>()?,
            options,
            has_tls: config.tls.is_some(),
        })
    }

    pub(crate) fn members(&self) -> usize {
        self.endpoints.len()
    }

    /// Connects to one member, and logs in.
    pub(crate) async fn dial(&self, member: usize, limit: Duration) -> Result<Conn> {
        let connect = async {
            let channel = self.endpoints[member].connect().await;
            let channel = channel.map_err(|error| error::unreachable(error, self.has_tls))?;
            let client = etcd_client::Client::from_channel(
                Channel::Tonic(channel),
                Some(self.options.clone()),
            );
            client.await.map_err(|error| error::at_login(error, self.has_tls))
        };
        let client = timeout(limit, connect).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "no member answered in time: are most members of the cluster up?",
            ))
        })?;
        Ok(Conn {
            kv: client.kv_client().max_decoding_message_size(LARGEST_ANSWER),
            lease: client.lease_client(),
            watch: client.watch_client(),
            member,
            heard: Mutex::new(Instant::now()),
        })
    }
}

fn endpoint(config: &EtcdConfig, host: &str, port: u16) -> Result<Endpoint> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidConfig, message).at(BACKEND, "");
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let is_bare_v6 = host.contains(':') && !host.starts_with('[');
    let host = if is_bare_v6 { format!("[{host}]") } else { host.to_owned() };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))
        .ok()
        // Not told: it may be a URL with a password.
        .filter(|endpoint| !host.is_empty() && endpoint.uri().host() == Some(&*host))
        .ok_or_else(|| {
            invalid("the host of an endpoint is a name or an address and nothing else".into())
        })?;
    let endpoint = endpoint.connect_timeout(config.limits.request_timeout).tcp_nodelay(true);
    match &config.tls {
        None => Ok(endpoint),
        Some(tls) => {
            let message = "the certificates or the key for TLS cannot be used: are they PEM?";
            // What has none in it would be taken for no authority at all.
            if tls.authority().is_some_and(|ca| !ca.windows(HEAD.len()).any(|part| part == HEAD)) {
                return Err(invalid(message.into()));
            }
            endpoint
                .tls_config(options(tls))
                .map_err(|error| invalid(message.into()).with_source(error))
        }
    }
}

fn options(tls: &Tls) -> TlsOptions {
    let mut options = match tls.authority() {
        Some(ca) => TlsOptions::new().ca_certificate(Certificate::from_pem(ca)),
        None => TlsOptions::new().with_native_roots(),
    };
    if let Some((certificate, key)) = tls.identity() {
        options = options.identity(Identity::from_pem(certificate, key));
    }
    options
}

/// How a certificate begins.
const HEAD: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// The list of a name that a hundred thousand wait for is larger than the 4 MiB of gRPC.
const LARGEST_ANSWER: usize = 64 << 20;
