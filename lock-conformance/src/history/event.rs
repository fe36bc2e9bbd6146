//! What a process writes down of what it did and believed.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{
    BootInstant, ErrorKind, FencingToken, LockName, LossCause, Mode, Renewal, Rule, Ttl,
};

/// One event of one process.
///
/// The instant is on the side that makes the event sure: an event that says what is true *from then
/// on, or then*, has an instant before the question was asked or the request was sent
/// ([`Fact::Asked`], [`Fact::Believes`], [`Fact::Renewed`], [`Fact::Releasing`],
/// [`Fact::Dropped`]); every other has an instant after the answer. So what is concluded from
/// instants holds however long the process was kept from going on in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was.
    pub at: BootInstant,
    /// The process that says so, by a name that no other process of the run has.
    pub by: Arc<str>,
    /// What it was.
    pub what: What,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The life of one acquisition.
    Fact {
        /// Its number, unique in its process.
        attempt: u64,
        /// What happened.
        fact: Fact,
    },
    /// What was done to processes, links and stores.
    Note(Note),
}

/// A step in the life of one acquisition, from the request to the end of the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The call is about to be made.
    Asked(Ask),
    /// Somebody who looked at the queue has seen it wait there: the only proof of arrival.
    Queued,
    /// The acquisition returned a grant.
    Granted {
        /// Its token.
        token: FencingToken,
        /// Until when it is believed.
        deadline: BootInstant,
    },
    /// `is_held` said yes.
    Believes {
        /// Until when it is believed, as it was said before that yes.
        deadline: BootInstant,
    },
    /// `is_held` said no.
    Doubts,
    /// A renewal was confirmed.
    Renewed {
        /// The token of the grant after that.
        token: FencingToken,
        /// Until when it is believed after that.
        deadline: BootInstant,
    },
    /// A renewal failed.
    RenewFailed {
        /// How.
        kind: ErrorKind,
    },
    /// The loss was signalled to somebody who waited for nothing else.
    Lost {
        /// How it was lost.
        cause: LossCause,
    },
    /// The resource that the lock protects took a write.
    Wrote {
        /// The token that it came with; none if the resource does not ask for one.
        token: Option<FencingToken>,
        /// Its place among all writes to that resource, as the resource counts them: the later one has
        /// the greater place, and no two have the same.
        place: u64,
    },
    /// The resource refused a write.
    Refused {
        /// The token that it came with.
        token: FencingToken,
        /// The greatest that the resource has seen.
        newest: FencingToken,
    },
    /// The release is about to be called.
    Releasing,
    /// The release was confirmed.
    Released {
        /// The token of the grant that ended.
        token: FencingToken,
    },
    /// The release failed.
    ReleaseFailed {
        /// How.
        kind: ErrorKind,
    },
    /// Somebody was before us, and we did not want to wait.
    Busy,
    /// It took longer than we wanted to wait.
    TimedOut,
    /// The acquisition failed.
    Failed {
        /// How.
        kind: ErrorKind,
    },
    /// The acquisition, or the grant that it returned, is about to be dropped.
    Dropped,
}

impl Fact {
    /// What it is, in one word, as it stands in a log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Asked(_) => "asked",
            Self::Queued => "queued",
            Self::Granted { .. } => "granted",
            Self::Believes { .. } => "believes",
            Self::Doubts => "doubts",
            Self::Renewed { .. } => "renewed",
            Self::RenewFailed { .. } => "renew-failed",
            Self::Lost { .. } => "lost",
            Self::Wrote { .. } => "wrote",
            Self::Refused { .. } => "refused",
            Self::Releasing => "releasing",
            Self::Released { .. } => "released",
            Self::ReleaseFailed { .. } => "release-failed",
            Self::Busy => "busy",
            Self::TimedOut => "timed-out",
            Self::Failed { .. } => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// What an acquisition asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The lock.
    pub name: LockName,
    /// In which company.
    pub mode: Mode,
    /// Whether it waits.
    pub patience: Patience,
    /// The TTL that it asked for.
    pub ttl: Ttl,
    /// Who renews.
    pub renewal: Renewal,
}

/// For how long an acquisition waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For as long as it takes: `lock`.
    Forever,
    /// Not at all: `try_lock`.
    None,
    /// For so long: `try_lock_for`.
    For(Duration),
}

/// What was done to processes, links and stores, and what was seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What [`Fact::Queued`] says, of an attempt of any process.
    Queued {
        /// The process.
        process: Arc<str>,
        /// The number of the attempt in that process.
        attempt: u64,
    },
    /// A process is about to be stopped, or to be kept from running in another way.
    Paused {
        /// The process.
        process: Arc<str>,
    },
    /// It runs again.
    Resumed {
        /// The process.
        process: Arc<str>,
    },
    /// A process was killed: it ran until now at the latest.
    Killed {
        /// The process.
        process: Arc<str>,
    },
    /// A fault is about to begin.
    FaultBegan {
        /// Its number, unique in the process that notes it.
        fault: u64,
        /// What it is, for people.
        label: String,
        /// What may break by it, as the backend documents.
        expects: Expects,
    },
    /// A fault is over, and so is what it left: the store answers everybody again.
    FaultEnded {
        /// Its number.
        fault: u64,
    },
    /// Somebody else is about to take a record out of the store.
    Removed {
        /// The lock that it is of.
        name: LockName,
        /// What may break by it, as the backend documents.
        expects: Expects,
    },
    /// No fault is in force from now on.
    Healed,
}

/// The rules that a fault may break, as the backend documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expects(pub Vec<Rule>);

impl Expects {
    /// None: all rules hold.
    pub const NOTHING: Self = Self(Vec::new());

    /// Whether `rule` is among them.
    #[must_use]
    pub fn has(&self, rule: Rule) -> bool {
        self.0.contains(&rule)
    }
}

impl<const N: usize> From<[Rule; N]> for Expects {
    fn from(rules: [Rule; N]) -> Self {
        Self(rules.into())
    }
}
