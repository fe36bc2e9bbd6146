//! Connections and commands: the only room, beside that of errors, that knows the crate `redis`.

use std::fmt;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lockcore::{BootInstant, Error, ErrorKind, Result};
use redis::aio::{ConnectionLike, PubSubStream};
use redis::{Cmd, RedisError, Value, from_redis_value_ref};
use tokio::sync::watch;
use tokio::time::timeout;

use self::dial::Dialer;
use self::wire::{Connection, NativeDelete, Wire};
use crate::config::{RedisConfig, Topology};
use crate::error::{self, Way};
use crate::keys::Keys;
use crate::script::Script;

mod dial;
mod tls;
mod wire;

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

impl Client {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        if let Some(tls) = &config.tls {
            tls::check(tls)?;
        }
        let dialer = Dialer::new(config).map_err(|error| error::misconfigured(&error))?;
        let way = Way {
            has_tls: config.tls.is_some(),
            has_sentinels: matches!(config.topology, Topology::Sentinel { .. }),
        };
        Ok(Self {
            dialer,
            way,
            timeout: config.limits.request_timeout.mul_f64(SHARE_OF_TIMEOUT),
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

/// What is heard on a channel.
pub(crate) struct Listening {
    _sink: redis::aio::PubSubSink,
    stream: PubSubStream,
    generation: watch::Receiver<u64>,
}

/// What a connection that listens has to tell.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(String),
    /// Commands go over a new connection: this one may be dead too, or lead to a former master.
    Moved,
    /// It has ended.
    Nothing,
}

impl Listening {
    /// The next thing that is heard.
    pub(crate) async fn next(&mut self) -> Heard {
        tokio::select! {
            message = self.stream.next() => {
                let payload = message.and_then(|message| message.get_payload::<Value>().ok());
                let text = payload.and_then(|payload| from_redis_value_ref(&payload).ok());
                text.map_or(Heard::Nothing, Heard::Message)
            }
            changed = self.generation.changed() => match changed {
                Ok(()) => Heard::Moved,
                // The client is gone.
                Err(_) => Heard::Nothing,
            },
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

/// A command that was waited for during this share of the engine's patience has no answer: before it
/// was sent, a connection may have had to be made.
const SHARE_OF_TIMEOUT: f64 = 0.75;
