//! What can be done to a system of locks.

use std::fmt;

use clap::ValueEnum;
use lockcore::Rule;

/// The stores that are put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Backend {
    /// The store inside one process.
    Local,
    /// One Redis that has every write on its disk.
    Redis,
    /// Three members of etcd.
    Etcd,
    /// Three members of ZooKeeper.
    Zk,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Redis => "redis",
            Self::Etcd => "etcd",
            Self::Zk => "zk",
        })
    }
}

/// A row of the matrix. Each has one form or more, which take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// A holder stands still for two TTLs.
    HolderPaused,
    /// A holder is killed.
    HolderKilled,
    /// Acquisitions are dropped or time out.
    AcquireDropped,
    /// Releases are dropped, or meet a broken link.
    ReleaseFails,
    /// Bytes vanish: of requests, of replies, of both.
    SilentLink,
    /// The store does what it was asked to and the answer is lost.
    ReplySwallowed,
    /// Delay, jitter, single bytes, resets.
    SlowLink,
    /// What a holder renewed is confirmed when it has lost the lock.
    RenewalLate,
    /// No waiter is told of anything.
    NotificationsLost,
    /// A server stands still, for less or more than a TTL.
    ServerPaused,
    /// A server is killed and comes back with its data.
    ServerKilled,
    /// A server comes back without its data.
    DataLost,
    /// An administrator takes away what stands for a holder.
    RecordRemoved,
    /// The server's wall clock jumps by an hour and back.
    ServerClock,
    /// A worker's wall clock jumps by an hour and back.
    ClientClock,
    /// The leader stands still or is cut off, a member is in the minority, links go one by one.
    LeaderCut,
    /// What servers and administrators do to keep house.
    Housekeeping,
    /// The server takes no more.
    ServerFull,
    /// A user loses rights for a while.
    AuthRevoked,
    /// Waiters are killed, the next one among them.
    WaitersKilled,
    /// Thirty-two readers and two writers.
    Storm,
    /// A thousand waiters, or as many as are wanted.
    Crowd,
    /// A holder's runtime is blocked for two TTLs.
    RuntimeBlocked,
}

impl Fault {
    /// Whether this store has it at all.
    pub(crate) fn applies_to(self, backend: Backend) -> bool {
        let has_members = matches!(backend, Backend::Etcd | Backend::Zk);
        match self {
            Self::AcquireDropped
            | Self::ClientClock
            | Self::WaitersKilled
            | Self::Storm
            | Self::Crowd
            | Self::RuntimeBlocked => true,
            Self::DataLost | Self::ServerClock => backend == Backend::Redis,
            Self::LeaderCut => has_members,
            _ => backend != Backend::Local,
        }
    }

    /// What it is in each of its forms, which take turns.
    pub(crate) fn forms(self, backend: Backend) -> &'static [&'static str] {
        match (self, backend) {
            (Self::ReleaseFails, _) => &["dropped", "link cut"],
            (Self::SilentLink, _) => &["both ways", "requests", "replies"],
            (Self::ReplySwallowed, _) => &["acquire", "release", "renew"],
            (Self::RenewalLate, _) => &["by hand", "by itself"],
            (Self::SlowLink, _) => &["delay", "jitter", "single bytes", "reset", "long delay"],
            (Self::ServerKilled | Self::ServerPaused, Backend::Etcd | Backend::Zk) => {
                &["one member", "all members"]
            }
            (Self::ServerPaused, _) => &["less than a TTL", "more than a TTL"],
            (Self::DataLost, _) => &["flush", "restart"],
            (Self::RecordRemoved, Backend::Redis) => &["delete", "expire"],
            (Self::RecordRemoved, Backend::Etcd) => &["delete", "lease revoked"],
            (Self::RecordRemoved, Backend::Zk) => &["delete", "session ended"],
            (Self::LeaderCut, _) => &["paused", "cut off", "minority", "link by link"],
            (Self::Housekeeping, Backend::Redis) => &["script flush", "client pause"],
            (Self::Housekeeping, Backend::Etcd) => &["compact", "defrag"],
            (Self::Housekeeping, _) => &["directory reaped"],
            (Self::WaitersKilled, Backend::Local) => &["dropped"],
            (Self::WaitersKilled, _) => &["the head", "the head and one more"],
            _ => &["-"],
        }
    }

    /// The rules that do not hold meanwhile, as the driver's `Guarantees` and the docs say.
    pub(crate) fn breaks(self) -> &'static [Rule] {
        match self {
            // Whoever takes the record away gives the lock to the next one, while the holder has
            // not yet looked.
            Self::DataLost | Self::RecordRemoved => &[Rule::R1],
            // Redis expires by the wall clock.
            Self::ServerClock => &[Rule::R1, Rule::R7],
            _ => &[],
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("BUG: no variant is skipped");
        f.write_str(value.get_name())
    }
}
