//! ZooKeeper's protocol on a link: which reply belongs to which request.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes, BytesMut};

use super::jute::{CONNECT, Reader, connect_words, event_text, request_words};
use super::rule::ReplyRule;
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
    rule: Option<ReplyRule>,
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

    fn forwarded(&mut self, request: &Request, rule: Option<ReplyRule>) {
        if self.letters {
            return;
        }
        let name = request.words.first().cloned().unwrap_or_default();
        let handshake = name == CONNECT;
        let xid = Reader::new(&request.frame[PREFIX..]).int().filter(|_| !handshake);
        self.expected.push_back(Expected { xid, name, rule });
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
            let (kind, text) = self.answer(None, 0);
            (kind, format!("{text} {:#x}", connected(&frame[PREFIX..]).unwrap_or_default()))
        };
        Ok(Some(Reply { frame, kind, text }))
    }
}

impl ZkTraffic {
    fn kind(&mut self, body: &[u8]) -> Option<(ReplyKind, String)> {
        let mut reader = Reader::new(body);
        let (xid, _zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
        if xid == NOTIFICATION {
            return Some((ReplyKind::Notification, event_text(&mut reader)));
        }
        Some(self.answer(Some(xid), error))
    }

    fn answer(&mut self, xid: Option<i32>, error: i32) -> (ReplyKind, String) {
        let first = self.expected.iter().position(|expected| expected.xid == xid);
        let expected = first.and_then(|first| self.expected.remove(first));
        let (name, rule) = match expected {
            Some(Expected { name, rule, .. }) => (name, rule),
            // The client will know what to make of it.
            None => (Bytes::from_static(b"?"), None),
        };
        let name = String::from_utf8_lossy(&name);
        let text = if error == 0 { name.into_owned() } else { format!("{name} {error}") };
        let kind = match rule {
            Some(rule) => ReplyKind::of(rule),
            None if xid == Some(PING) => ReplyKind::Ping,
            None => ReplyKind::Answer,
        };
        (kind, text)
    }
}

/// The session that the answer to a handshake gives; 0 if that has expired.
fn connected(body: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(body);
    let (_version, _timeout) = (reader.int()?, reader.int()?);
    reader.long()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_belong_to_the_first_request_of_their_number() {
        let mut traffic = ZkTraffic::default();
        let sent: [(i32, i32); 6] = [(1, 1), (PING, 11), (2, 9), (PING, 11), (-4, 100), (-8, 101)];
        send(&mut traffic, &[0; 44]);
        for (xid, code) in sent {
            send(&mut traffic, &[xid.to_be_bytes(), code.to_be_bytes()].concat());
        }
        assert_eq!(reply(&mut traffic, &[0; 36]), "answer connect 0x0");
        // That to `auth` overtakes.
        for (xid, error, expected) in [
            (-4, 0, "answer auth"),
            (NOTIFICATION, 0, "notification ?"),
            (1, -110, "answer create -110"),
            (PING, 0, "ping ping"),
            (2, 0, "answer sync"),
            (PING, 0, "ping ping"),
            (-8, 0, "answer setWatches"),
            (9, 0, "answer ?"),
        ] {
            let header = [&i32::to_be_bytes(xid)[..], &[0; 8], &i32::to_be_bytes(error)].concat();
            assert_eq!(reply(&mut traffic, &header), expected);
        }
        assert!(traffic.expected.is_empty());
    }

    #[test]
    fn a_frame_is_whole_or_waits_or_is_none() {
        let mut bytes = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(split_frame(&mut bytes).unwrap(), None);
        bytes.extend_from_slice(&[8, 0, 0]);
        assert_eq!(split_frame(&mut bytes).unwrap().unwrap(), [0, 0, 0, 2, 7, 8][..]);
        assert_eq!(split_frame(&mut bytes).unwrap(), None);
        for (length, fits) in [(LONGEST, true), (LONGEST + 1, false), (u32::MAX as usize, false)] {
            let length = u32::try_from(length).unwrap().to_be_bytes();
            assert_eq!(split_frame(&mut BytesMut::from(&length[..])).is_ok(), fits, "{length:?}");
        }
    }

    fn send(traffic: &mut ZkTraffic, body: &[u8]) {
        let request = traffic.request(&mut frame(body)).unwrap().unwrap();
        traffic.forwarded(&request, None);
    }

    fn reply(traffic: &mut ZkTraffic, body: &[u8]) -> String {
        let reply = traffic.reply(&mut frame(body)).unwrap().unwrap();
        let kind = match reply.kind {
            ReplyKind::Answer => "answer",
            ReplyKind::Notification => "notification",
            ReplyKind::Ping => "ping",
            ReplyKind::Swallowed(_) => "swallowed",
            ReplyKind::Held(_) => "held",
        };
        format!("{kind} {}", reply.text)
    }

    fn frame(body: &[u8]) -> BytesMut {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        BytesMut::from(&[&length[..], body].concat()[..])
    }
}
