//! A way to a server that can be broken.

mod faults;
mod link;
mod pump;
mod resp;
mod rule;
mod traffic;

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
pub use self::rule::{HoldHandle, Swallow, SwallowHandle};
use self::traffic::Protocol;

/// A TCP proxy in front of a server, whose faults are switched at any time, for the connections
/// that exist and for those to come.
///
/// The two directions are *request*, from the client to the server, and *reply*. A proxy made by
/// [`Proxy::resp`] knows commands and replies too, and can lose a single one of them.
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
    /// When this proxy knows no commands.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_reply_then(
        &self,
        then: Swallow,
        matcher: impl Fn(&[Bytes]) -> bool + Send + Sync + 'static,
    ) -> SwallowHandle {
        self.needs_commands();
        self.shared.rules().swallow(then, Box::new(matcher))
    }

    /// Stops forwarding requests at every command that matches, until the handle is released or
    /// dropped. What the client sends after it on the same connection waits too, and so does the
    /// end of the connection: a command whose client has long given up is applied when released.
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

    /// Loses what the server sends without being asked, if `on`: messages of subscriptions, not
    /// the confirmation of a subscription.
    ///
    /// # Panics
    ///
    /// When this proxy knows no commands.
    pub fn drop_notifications(&self, on: bool) {
        self.needs_commands();
        self.shared.change(|faults| faults.drop_notifications = on);
    }

    /// How many requests of each command have come, by its name in capitals.
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

    async fn with(target: SocketAddr, protocol: Protocol) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::new(watch::Sender::new(Faults::none(target)), protocol));
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, accept }
    }

    fn needs_commands(&self) {
        let knows = self.shared.protocol != Protocol::Bytes;
        assert!(knows, "this proxy passes bytes: start it with `Proxy::resp`");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections are a part of the task, and end with it.
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        let accepted: io::Result<_> = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        match accepted {
            Ok((client, _)) => {
                links.spawn(link::run(client, Arc::clone(&shared)));
            }
            // The client is gone already.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
