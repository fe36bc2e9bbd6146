//! A way to a gRPC server that can be broken call by call.

mod call;
mod link;
mod message;
mod pipe;
mod rule;
mod shared;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub use self::rule::{CallRule, ReplySwallow};
use self::rule::{Kind, SwallowRule};
use self::shared::{Shared, Way};
use crate::proxy::Swallow;

/// A proxy in front of a gRPC server without TLS. It ends HTTP/2 on both sides, and has one
/// connection to the server for each of its clients'; so it can touch single calls and messages,
/// of any service, without knowing what they mean.
///
/// Rules are about a path: `"KV/Txn"` is the method of a service of any package,
/// `"/etcdserverpb.KV/Txn"` that of one package, `"*"` every call. They hold for the calls that are
/// open and for those to come, and for both kinds of call, unary and streaming. A rule with a
/// [`CallRule`] ends when that is dropped.
///
/// Faults of bytes are those of a [`Proxy`](crate::Proxy) before this one or behind it. That is
/// also the way to break keep-alives of HTTP/2: this proxy answers a `PING` itself.
///
/// When a client cancels a call, or its connection dies, the server learns it; and the reverse. What
/// a server has said before its connection died gets through.
///
/// It runs on the runtime in which it was started. When it is dropped, its port is closed and all
/// its connections end.
#[derive(Debug)]
pub struct GrpcProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl GrpcProxy {
    /// Passes calls to `target`.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::new(target));
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, accept }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on connections go to `target`: those that exist stay where they are.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.set_target(target);
    }

    /// Closes every connection by `RST`, to the client and to the server.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// How many connections of clients there are.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// How many calls have come, also those that are held or were refused.
    pub fn calls(&self, path: &str) -> u64 {
        self.shared.calls(path)
    }

    /// How many calls are open now.
    pub fn open_calls(&self, path: &str) -> usize {
        self.shared.open(path)
    }

    /// The paths of all calls in the order in which they have come.
    pub fn record(&self) -> Vec<String> {
        self.shared.record()
    }

    /// How many messages have gone on to the server.
    pub fn messages_to_server(&self, path: &str) -> u64 {
        self.shared.messages(path, Way::Request)
    }

    /// How many messages have gone on to clients.
    pub fn messages_to_client(&self, path: &str) -> u64 {
        self.shared.messages(path, Way::Reply)
    }

    /// Keeps the requests of these calls from now on, for [`kept_requests`](Self::kept_requests).
    pub fn keep_requests(&self, path: &str) {
        self.shared.keep(path);
    }

    /// The messages that have gone on to the server since [`keep_requests`](Self::keep_requests) was
    /// called with the same path, without their prefixes.
    pub fn kept_requests(&self, path: &str) -> Vec<Bytes> {
        self.shared.kept(path)
    }

    /// Lets the server answer the `nth` of the calls that come from now on, where 1 is the next,
    /// and loses the whole answer: the client's connection is closed instead, when the last of the
    /// answer is here. For unary calls.
    ///
    /// # Panics
    ///
    /// When `nth` is 0.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_reply(&self, path: &str, nth: u64) -> ReplySwallow {
        self.swallow_reply_then(Swallow::ThenCut, path, nth)
    }

    /// As [`swallow_reply`](GrpcProxy::swallow_reply), and says what becomes of the connection. With
    /// [`Swallow::ThenSilence`] it is only this call that never ends: all others go on.
    ///
    /// # Panics
    ///
    /// When `nth` is 0, or `then` is for connections alone.
    #[must_use = "a fault that did not land proves nothing: ask the handle"]
    pub fn swallow_reply_then(&self, then: Swallow, path: &str, nth: u64) -> ReplySwallow {
        assert!(nth > 0, "the next call is number 1");
        let known = matches!(then, Swallow::ThenCut | Swallow::ThenSilence);
        assert!(known, "{then:?} is not for gRPC");
        self.shared.add_swallow(SwallowRule::new(path, nth, then))
    }

    /// Holds back what clients send in these calls: new ones, and messages in those that are open.
    /// A unary request whose client has long given up is applied when released, also when the
    /// connection of its client is gone.
    pub fn hold_requests(&self, path: &str) -> CallRule {
        self.shared.add_rule(path, Kind::Hold)
    }

    /// Holds back what the server says in these calls, which has applied what it was asked to. A client
    /// that has long given up hears nothing when it is released.
    pub fn hold_replies(&self, path: &str) -> CallRule {
        self.shared.add_rule(path, Kind::HoldReplies)
    }

    /// Lets nothing pass in either direction of these calls. What is sent meanwhile is kept, as by
    /// [`hold_requests`](GrpcProxy::hold_requests).
    pub fn stall(&self, path: &str) -> CallRule {
        self.shared.add_rule(path, Kind::Stall)
    }

    /// Loses the messages from the server, one by one; the calls stay open, and their beginnings
    /// and ends get through. For streams: a unary call that has lost its message is an error.
    pub fn black_hole_replies(&self, path: &str) -> CallRule {
        self.shared.add_rule(path, Kind::BlackHole)
    }

    /// Lets every message of a client take so long on its way. The order is kept.
    pub fn delay(&self, path: &str, delay: Duration) -> CallRule {
        self.shared.add_rule(path, Kind::Delay(delay))
    }

    /// Answers new calls with this status of gRPC, and lets the server know nothing of them.
    ///
    /// # Panics
    ///
    /// When `message` has other characters than the visible ones of ASCII, spaces apart.
    pub fn fail(&self, path: &str, status: u32, message: &str) -> CallRule {
        self.add_fail(path, None, status, message)
    }

    /// As [`fail`](GrpcProxy::fail), but only the `nth` of the calls to come, where 1 is the next.
    ///
    /// # Panics
    ///
    /// When `nth` is 0, and as [`fail`](GrpcProxy::fail).
    pub fn fail_nth(&self, path: &str, nth: u64, status: u32, message: &str) -> CallRule {
        assert!(nth > 0, "the next call is number 1");
        self.add_fail(path, Some(nth), status, message)
    }

    /// Resets the streams of all these calls that are open, and returns how many they were. To the
    /// client it is an internal error, to the server a cancellation.
    pub fn reset_streams(&self, path: &str) -> usize {
        self.shared.kill(path)
    }

    fn add_fail(&self, path: &str, nth: Option<u64>, status: u32, message: &str) -> CallRule {
        let plain = message.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'%');
        assert!(plain, "this message would have to be escaped: {message:?}");
        let (left, message) = (nth.map(AtomicU64::new), message.to_owned());
        self.shared.add_rule(path, Kind::Fail { left, status, message })
    }
}

impl Drop for GrpcProxy {
    fn drop(&mut self) {
        // Its connections are a part of the task, and end with it.
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    links.spawn(link::run(client, Arc::clone(&shared)));
                }
                // The client is gone already.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = links.join_next() => {}
        }
    }
}
