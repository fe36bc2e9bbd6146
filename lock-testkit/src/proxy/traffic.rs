//! What a protocol makes of the bytes of a link.
//!
//! A further protocol is a variant of [`Protocol`] and a [`Traffic`] of its own.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::resp::RespTraffic;
use super::rule::{HoldRule, ReplyRule, SwallowRule};
use super::zk::ZkTraffic;

/// The protocol that a proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Bytes,
    Resp,
    Zk,
}

impl Protocol {
    /// For a new link.
    pub(super) fn traffic(self) -> Box<dyn Traffic> {
        match self {
            Self::Bytes => Box::new(ByteTraffic),
            Self::Resp => Box::new(RespTraffic::default()),
            Self::Zk => Box::new(ZkTraffic::default()),
        }
    }

    /// The name of a request, by which it is counted.
    pub(super) fn name(self, words: &[Bytes]) -> Option<String> {
        let name = String::from_utf8_lossy(words.first()?);
        Some(if self == Self::Resp { name.to_ascii_uppercase() } else { name.into_owned() })
    }
}

/// The requests and replies of one link.
pub(super) trait Traffic: Send {
    /// Splits the first whole request off `bytes`.
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>>;

    /// A request goes to the server, and `rule` is about its reply.
    fn forwarded(&mut self, request: &Request, rule: Option<ReplyRule>);

    /// Splits the first whole reply off `bytes`.
    fn reply(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>>;
}

pub(super) struct Request {
    pub(super) frame: Bytes,
    /// What matchers see. Empty where the protocol is not known.
    pub(super) words: Vec<Bytes>,
}

pub(super) struct Reply {
    pub(super) frame: Bytes,
    pub(super) kind: ReplyKind,
    /// For the record. Empty where there is none.
    pub(super) text: String,
}

pub(super) enum ReplyKind {
    /// Belongs to a request, or confirms a subscription.
    Answer,
    /// Nobody asked for it.
    Notification,
    /// Tells that the link is alive, and nothing else.
    Ping,
    /// Belongs to a request whose reply is to be lost.
    Swallowed(Arc<SwallowRule>),
    /// Belongs to a request whose reply has to wait.
    Held(Arc<HoldRule>),
}

impl ReplyKind {
    /// A reply to a request that such a rule is about.
    pub(super) fn of(rule: ReplyRule) -> Self {
        match rule {
            ReplyRule::Swallow(rule) => Self::Swallowed(rule),
            ReplyRule::Hold(rule) => Self::Held(rule),
        }
    }
}

struct ByteTraffic;

impl Traffic for ByteTraffic {
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>> {
        let frame = bytes.split().freeze();
        Ok((!frame.is_empty()).then(|| Request { frame, words: Vec::new() }))
    }

    fn forwarded(&mut self, _request: &Request, _rule: Option<ReplyRule>) {}

    fn reply(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>> {
        let frame = bytes.split().freeze();
        let kind = ReplyKind::Answer;
        Ok((!frame.is_empty()).then(|| Reply { frame, kind, text: String::new() }))
    }
}
