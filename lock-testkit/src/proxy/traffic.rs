//! What a protocol makes of the bytes of a link.
//!
//! A further protocol is a variant of [`Protocol`] and a [`Traffic`] of its own.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::resp::RespTraffic;
use super::rule::SwallowRule;

/// The protocol that a proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Bytes,
    Resp,
}

impl Protocol {
    /// For a new link.
    pub(super) fn traffic(self) -> Box<dyn Traffic> {
        match self {
            Self::Bytes => Box::new(ByteTraffic),
            Self::Resp => Box::new(RespTraffic::default()),
        }
    }
}

/// The requests and replies of one link.
pub(super) trait Traffic: Send {
    /// Splits the first whole request off `bytes`.
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>>;

    /// A request goes to the server, and `swallow` wants its reply.
    fn forwarded(&mut self, request: &Request, swallow: Option<Arc<SwallowRule>>);

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
}

pub(super) enum ReplyKind {
    /// Belongs to a request, or confirms a subscription.
    Answer,
    /// Nobody asked for it.
    Notification,
    /// Belongs to a request whose reply is to be lost.
    Swallowed(Arc<SwallowRule>),
}

struct ByteTraffic;

impl Traffic for ByteTraffic {
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>> {
        let frame = bytes.split().freeze();
        Ok((!frame.is_empty()).then(|| Request { frame, words: Vec::new() }))
    }

    fn forwarded(&mut self, _request: &Request, _swallow: Option<Arc<SwallowRule>>) {}

    fn reply(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>> {
        let frame = bytes.split().freeze();
        Ok((!frame.is_empty()).then_some(Reply { frame, kind: ReplyKind::Answer }))
    }
}
