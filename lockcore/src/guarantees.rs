//! What a backend promises.

use std::fmt;
use std::ops::RangeInclusive;

use crate::{Error, ErrorKind, Result, Ttl};

/// The sixteen rules of the promise.
///
/// Each has cases of its number in the suite that certifies a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Exclusion: beliefs of two grants of one name, not both shared, never overlap; of a permit,
    /// never more than its count.
    R1 = 1,
    /// Fencing: tokens strictly rise in grant order, are unique, never 0, unchanged by renewal,
    /// across release, expiry and restart.
    R2,
    /// No resurrection: from held to lost or released is one way.
    R3,
    /// Timely loss: signalled by the deadline, which is before the store's expiry, also on a
    /// silent link, with a hung renewal, in a blocked runtime.
    R4,
    /// Own only: release, renewal and clean-up touch nothing but this grant, and a stale one says
    /// so.
    R5,
    /// No orphan: an acquisition that errs, times out or is dropped at any await point leaves
    /// nothing.
    R6,
    /// Recovery: a dead holder's lock is granted within TTL plus the store's slack, never before.
    R7,
    /// No lost wake-up: a free lock with a live waiter is granted even if every notification was
    /// lost.
    R8,
    /// First in, first out; `try_lock` never overtakes a queue; dead waiters are skipped.
    R9,
    /// Writers: nobody waits for a later arrival.
    R10,
    /// Three outcomes: granted, refused, or unknown and being cleaned.
    R11,
    /// Waiter liveness: a waiter whose session died learns within one renewal period.
    R12,
    /// No herd: a release wakes as many as it serves, however many wait.
    R13,
    /// Isolation: no name touches another, nor anything outside the prefix.
    R14,
    /// Bounds: tasks, memory and records are back at base after any number of cycles; waiters are
    /// capped.
    R15,
    /// Silence: contention is no error, an error is no `bool`, and no secret is printed.
    R16,
}

impl Rule {
    /// All rules, in order.
    pub const ALL: [Self; 16] = [
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
        Self::R16,
    ];

    /// The number, 1 to 16.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.number())
    }
}

/// What a backend promises: all rules but those that it excepts, each with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantees {
    backend: &'static str,
    exceptions: Vec<(Rule, &'static str)>,
    ttl: RangeInclusive<Ttl>,
}

impl Guarantees {
    /// All rules, any TTL.
    #[must_use]
    pub const fn all(backend: &'static str) -> Self {
        Self { backend, exceptions: Vec::new(), ttl: Ttl::MIN..=Ttl::MAX }
    }

    /// The same but for `rule`, which does not hold in the case that `reason` describes.
    #[must_use]
    pub fn except(mut self, rule: Rule, reason: &'static str) -> Self {
        self.exceptions.push((rule, reason));
        self
    }

    /// The same with a narrower range of TTLs.
    #[must_use]
    pub fn with_ttl(mut self, ttl: RangeInclusive<Ttl>) -> Self {
        self.ttl = ttl;
        self
    }

    /// The backend's name.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// The rules that do not hold in some case, each with that case.
    #[must_use]
    pub fn exceptions(&self) -> &[(Rule, &'static str)] {
        &self.exceptions
    }

    /// When `rule` does not hold; `None` when it always does.
    #[must_use]
    pub fn exception(&self, rule: Rule) -> Option<&'static str> {
        self.exceptions.iter().find(|(excepted, _)| *excepted == rule).map(|(_, reason)| *reason)
    }

    /// The TTLs that the backend takes.
    #[must_use]
    pub fn ttl(&self) -> &RangeInclusive<Ttl> {
        &self.ttl
    }

    /// Checks that the backend takes this TTL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] that names the range.
    pub fn check_ttl(&self, ttl: Ttl) -> Result<()> {
        if self.ttl.contains(&ttl) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "this backend takes a TTL from {} to {}, not {ttl}",
                self.ttl.start(),
                self.ttl.end()
            ),
        ))
    }
}
