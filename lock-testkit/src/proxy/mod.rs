//! A way to a server that can be broken.

mod faults;
mod jute;
mod link;
mod pump;
mod record;
mod resp;
mod rule;
mod traffic;
mod zk;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::faults::Faults;
use self::link::Shared;
pub use self::record::{Frame, FrameKind};
#[cfg(feature = "etcd")]
pub(crate) use self::rule::{DISARMED, counts_down};
pub use self::rule::{HoldHandle, Swallow, SwallowHandle};
use self::traffic::Protocol;

/// A TCP proxy in front of a server, whose faults are switched at any time, for the connections
/// that exist and for those to come.
///
/// The two directions are *request*, from the client to the server, and *reply*. A proxy made by
/// [`Proxy::resp`] or [`Proxy::zk`] knows commands and replies too, and can lose a single one of
/// them.
///
/// It runs on the runtime in which it was started. When it is dropped, its port is closed and all
/// its connections end.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// Passes bytes to `target`, of any protocol.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        Self::with(target, Protocol::Bytes).await
    }

    /// Passes commands and replies of RESP2 or RESP3 to `target`. Commands that change how many
    /// replies come (`CLIENT REPLY`, `MONITOR`) are not understood.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn resp(target: SocketAddr) -> Self {
        Self::with(target, Protocol::Resp).await
    }

    /// Passes requests and replies of ZooKeeper's protocol to `target`, without TLS.
    ///
    /// The words that matchers see are the name of the request as in `create`, which is also that of
    /// `create2` and its kin, or `getChildren`; its path; and how the node is created, as in
    /// `EPHEMERAL_SEQUENTIAL`, or `watch` if one is wanted. A `multi` has the words of its members
    /// behind its own. The handshake is `connect` with its session, as in `0x0`. A request whose
    /// number is not known has it for its name. [`zk_request`] makes the usual matchers.
    ///
    /// A frame that has no header or is longer than 64 MB resets its connection. Commands of four
    /// letters pass as bytes.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn zk(target: SocketAddr) -> Self {
        Self::with(target, Protocol::Zk).await
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on connections go to `target`: those that exist stay where they are.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.change(|faults| faults.target = target);
    }

    /// Lets everything that comes from now on take so long on its way, each direction apart.
    pub fn delay(&self, request: Duration, reply: Duration) {
        self.shared.change(|faults| {
            faults.request.delay = request;
            faults.reply.delay = reply;
        });
    }

    /// Adds a random time of at most this to the delay of either direction. The order is kept.
    pub fn jitter(&self, jitter: Duration) {
        self.shared.change(|faults| {
            faults.request.jitter = jitter;
            faults.reply.jitter = jitter;
        });
    }

    /// Sends every byte in a packet of its own, if `on`.
    pub fn one_byte_chunks(&self, on: bool) {
        self.shared.change(|faults| faults.one_byte_chunks = on);
    }

    /// Silences both directions without closing anything: what is sent meanwhile is kept, also the
    /// end of a connection. New connections are accepted and hear nothing.
    pub fn cut(&self) {
        self.stall(true, true);
    }

    /// Ends [`cut`](Proxy::cut) and [`stall`](Proxy::stall): what was kept goes on its way.
    pub fn restore(&self) {
        self.stall(false, false);
    }

    /// As [`cut`](Proxy::cut), of each direction apart.
    pub fn stall(&self, request: bool, reply: bool) {
        self.shared.change(|faults| {
            faults.request.stalled = request;
            faults.reply.stalled = reply;
        });
    }

    /// Loses for ever what is sent in these directions. A connection that has lost something stays
    /// lost when this ends, as it would make no sense to its other end; new ones are whole.
    pub fn black_hole(&self, request: bool, reply: bool) {
        self.shared.change(|faults| {
            faults.request.black_hole = request;
            faults.reply.black_hole = reply;
        });
    }

    /// Closes every connection by `RST`, to the client and to the server.
    pub fn reset(&self) {
        self.shared.change(|faults| faults.resets += 1);
    }

    /// Closes every connection: clients read an end of file, and what they have sent and the server
    /// has not got is lost.
    pub fn close(&self) {
        self.shared.change(|faults| faults.closes += 1);
    }

    /// Closes new connections at once, if `on`. The port stays open, so that nobody takes it.
    pub fn refuse(&self, on: bool) {
        self.shared.change(|faults| faults.refuse = on);
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Lets the next command that matches be applied, and loses its reply: the connection is closed
    /// instead. A matcher gets the command's name and arguments as they were sent.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_reply(
        &self,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> SwallowHandle {
        self.swallow_reply_then(Swallow::ThenCut, matcher)
    }

    /// As [`swallow_reply`](Proxy::swallow_reply), and says what becomes of the connection.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands, or no pings where `then` is about them.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_reply_then(
        &self,
        then: Swallow,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> SwallowHandle {
        self.swallow_nth_reply(1, then, matcher)
    }

    /// As [`swallow_reply_then`](Proxy::swallow_reply_then), of the `nth` command that matches from
    /// now on, where 1 is the next.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands, or no pings where `then` is about them, or `nth` is 0.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_nth_reply(
        &self,
        nth: u64,
        then: Swallow,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> SwallowHandle {
        self.needs_commands();
        if then == Swallow::ThenPings {
            self.needs_zookeeper();
        }
        assert!(nth > 0, "the next command is number 1");
        self.shared.rules().swallow(nth, then, Box::new(matcher))
    }

    /// Stops forwarding requests at every command that matches, until the handle is released or
    /// dropped. What the client sends after it on the same connection waits too, and so does the
    /// end of the connection: a command whose client has long given up is applied when released.
    /// The handle can also end the connections, and then the command is never applied.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn hold_requests(
        &self,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> HoldHandle {
        self.needs_commands();
        self.shared.rules().hold(Box::new(matcher))
    }

    /// Lets commands that match be applied and holds back their replies, of those that come from now
    /// on, until the handle is released or dropped. What the server sends after one on the same
    /// connection waits too. The handle can also end the connections, and then the client never
    /// hears of it.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn hold_replies(
        &self,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> HoldHandle {
        self.needs_commands();
        self.shared.rules().hold_reply(Box::new(matcher))
    }

    /// Loses what the server sends without being asked, if `on`: messages of subscriptions, not
    /// the confirmation of a subscription; or the events of watches.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn drop_notifications(&self, on: bool) {
        self.needs_commands();
        self.shared.change(|faults| faults.drop_notifications = on);
    }

    /// How many requests of each command have come, by its name: in capitals if it is of RESP.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn requests_seen(&self) -> BTreeMap<String, u64> {
        self.needs_commands();
        self.shared.rules().seen.clone()
    }

    /// How many notifications were lost by [`drop_notifications`](Proxy::drop_notifications).
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn notifications_lost(&self) -> u64 {
        self.needs_commands();
        self.shared.rules().notifications_lost
    }

    /// How many notifications have passed on each connection, by its number: the first that has come
    /// to this proxy is 0.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn notifications_seen(&self) -> BTreeMap<usize, u64> {
        self.needs_commands();
        self.shared.rules().notifications.clone()
    }

    /// Loses all that servers say but the answers to pings, if `on`, so that links look alive.
    /// Requests are applied. A connection that has lost something stays lost when this ends; new
    /// ones are whole.
    ///
    /// # Panics
    ///
    /// When this proxy is not made by [`Proxy::zk`].
    pub fn only_pings(&self, on: bool) {
        self.needs_zookeeper();
        self.shared.change(|faults| faults.only_pings = on);
    }

    /// The frames that have passed since the last [`clear_record`](Proxy::clear_record), of all
    /// connections, in their order. What was lost or is held is not among them.
    ///
    /// # Panics
    ///
    /// When this proxy is not made by [`Proxy::zk`].
    pub fn record(&self) -> Vec<Frame> {
        self.needs_zookeeper();
        self.shared.rules().record.clone()
    }

    /// The sessions that were given on connections of this proxy, of those that are recorded.
    ///
    /// # Panics
    ///
    /// When this proxy is not made by [`Proxy::zk`].
    pub fn sessions(&self) -> Vec<i64> {
        let record = self.record();
        let given = record.iter().filter(|frame| frame.kind == FrameKind::Reply);
        let given = given.filter_map(|frame| frame.text.strip_prefix("connect 0x"));
        given.filter_map(|id| Some(u64::from_str_radix(id, 16).ok()?.cast_signed())).collect()
    }

    /// Forgets what was recorded.
    ///
    /// # Panics
    ///
    /// When this proxy is not made by [`Proxy::zk`].
    pub fn clear_record(&self) {
        self.needs_zookeeper();
        self.shared.rules().record.clear();
    }

    async fn with(target: SocketAddr, protocol: Protocol) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::new(watch::Sender::new(Faults::none(target)), protocol));
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, accept }
    }

    fn needs_commands(&self) {
        let knows = self.shared.protocol != Protocol::Bytes;
        assert!(knows, "this proxy passes bytes: start it with `Proxy::resp` or `Proxy::zk`");
    }

    fn needs_zookeeper(&self) {
        let knows = self.shared.protocol == Protocol::Zk;
        assert!(knows, "this proxy does not know ZooKeeper: start it with `Proxy::zk`");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections are a part of the task, and end with it.
        self.accept.abort();
    }
}

/// Matches requests of ZooKeeper of this `name`, where `*` is any, that have a word containing `part`
/// behind it: mostly a path, of the request itself or of a member of a `multi`. The words are those
/// of [`Proxy::zk`]. An empty `part` is in every request.
pub fn zk_request(name: &str, part: &str) -> impl Fn(&[Bytes]) -> bool + Send + Sync + use<> {
    let (name, part) = (name.to_owned(), part.to_owned());
    move |words| {
        let Some((first, others)) = words.split_first() else { return false };
        let mut others = others.iter().map(|word| String::from_utf8_lossy(word));
        (name == "*" || *first == name.as_bytes())
            && (part.is_empty() || others.any(|word| word.contains(&part)))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    let mut numbers = 0..;
    loop {
        let accepted: io::Result<_> = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        match accepted {
            Ok((client, _)) => {
                let number = numbers.next().unwrap_or_default();
                links.spawn(link::run(client, Arc::clone(&shared), number));
            }
            // The client is gone already.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
