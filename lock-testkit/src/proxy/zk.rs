//! ZooKeeper's protocol on a link: which reply belongs to which request.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::jute::{CONNECT, Reader, connect_words, event_words, request_words};
use super::rule::SwallowRule;
use super::traffic::{Reply, ReplyKind, Request, Traffic};

/// The first frame each way is that of the handshake, which has no header. Replies come in the
/// order of their requests, save those to `auth` and `sasl`, which may overtake; so a reply belongs
/// to the first request of its number. Notifications have a number of their own.
#[derive(Default)]
pub(super) struct ZkTraffic {
    opened: bool,
    answered: bool,
    /// Whether this is a command of four letters, such as `ruok`, whose answer has no frames.
    letters: bool,
    expected: VecDeque<Expected>,
}

struct Expected {
    /// None for the handshake.
    xid: Option<i32>,
    name: Bytes,
    swallow: Option<Arc<SwallowRule>>,
}

impl Traffic for ZkTraffic {
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>> {
        if !self.opened && is_letters(bytes) {
            self.letters = true;
        }
        if self.letters {
            let frame = bytes.split().freeze();
            let words = if self.opened { Vec::new() } else { vec![frame.clone()] };
            self.opened = true;
            return Ok((!frame.is_empty()).then_some(Request { frame, words }));
        }
        let Some(frame) = split_frame(bytes)? else { return Ok(None) };
        let body = &frame[PREFIX..];
        let words = if self.opened {
            request_words(body).ok_or_else(|| strange("a request is cut off"))?
        } else {
            self.opened = true;
            connect_words(body)
        };
        Ok(Some(Request { frame, words }))
    }

    fn forwarded(&mut self, request: &Request, swallow: Option<Arc<SwallowRule>>) {
        if self.letters {
            return;
        }
        let name = request.words.first().cloned().unwrap_or_default();
        let handshake = name == CONNECT;
        let xid = Reader::new(&request.frame[PREFIX..]).int().filter(|_| !handshake);
        self.expected.push_back(Expected { xid, name, swallow });
    }

    fn reply(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>> {
        if self.letters {
            let frame = bytes.split().freeze();
            let kind = ReplyKind::Answer;
            return Ok((!frame.is_empty()).then(|| Reply { frame, kind, text: String::new() }));
        }
        let Some(frame) = split_frame(bytes)? else { return Ok(None) };
        let (kind, text) = if self.answered {
            self.kind(&frame[PREFIX..]).ok_or_else(|| strange("a reply is cut off"))?
        } else {
            self.answered = true;
            self.answer(None, 0)
        };
        Ok(Some(Reply { frame, kind, text }))
    }
}

impl ZkTraffic {
    fn kind(&mut self, body: &[u8]) -> Option<(ReplyKind, String)> {
        let mut reader = Reader::new(body);
        let (xid, _zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
        if xid == NOTIFICATION {
            return Some((ReplyKind::Notification, event_words(&mut reader)));
        }
        Some(self.answer(Some(xid), error))
    }

    fn answer(&mut self, xid: Option<i32>, error: i32) -> (ReplyKind, String) {
        let first = self.expected.iter().position(|expected| expected.xid == xid);
        let expected = first.and_then(|first| self.expected.remove(first));
        let (name, swallow) = match expected {
            Some(Expected { name, swallow, .. }) => (name, swallow),
            // The client will know what to make of it.
            None => (Bytes::from_static(b"?"), None),
        };
        let name = String::from_utf8_lossy(&name);
        let text = if error == 0 { name.into_owned() } else { format!("{name} {error}") };
        let kind = match swallow {
            Some(rule) => ReplyKind::Swallowed(rule),
            None if xid == Some(PING) => ReplyKind::Ping,
            None => ReplyKind::Answer,
        };
        (kind, text)
    }
}

/// Splits the first whole frame off, with its length.
fn split_frame(bytes: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(mut prefix) = bytes.get(..PREFIX) else { return Ok(None) };
    let length = usize::try_from(prefix.get_i32()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| strange("no length of a frame"))? + PREFIX;
    Ok((bytes.len() >= length).then(|| bytes.split_to(length).freeze()))
}

/// No length of a frame looks like this: it would be of more than a gigabyte.
fn is_letters(bytes: &BytesMut) -> bool {
    bytes.get(..PREFIX).is_some_and(|letters| letters.iter().all(u8::is_ascii_lowercase))
}

fn strange(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

const PREFIX: usize = 4;
/// Servers take a megabyte by default; an answer may be longer, for it lists children.
const LONGEST: usize = 64 << 20;
const NOTIFICATION: i32 = -1;
const PING: i32 = -2;
