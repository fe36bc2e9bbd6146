//! What is wrong with a proxy's links.

use std::net::SocketAddr;
use std::time::Duration;

/// The faults of all links of a proxy.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) target: SocketAddr,
    pub(super) request: Direction,
    pub(super) reply: Direction,
    pub(super) one_byte_chunks: bool,
    pub(super) refuse: bool,
    pub(super) drop_notifications: bool,
    pub(super) only_pings: bool,
    /// How often the links were to be reset.
    pub(super) resets: u64,
    /// How often the links were to be closed.
    pub(super) closes: u64,
}

impl Faults {
    pub(super) fn none(target: SocketAddr) -> Self {
        Self {
            target,
            request: Direction::default(),
            reply: Direction::default(),
            one_byte_chunks: false,
            refuse: false,
            drop_notifications: false,
            only_pings: false,
            resets: 0,
            closes: 0,
        }
    }

    pub(super) fn of(&self, way: Way) -> &Direction {
        match way {
            Way::Request => &self.request,
            Way::Reply => &self.reply,
        }
    }
}

/// The faults of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Direction {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) stalled: bool,
    pub(super) black_hole: bool,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Reply,
}
