//! What can be wrong with the link of a client.

use lock_testkit::Proxy;

/// What is wrong with a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Both ways are silent, and what was sent meanwhile comes later.
    Cut,
    StallRequests,
    StallReplies,
    /// Both ways lose what is sent.
    BlackHole,
    LoseRequests,
    LoseReplies,
    /// Connections are reset, and new ones closed at once.
    Refuse,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::Cut,
        Self::StallRequests,
        Self::StallReplies,
        Self::BlackHole,
        Self::LoseRequests,
        Self::LoseReplies,
        Self::Refuse,
    ];

    pub(crate) fn begins(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut(),
            Self::StallRequests => proxy.stall(true, false),
            Self::StallReplies => proxy.stall(false, true),
            Self::BlackHole => proxy.black_hole(true, true),
            Self::LoseRequests => proxy.black_hole(true, false),
            Self::LoseReplies => proxy.black_hole(false, true),
            Self::Refuse => {
                proxy.refuse(true);
                proxy.reset();
            }
        }
    }

    pub(crate) fn ends(self, proxy: &Proxy) {
        match self {
            Self::Cut | Self::StallRequests | Self::StallReplies => proxy.restore(),
            Self::BlackHole | Self::LoseRequests | Self::LoseReplies => {
                proxy.black_hole(false, false);
            }
            Self::Refuse => proxy.refuse(false),
        }
    }
}
