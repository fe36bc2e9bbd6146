//! RESP on a link: which reply belongs to which command.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};

use super::rule::ReplyRule;
use super::traffic::{Reply, ReplyKind, Request, Traffic};
use crate::resp::{Value, parse, parse_command};

/// Replies come in the order of the commands, with two exceptions: notifications belong to none,
/// and a command that subscribes or unsubscribes has a confirmation for each of its channels.
#[derive(Default)]
pub(super) struct RespTraffic {
    expected: VecDeque<Expected>,
    /// Whether a list may be a notification: under RESP2, once there was a subscription. Under
    /// RESP3 notifications have a kind of their own.
    subscribed: bool,
    resp3: bool,
}

struct Expected {
    frames: usize,
    confirmations: bool,
    rule: Option<ReplyRule>,
}

impl RespTraffic {
    fn kind(&mut self, value: &Value) -> ReplyKind {
        match self.unasked(value) {
            Some(Unasked::Notification) => return ReplyKind::Notification,
            // A server may unsubscribe by itself, so this one may belong to no command.
            Some(Unasked::Confirmation) if !self.confirmation_expected() => {
                return ReplyKind::Answer;
            }
            _ => {}
        }
        let Some(first) = self.expected.front_mut() else { return ReplyKind::Answer };
        // A refused subscription has one error instead of its confirmations.
        first.frames -= if matches!(value, Value::Error(_)) { first.frames } else { 1 };
        let rule = first.rule.clone();
        if first.frames == 0 {
            self.expected.pop_front();
        }
        rule.map_or(ReplyKind::Answer, ReplyKind::of)
    }

    fn unasked(&self, value: &Value) -> Option<Unasked> {
        let members = match value {
            Value::Push(members) => members,
            Value::Array(members) if self.subscribed && !self.resp3 => members,
            _ => return None,
        };
        match members.first().and_then(Value::as_str) {
            Some(name) if is_subscription(name.as_bytes()) => Some(Unasked::Confirmation),
            Some("message" | "pmessage" | "smessage") => Some(Unasked::Notification),
            // The reply to PING in RESP2 is a list too.
            _ => matches!(value, Value::Push(_)).then_some(Unasked::Notification),
        }
    }

    fn confirmation_expected(&self) -> bool {
        self.expected.front().is_some_and(|first| first.confirmations)
    }
}

