//! What has gone through a proxy, in its order.

use std::fmt;
use std::time::Instant;

/// A frame that a proxy has passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// When the proxy had it, before any delay.
    pub at: Instant,
    /// The number of its connection: the first that has come to the proxy is 0.
    pub connection: usize,
    /// What it is.
    pub kind: FrameKind,
    /// The words of a request, as matchers see them; the name of the request that a reply belongs
    /// to, and the error in it, if there is one, or the session that a `connect` has given; the event and the path of a notification.
    pub text: String,
}

/// What a [`Frame`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameKind {
    /// From the client.
    Request,
    /// From the server, to a request.
    Reply,
    /// From the server, without being asked.
    Notification,
}

impl Frame {
    /// How many round trips these frames of one connection took: how often there was a request
    /// after a reply. Requests that were sent together count once, and pings not at all.
    pub fn round_trips(frames: &[Self]) -> usize {
        let (mut trips, mut waits) = (0, true);
        for frame in frames.iter().filter(|frame| frame.text != "ping") {
            match frame.kind {
                FrameKind::Request => {
                    trips += usize::from(waits);
                    waits = false;
                }
                FrameKind::Reply => waits = true,
                FrameKind::Notification => {}
            }
        }
        trips
    }
}

/// As in `0> create /a EPHEMERAL`, `0< create` and `0! NodeDeleted /a`.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FrameKind::Request => '>',
            FrameKind::Reply => '<',
            FrameKind::Notification => '!',
        };
        write!(f, "{}{kind} {}", self.connection, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_were_sent_together_are_one_round_trip() {
        for (frames, expected) in [
            ("", 0),
            ("> a", 1),
            ("> a|> b|< a|< b", 1),
            ("> a|< a|> b|< b", 2),
            ("> a|> b|< a|> c|< b|< c", 2),
            ("< a|< b|> c", 1),
            ("> a|> ping|< ping|> b|< a|! e|> c", 2),
        ] {
            let frames: Vec<_> =
                frames.split('|').filter(|text| !text.is_empty()).map(frame).collect();
            assert_eq!(Frame::round_trips(&frames), expected, "{frames:?}");
        }
    }

    fn frame(text: &str) -> Frame {
        let (kind, text) = text.split_once(' ').unwrap();
        let kind = match kind {
            ">" => FrameKind::Request,
            "<" => FrameKind::Reply,
            _ => FrameKind::Notification,
        };
        let frame = Frame { at: Instant::now(), connection: 7, kind, text: text.to_owned() };
        assert!(frame.to_string().starts_with('7'));
        frame
    }
}
