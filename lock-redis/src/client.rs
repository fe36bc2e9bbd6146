//! Connections and commands: the only room, beside that of errors, that knows the crate `redis`.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lockcore::{BootInstant, Error, ErrorKind, Result};
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSubStream};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode, Value, from_redis_value_ref,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{Host, RedisConfig, RedisTls, Topology};
use crate::error::{self, Way};
use crate::keys::Keys;
use crate::script::Script;

/// A client of a server, or of several that are one store.
pub(crate) struct Client {
    dialer: Dialer,
    way: Way,
    timeout: Duration,
    wire: Mutex<Option<Arc<Wire>>>,
    /// Held by whoever connects. The last attempt that failed, for those who waited meanwhile.
    dialing: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Counts the connections; whoever listens to the store begins anew with each.
    generation: watch::Sender<u64>,
}

/// What the store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Number(i64),
    Text(String),
    List(Vec<Reply>),
    Other,
}

/// How to reach the store.
enum Dialer {
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

/// A connection, for as long as it works.
struct Wire {
    connection: Connection,
    delete: Option<NativeDelete>,
    is_broken: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// How the server deletes a key only if it has a value, if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NativeDelete {
    /// Valkey since 9.
    DelIfEq,
    /// Redis since 8.4.
    DelEx,
}

impl Client {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        if let Some(tls) = &config.tls {
            check(tls)?;
        }
        let dialer = Dialer::new(config).map_err(|error| error::misconfigured(&error))?;
        let way = Way {
            has_tls: config.tls.is_some(),
            has_sentinels: matches!(config.topology, Topology::Sentinel { .. }),
        };
        Ok(Self {
            dialer,
            way,
            timeout: config.request_timeout.mul_f64(SHARE_OF_TIMEOUT),
            wire: Mutex::new(None),
            dialing: tokio::sync::Mutex::new(None),
            generation: watch::Sender::new(0),
        })
    }