impl Traffic for RespTraffic {
    fn request(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Request>> {
        while let Some((words, length)) = parse_command(bytes)? {
            let frame = bytes.split_to(length).freeze();
            // The server passes over an empty line without an answer.
            if !words.is_empty() {
                return Ok(Some(Request { frame, words }));
            }
        }
        Ok(None)
    }

    fn forwarded(&mut self, request: &Request, rule: Option<ReplyRule>) {
        let words = &request.words;
        let confirmations = words.first().is_some_and(|name| is_subscription(name));
        let frames = if confirmations { (words.len() - 1).max(1) } else { 1 };
        self.subscribed |= confirmations;
        if is(words.first(), "hello") {
            self.resp3 = is(words.get(1), "3");
        }
        self.expected.push_back(Expected { frames, confirmations, rule });
    }

    fn reply(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>> {
        let Some((value, length)) = parse(bytes)? else { return Ok(None) };
        let frame = bytes.split_to(length).freeze();
        Ok(Some(Reply { frame, kind: self.kind(&value), text: String::new() }))
    }
}

enum Unasked {
    Confirmation,
    Notification,
}

fn is_subscription(name: &[u8]) -> bool {
    SUBSCRIPTIONS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn is(word: Option<&Bytes>, expected: &str) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case(expected.as_bytes()))
}

const SUBSCRIPTIONS: &[&str] =
    &["psubscribe", "punsubscribe", "ssubscribe", "subscribe", "sunsubscribe", "unsubscribe"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::encode;

    #[test]
    fn subscriptions_have_many_names() {
        for name in ["SUBSCRIBE", "sUnsubscribe"] {
            assert!(is_subscription(name.as_bytes()), "{name}");
        }
        for name in ["PUBLISH", "SUBSCRIBERS", "", "message"] {
            assert!(!is_subscription(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn replies_are_told_from_notifications_in_resp2() {
        let mut traffic = RespTraffic::default();
        let sent = "SUBSCRIBE a b|PING|UNSUBSCRIBE|GET k";
        sent.split('|').for_each(|command| send(&mut traffic, command));
        let kinds = kinds(
            &mut traffic,
            "*3\r\n+subscribe\r\n+a\r\n:1\r\n\
             *3\r\n+message\r\n+a\r\n+x\r\n\
             *3\r\n+subscribe\r\n+b\r\n:2\r\n\
             *2\r\n+pong\r\n$0\r\n\r\n\
             *3\r\n+unsubscribe\r\n+a\r\n:1\r\n\
             *3\r\n+unsubscribe\r\n+b\r\n:0\r\n\
             $1\r\nv\r\n",
        );
        assert_eq!(kinds, "answer notification answer answer answer answer answer");
        assert!(traffic.expected.is_empty());
    }

    #[test]
    fn replies_are_told_from_notifications_in_resp3() {
        let mut traffic = RespTraffic::default();
        let sent = "HELLO 3|SUBSCRIBE a|LRANGE k 0 -1|SUBSCRIBE no nay|GET k";
        sent.split('|').for_each(|command| send(&mut traffic, command));
        let kinds = kinds(
            &mut traffic,
            "%1\r\n+server\r\n+redis\r\n\
             >3\r\n+sunsubscribe\r\n+z\r\n:0\r\n\
             >3\r\n+message\r\n+a\r\n+x\r\n\
             *2\r\n+message\r\n+a\r\n\
             -NOPERM\r\n\
             >2\r\n+invalidate\r\n*1\r\n+k\r\n\
             _\r\n",
        );
        // The spontaneous confirmation came while one was expected: nobody can tell them apart.
        assert_eq!(kinds, "answer answer notification answer answer notification answer");
        assert!(traffic.expected.is_empty());
    }

    #[test]
    fn a_subscription_is_confirmed_for_each_channel_or_refused_once() {
        let mut traffic = RespTraffic::default();
        let sent = "SUBSCRIBE a b|SUBSCRIBE x y|SUBSCRIBE c|UNSUBSCRIBE|GET k";
        sent.split('|').for_each(|command| send(&mut traffic, command));
        let replies = [
            ("*3\r\n+subscribe\r\n+a\r\n:1\r\n", 5),
            ("*3\r\n+subscribe\r\n+b\r\n:2\r\n", 4),
            ("-NOPERM\r\n", 3),
            ("*3\r\n+subscribe\r\n+c\r\n:3\r\n", 2),
            ("*3\r\n+unsubscribe\r\n+c\r\n:2\r\n", 1),
            ("*3\r\n+unsubscribe\r\n+b\r\n:1\r\n", 1),
            ("*3\r\n+unsubscribe\r\n+a\r\n:0\r\n", 1),
            ("$1\r\nv\r\n", 0),
        ];
        for (reply, left) in replies {
            assert_eq!(kinds(&mut traffic, reply), "answer");
            assert_eq!(traffic.expected.len(), left, "after {reply:?}");
        }
    }

    fn send(traffic: &mut RespTraffic, command: &str) {
        let words: Vec<_> = command.split(' ').collect();
        let mut bytes = BytesMut::from(&encode(&words)[..]);
        let request = traffic.request(&mut bytes).unwrap().unwrap();
        assert!(bytes.is_empty());
        traffic.forwarded(&request, None);
    }

    fn kinds(traffic: &mut RespTraffic, bytes: &str) -> String {
        let mut bytes = BytesMut::from(bytes);
        let mut kinds = Vec::new();
        while let Some(reply) = traffic.reply(&mut bytes).unwrap() {
            kinds.push(match reply.kind {
                ReplyKind::Answer => "answer",
                ReplyKind::Notification => "notification",
                ReplyKind::Ping | ReplyKind::Swallowed(_) | ReplyKind::Held(_) => "another",
            });
        }
        kinds.join(" ")
    }
}
