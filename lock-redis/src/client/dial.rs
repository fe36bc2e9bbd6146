//! Making connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode, Value,
};

use super::SHARE_OF_TIMEOUT;
use super::wire::{Connection, Wire, prepare};
use crate::config::{Host, RedisConfig, Topology};
use crate::error;

/// How to reach the store.
pub(super) enum Dialer {
    Single(redis::Client),
    Sentinel {
        client: tokio::sync::Mutex<SentinelClient>,
        sentinels: Vec<redis::Client>,
        master: String,
    },
    Cluster {
        client: ClusterClient,
        nodes: Vec<redis::Client>,
    },
}

impl Dialer {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisError> {
        let tls = config.tls.as_ref().map(|tls| TlsCertificates {
            client_tls: tls.identity().map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.to_vec(),
                client_key: key.to_vec(),
            }),
            root_cert: tls.authority().map(<[u8]>::to_vec),
        });
        if tls.is_some() {
            // Fails when the application has chosen one: then it is that.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let server = |host: &Host| {
            let info = info(config, host)?;
            match &tls {
                Some(tls) => redis::Client::build_with_tls(info, tls.clone()),
                None => redis::Client::open(info),
            }
        };
        match &config.topology {
            Topology::Single(host) => server(host).map(Self::Single),
            Topology::Sentinel { hosts, master } => {
                let addrs: Vec<_> = hosts.iter().map(|host| addr(config, host)).collect();
                let builder =
                    SentinelClientBuilder::new(addrs, master, SentinelServerType::Master)?;
                let client = sentinel(builder, config, tls.as_ref()).build()?;
                let ask = |host: &Host| {
                    let info = sentinel_info(config, host)?;
                    match &tls {
                        Some(tls) => redis::Client::build_with_tls(info, tls.clone()),
                        None => redis::Client::open(info),
                    }
                };
                let sentinels = hosts.iter().map(ask).collect::<Result<_, _>>()?;
                let client = tokio::sync::Mutex::new(client);
                Ok(Self::Sentinel { client, sentinels, master: master.clone() })
            }
            Topology::Cluster(hosts) => {
                let infos: Vec<_> =
                    hosts.iter().map(|host| info(config, host)).collect::<Result<_, _>>()?;
                let mut builder = ClusterClient::builder(infos)
                    .retries(CLUSTER_RETRIES)
                    .connection_timeout(config.limits.request_timeout.mul_f64(SHARE_OF_TIMEOUT))
                    .response_timeout(config.limits.request_timeout.mul_f64(SHARE_OF_TIMEOUT))
                    .tcp_settings(tcp());
                if let Some(tls) = &tls {
                    builder = builder.tls(TlsMode::Secure).certs(tls.clone());
                }
                if let Some(username) = &config.username {
                    builder = builder.username(username);
                }
                if let Some(password) = &config.password {
                    builder = builder.password(password);
                }
                let nodes = hosts.iter().map(server).collect::<Result<_, _>>()?;
                Ok(Self::Cluster { client: builder.build()?, nodes })
            }
        }
    }

    pub(super) async fn dial(&self) -> Result<Wire, RedisError> {
        let is_broken = Arc::new(AtomicBool::new(false));
        let connection = match self {
            Self::Single(_) | Self::Sentinel { .. } => {
                let ends = is_broken.clone();
                let config = AsyncConnectionConfig::new()
                    // Both are bounded by us.
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(PIPELINE)
                    .set_push_sender(move |push: PushInfo| {
                        if push.kind == PushKind::Disconnection {
                            ends.store(true, SeqCst);
                        }
                        Ok::<_, redis::aio::SendError>(())
                    });
                let client = self.any_server().await?;
                let dial = client.get_multiplexed_async_connection_with_config(&config);
                Connection::Single(dial.await?)
            }
            Self::Cluster { client, .. } => {
                Connection::Cluster(client.get_async_connection().await?)
            }
        };
        let delete = match connection.clone() {
            Connection::Single(connection) => prepare(connection).await?,
            Connection::Cluster(connection) => prepare(connection).await?,
        };
        Ok(Wire { connection, delete, is_broken })
    }

    /// A server to listen to, or to send all commands to where there is one for all.
    pub(super) async fn any_server(&self) -> Result<redis::Client, RedisError> {
        match self {
            Self::Single(client) => Ok(client.clone()),
            Self::Sentinel { client, sentinels, master } => {
                let found = client.lock().await.async_get_client().await;
                match found {
                    // They name no master that is down either.
                    Err(error)
                        if error::is_no_master(&error) && is_known(sentinels, master).await =>
                    {
                        Err(error::master_is_down())
                    }
                    found => found,
                }
            }
            Self::Cluster { nodes, .. } => {
                let mut last = error::no_answer();
                for node in nodes {
                    match node.get_multiplexed_async_connection().await {
                        Ok(_) => return Ok(node.clone()),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// Whether one of the sentinels has a master of this name, up or down.
async fn is_known(sentinels: &[redis::Client], master: &str) -> bool {
    for sentinel in sentinels {
        let Ok(mut connection) = sentinel.get_multiplexed_async_connection().await else {
            continue;
        };
        let mut cmd = Cmd::new();
        cmd.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        if let Ok(Value::Array(_)) = connection.req_packed_command(&cmd).await {
            return true;
        }
    }
    false
}

fn addr(config: &RedisConfig, host: &Host) -> ConnectionAddr {
    let Host { name, port } = host.clone();
    match config.tls {
        Some(_) => ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None },
        None => ConnectionAddr::Tcp(name, port),
    }
}

fn info(config: &RedisConfig, host: &Host) -> Result<ConnectionInfo, RedisError> {
    let mut settings = RedisConnectionInfo::default()
        .set_db(config.database)
        // Tells when a connection ends.
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("leasehold", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &config.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &config.password {
        settings = settings.set_password(password);
    }
    let info = addr(config, host).into_connection_info()?;
    Ok(info.set_tcp_settings(tcp()).set_redis_settings(settings))
}

fn sentinel_info(config: &RedisConfig, host: &Host) -> Result<ConnectionInfo, RedisError> {
    let mut settings = RedisConnectionInfo::default();
    if let Some((username, password)) = &config.sentinel_login {
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        settings = settings.set_password(password);
    }
    let info = addr(config, host).into_connection_info()?;
    Ok(info.set_tcp_settings(tcp()).set_redis_settings(settings))
}

fn sentinel(
    mut builder: SentinelClientBuilder,
    config: &RedisConfig,
    tls: Option<&TlsCertificates>,
) -> SentinelClientBuilder {
    builder = builder
        .set_client_to_redis_db(config.database)
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(tls) = tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(tls.clone())
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(tls.clone());
    }
    if let Some(username) = &config.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &config.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some((username, password)) = &config.sentinel_login {
        if let Some(username) = username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder
}

/// No waiting for small packets, and a dead peer is found out.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(2))
        .with_retries(3);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(Duration::from_secs(10))
}

/// So many commands may wait for the connection's task: room enough that a caller who is not polled
/// holds up nobody.
const PIPELINE: usize = 4096;
/// After a redirection or a broken connection. What is sent twice is idempotent.
const CLUSTER_RETRIES: u32 = 3;