    /// Connects, if there is no connection that works.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<()> {
        self.wire().await.map(|_| ())
    }

    /// Whether there is a connection that works, as far as is known.
    pub(crate) fn is_connected(&self) -> bool {
        self.working_wire().is_some()
    }

    /// Tries on keys and a channel that nobody uses whether we may do what we will have to.
    pub(crate) async fn probe(self: &Arc<Self>, unused: &Keys, channel: &str) -> Result<()> {
        let args = [channel];
        let trial = self.run(Script::Probe, unused, &args, 0);
        let answer = match timeout(self.timeout, trial).await {
            Ok(answer) => answer,
            Err(_) => Err(error::unreachable(&error::no_answer(), self.way)),
        };
        match answer {
            Ok(_) => Ok(()),
            // One node of several, which need not be those of our locks.
            Err(error) if error.is_transient() && !self.batches() => Ok(()),
            // Nothing stays behind, so there is nothing that is unknown.
            Err(error) if error.kind() == ErrorKind::Indeterminate => {
                let message = error.message().to_owned();
                Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a script on the keys of one name. What it may leave when no answer comes is gone after
    /// `ttl_ms`.
    pub(crate) async fn run(
        self: &Arc<Self>,
        script: Script,
        keys: &Keys,
        args: &[&str],
        ttl_ms: u64,
    ) -> Result<Reply> {
        let command = |name: &str, script: &str| {
            let size = script.len() + 6 * keys.lock().len() + 16 * (args.len() + 5);
            let mut cmd = Cmd::with_capacity(8 + args.len(), size);
            cmd.arg(name).arg(script).arg(5).arg(keys.lock());
            keys.each_beside(|key| {
                cmd.arg(key);
            });
            for arg in args {
                cmd.arg(*arg);
            }
            cmd
        };
        let patience =
            if script == Script::RenewShared { self.renewal(ttl_ms) } else { self.timeout };
        self.eval(script, command, patience, ttl_ms).await
    }

    /// Renews locks that are held alone: each with its key, the beginning of its value, and its
    /// TTL in milliseconds. One trip for all.
    pub(crate) async fn renew(self: &Arc<Self>, locks: &[(&str, &str, u64)]) -> Result<Reply> {
        let command = |name: &str, script: &str| {
            let mut cmd = Cmd::with_capacity(3 + 3 * locks.len(), script.len() + 96 * locks.len());
            cmd.arg(name).arg(script).arg(locks.len());
            for (key, _, _) in locks {
                cmd.arg(*key);
            }
            for (_, owner, ttl) in locks {
                cmd.arg(*owner).arg(*ttl);
            }
            cmd
        };
        let shortest = locks.iter().map(|(_, _, ttl)| *ttl).min().unwrap_or(u64::MAX);
        let longest = locks.iter().map(|(_, _, ttl)| *ttl).max().unwrap_or(0);
        self.eval(Script::Renew, command, self.renewal(shortest), longest).await
    }

    /// Deletes the key if it has this value: true if it had, `None` if the server has no command
    /// for that.
    pub(crate) async fn delete_if(
        self: &Arc<Self>,
        key: &str,
        value: &str,
        ttl_ms: u64,
    ) -> Result<Option<bool>> {
        let wire = self.wire().await?;
        let Some(native) = wire.delete else { return Ok(None) };
        let mut cmd = Cmd::with_capacity(4, key.len() + value.len() + 32);
        match native {
            NativeDelete::DelIfEq => cmd.arg("DELIFEQ").arg(key).arg(value),
            NativeDelete::DelEx => cmd.arg("DELEX").arg(key).arg("IFEQ").arg(value),
        };
        match self.send(&wire, &cmd, self.timeout).await {
            Ok(reply) => Ok(Some(reply == Reply::Number(1))),
            // The script does without, and knows what to make of a key that holds no string.
            Err(error) if error::is_forbidden(&error) || error::is_wrong_type(&error) => Ok(None),
            Err(error) => Err(error::failed(&error, gone_after(ttl_ms))),
        }
    }

    /// How long a renewal is waited for. The engine gives it half a period; a dead connection must
    /// not cost the second one.
    fn renewal(&self, ttl_ms: u64) -> Duration {
        Duration::from_millis(ttl_ms / 6).mul_f64(SHARE_OF_TIMEOUT).min(self.timeout)
    }

    /// Whether several renewals fit into one command.
    pub(crate) fn batches(&self) -> bool {
        !matches!(self.dialer, Dialer::Cluster { .. })
    }

    /// Whether the server that runs a script knows all who listen to a channel.
    pub(crate) fn counts_listeners(&self) -> bool {
        self.batches()
    }

    /// Listens to a channel on a connection of its own.
    pub(crate) async fn listen(&self, channel: &str) -> Result<Listening> {
        let generation = self.generation.subscribe();
        let dial = async {
            let client = self.dialer.any_server().await?;
            let mut pubsub = client.get_async_pubsub().await?;
            pubsub.subscribe(channel).await?;
            Ok(pubsub)
        };
        let pubsub =
            self.in_time(dial).await.map_err(|error| error::unreachable(&error, self.way))?;
        // The connection lives as long as both halves do.
        let (sink, stream) = pubsub.split();
        Ok(Listening { _sink: sink, stream, generation })
    }

    /// Drops the connection.
    pub(crate) fn close(&self) {
        self.current_wire().take();
    }

    /// Sends the script by its hash; if the server does not know it, whole.
    async fn eval(
        self: &Arc<Self>,
        script: Script,
        command: impl Fn(&str, &str) -> Cmd,
        patience: Duration,
        ttl_ms: u64,
    ) -> Result<Reply> {
        let wire = self.wire().await?;
        let by_hash = command("EVALSHA", hash(script));
        let answer = match self.send(&wire, &by_hash, patience).await {
            Err(error) if error::is_unknown_script(&error) => {
                self.send(&wire, &command("EVAL", script.body()), patience).await
            }
            answer => answer,
        };
        answer.map_err(|error| error::failed(&error, gone_after(ttl_ms)))
    }

    async fn send(
        &self,
        wire: &Arc<Wire>,
        cmd: &Cmd,
        patience: Duration,
    ) -> Result<Reply, RedisError> {
        let patience =
            Patience { client: self, wire, since: Instant::now(), limit: patience, is_over: false };
        let answer = match wire.connection.clone() {
            Connection::Single(mut connection) => connection.req_packed_command(cmd).await,
            Connection::Cluster(mut connection) => connection.req_packed_command(cmd).await,
        };
        patience.ends();
        let answer = answer.and_then(Value::extract_error);
        if let Err(error) = &answer
            && wire.is_done_after(error)
        {
            self.drop_wire(wire);
        }
        answer.map(Reply::from)
    }

    async fn wire(self: &Arc<Self>) -> Result<Arc<Wire>> {
        if let Some(wire) = self.working_wire() {
            return Ok(wire);
        }
        // In a task: a caller that is not polled must not hold up those who wait for the wire.
        let dialing = tokio::spawn(self.clone().dial(Instant::now()));
        dialing.await.unwrap_or_else(|_| Err(error::runtime_ended()))
    }

    async fn dial(self: Arc<Self>, asked: Instant) -> Result<Arc<Wire>> {
        let mut dialing = self.dialing.lock().await;
        if let Some(wire) = self.working_wire() {
            return Ok(wire);
        }
        // One attempt answers all who came while it ran: a dead server is not asked by each.
        if let Some((when, error)) = &*dialing
            && *when >= asked
        {
            return Err(error::unreachable(error, self.way));
        }
        match self.in_time(self.dialer.dial()).await {
            Ok(wire) => {
                let wire = Arc::new(wire);
                *dialing = None;
                *self.current_wire() = Some(wire.clone());
                self.generation.send_modify(|generation| *generation += 1);
                Ok(wire)
            }
            Err(error) => {
                let answer = error::unreachable(&error, self.way);
                *dialing = Some((Instant::now(), error));
                Err(answer)
            }
        }
    }

    fn working_wire(&self) -> Option<Arc<Wire>> {
        self.current_wire().clone().filter(|wire| !wire.is_broken.load(SeqCst))
    }

    fn drop_wire(&self, wire: &Arc<Wire>) {
        wire.is_broken.store(true, SeqCst);
        let mut current = self.current_wire();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, wire)) {
            *current = None;
        }
    }

    fn current_wire(&self) -> std::sync::MutexGuard<'_, Option<Arc<Wire>>> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn in_time<T>(
        &self,
        dial: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        timeout(self.timeout, dial).await.unwrap_or_else(|_| Err(error::no_answer()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// How long a command is waited for. If its future is dropped because no answer came, the
/// connection is given up: replies come in order, so nothing came for as long. A live server answers
/// on the next one.
struct Patience<'a> {
    client: &'a Client,
    wire: &'a Arc<Wire>,
    since: Instant,
    limit: Duration,
    is_over: bool,
}

impl Patience<'_> {
    fn ends(mut self) {
        self.is_over = true;
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        let is_single = matches!(self.wire.connection, Connection::Single(_));
        if !self.is_over && is_single && self.since.elapsed() >= self.limit {
            self.client.drop_wire(self.wire);
        }
    }
}

impl Wire {
    /// Whether the connection is of no use any more after this error.
    fn is_done_after(&self, error: &RedisError) -> bool {
        match self.connection {
            Connection::Single(_) => error.is_io_error() || error::wants_other_server(error),
            // The client of a cluster reconnects by itself.
            Connection::Cluster(_) => false,
        }
    }
}

impl Dialer {
    fn new(config: &RedisConfig) -> Result<Self, RedisError> {
        let tls = config.tls.as_ref().map(|tls| TlsCertificates {
            client_tls: tls
                .client
                .clone()
                .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: tls.ca.clone(),
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
                    .connection_timeout(config.request_timeout.mul_f64(SHARE_OF_TIMEOUT))
                    .response_timeout(config.request_timeout.mul_f64(SHARE_OF_TIMEOUT))
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

    async fn dial(&self) -> Result<Wire, RedisError> {
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
    async fn any_server(&self) -> Result<redis::Client, RedisError> {
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

/// The crate `redis` takes what has no certificate in it for an empty list of authorities.
fn check(tls: &RedisTls) -> Result<()> {
    let certificates = |pem: &[u8]| {
        let mut found = CertificateDer::pem_slice_iter(pem).peekable();
        found.peek().is_some() && found.all(|certificate| certificate.is_ok())
    };
    let bad = |what: &str| Err(Error::new(ErrorKind::InvalidConfig, format!("{what} in PEM")));
    if let Some(ca) = &tls.ca
        && !certificates(ca)
    {
        return bad("`tls_ca` is the certificate of an authority");
    }
    if let Some((certificate, key)) = &tls.client {
        if !certificates(certificate) {
            return bad("`tls_cert` is the certificate of this client");
        }
        if PrivateKeyDer::from_pem_slice(key).is_err() {
            return bad("`tls_key` is the key of this client's certificate");
        }
    }
    Ok(())
}

/// Lets the server know the scripts, and asks how it deletes. A user who may do neither can
/// nevertheless send whole scripts.
async fn prepare(mut connection: impl ConnectionLike) -> Result<Option<NativeDelete>, RedisError> {
    let is_lost = |error: &RedisError| error.is_io_error();
    for script in Script::ALL {
        let mut cmd = Cmd::new();
        cmd.arg("SCRIPT").arg("LOAD").arg(script.body());
        let answer = connection.req_packed_command(&cmd).await.and_then(Value::extract_error);
        if let Err(error) = answer
            && (is_lost(&error) || error::is_unauthorized(&error))
        {
            return Err(error);
        }
    }
    let mut cmd = Cmd::new();
    cmd.arg("COMMAND").arg("INFO").arg("DELIFEQ").arg("DELEX");
    let answer = connection.req_packed_command(&cmd).await.and_then(Value::extract_error);
    match answer {
        Ok(Value::Array(known)) => {
            let commands = [NativeDelete::DelIfEq, NativeDelete::DelEx];
            let mut known = commands.into_iter().zip(known);
            Ok(known.find(|(_, info)| matches!(info, Value::Array(_))).map(|(command, _)| command))
        }
        Err(error) if is_lost(&error) => Err(error),
        _ => Ok(None),
    }
}

/// What is heard on a channel.
pub(crate) struct Listening {
    _sink: redis::aio::PubSubSink,
    stream: PubSubStream,
    generation: watch::Receiver<u64>,
}

impl Listening {
    /// The next message; `None` when the connection has ended, or commands go over a new one.
    pub(crate) async fn next(&mut self) -> Option<String> {
        tokio::select! {
            message = self.stream.next() => {
                from_redis_value_ref(&message?.get_payload::<Value>().ok()?).ok()
            }
            _ = self.generation.changed() => None,
        }
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        match value {
            Value::Int(number) => Self::Number(number),
            Value::SimpleString(text) => Self::Text(text),
            Value::BulkString(bytes) => Self::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            _ => Self::Other,
        }
    }
}

/// When the store will have forgotten what a command of now may leave.
fn gone_after(ttl_ms: u64) -> BootInstant {
    BootInstant::now().saturating_add(Duration::from_millis(ttl_ms))
}

fn hash(script: Script) -> &'static str {
    static HASHES: LazyLock<[String; Script::ALL.len()]> = LazyLock::new(|| {
        Script::ALL.map(|script| redis::Script::new(script.body()).get_hash().to_owned())
    });
    &HASHES[script as usize]
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

/// A command that was waited for during this share of the engine's patience has no answer: before it
/// was sent, a connection may have had to be made.
const SHARE_OF_TIMEOUT: f64 = 0.75;
/// So many commands may wait for the connection's task: room enough that a caller who is not polled
/// holds up nobody.
const PIPELINE: usize = 4096;
/// After a redirection or a broken connection. What is sent twice is idempotent.
const CLUSTER_RETRIES: u32 = 3;
