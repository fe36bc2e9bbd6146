//! The way of one worker to the store.

use std::time::Duration;

use lock_testkit::grpc::{CallRule, ReplySwallow};
use lock_testkit::{GrpcProxy, HoldHandle, Proxy, SwallowHandle};

/// One proxy for each member of the store; for etcd two, of bytes and of calls behind it.
pub(crate) struct Way {
    pub(crate) bytes: Vec<Proxy>,
    pub(crate) calls: Vec<GrpcProxy>,
    /// Replies of watches that are lost, on the ways that know calls.
    pub(crate) deaf: Vec<CallRule>,
}

impl Way {
    /// Of a store in the worker's own process.
    pub(crate) fn none() -> Self {
        Self { bytes: Vec::new(), calls: Vec::new(), deaf: Vec::new() }
    }

    pub(crate) fn hosts(&self) -> String {
        let hosts = self.bytes.iter().map(|proxy| format!("127.0.0.1:{}", proxy.addr().port()));
        hosts.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn cut(&self) {
        self.bytes.iter().for_each(Proxy::cut);
    }

    pub(crate) fn restore(&self) {
        self.bytes.iter().for_each(Proxy::restore);
    }

    pub(crate) fn black_hole(&self, request: bool, reply: bool) {
        self.bytes.iter().for_each(|proxy| proxy.black_hole(request, reply));
    }

    pub(crate) fn delay(&self, request: Duration, reply: Duration) {
        self.bytes.iter().for_each(|proxy| proxy.delay(request, reply));
    }

    pub(crate) fn jitter(&self, jitter: Duration) {
        self.bytes.iter().for_each(|proxy| proxy.jitter(jitter));
    }

    pub(crate) fn one_byte_chunks(&self, on: bool) {
        self.bytes.iter().for_each(|proxy| proxy.one_byte_chunks(on));
    }

    pub(crate) fn reset(&self) {
        self.bytes.iter().for_each(Proxy::reset);
    }

    /// How many connections the worker has.
    pub(crate) fn connections(&self) -> usize {
        self.bytes.iter().map(Proxy::connections).sum()
    }
}

/// Replies that are held back, of whichever member is asked.
pub(crate) enum Held {
    Frames(Vec<HoldHandle>),
    Calls(Vec<CallRule>),
}

impl Held {
    /// On how many connections one stands still, or how many of calls have had to wait.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Frames(handles) => handles.iter().map(|handle| handle.holding() as u64).sum(),
            Self::Calls(rules) => rules.iter().map(CallRule::hits).sum(),
        }
    }

    /// Lets them go on.
    pub(crate) fn release(self) {}
}

/// A reply that is to be lost, by whichever member is asked.
pub(crate) enum Swallowed {
    Frames(Vec<SwallowHandle>),
    Calls(Vec<ReplySwallow>),
    /// Of a stream: until one was lost.
    Stream(Vec<CallRule>),
}

impl Swallowed {
    pub(crate) fn has_landed(&self) -> bool {
        match self {
            Self::Frames(handles) => handles.iter().any(SwallowHandle::has_landed),
            Self::Calls(handles) => handles.iter().any(ReplySwallow::has_landed),
            Self::Stream(rules) => rules.iter().any(|rule| rule.hits() > 0),
        }
    }

    /// One reply is to be lost, not one of each member.
    pub(crate) fn disarm(self) {
        match self {
            Self::Frames(handles) => handles.iter().for_each(SwallowHandle::disarm),
            Self::Calls(handles) => handles.iter().for_each(ReplySwallow::disarm),
            Self::Stream(rules) => drop(rules),
        }
    }
}
