//! What a backend promises.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

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
    ttl_step: Duration,
}

impl Guarantees {
    /// All rules, any TTL.
    #[must_use]
    pub const fn all(backend: &'static str) -> Self {
        Self { backend, exceptions: Vec::new(), ttl: Ttl::MIN..=Ttl::MAX, ttl_step: Duration::ZERO }
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

    /// The same for TTLs that are multiples of `step` alone, because the store counts in these.
    #[must_use]
    pub fn with_ttl_step(mut self, step: Duration) -> Self {
        self.ttl_step = step;
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

    /// What TTLs are multiples of; zero if the backend takes any.
    #[must_use]
    pub fn ttl_step(&self) -> Duration {
        self.ttl_step
    }

    /// Checks that the backend takes this TTL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] that names the range, or the nearest TTLs that it takes.
    pub fn check_ttl(&self, ttl: Ttl) -> Result<()> {
        let invalid = |message| Err(Error::new(ErrorKind::InvalidConfig, message));
        let (least, most) = (self.ttl.start(), self.ttl.end());
        if !self.ttl.contains(&ttl) {
            return invalid(format!("this backend takes a TTL from {least} to {most}, not {ttl}"));
        }
        let over = ttl.as_duration().as_nanos().checked_rem(self.ttl_step.as_nanos());
        match over {
            None | Some(0) => Ok(()),
            Some(over) => {
                let step = self.ttl_step;
                let over = Duration::from_nanos(over.try_into().unwrap_or(u64::MAX));
                let below = ttl.as_duration().saturating_sub(over);
                invalid(format!(
                    "this backend counts a TTL in steps of {step:?}: instead of {ttl} say {below:?} \
                     or {:?}",
                    below + step
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_that_is_refused_is_told_which_are_taken() {
        let ttl = |millis| Ttl::new(Duration::from_millis(millis)).unwrap();
        let any = Guarantees::all("store");
        assert!(any.check_ttl(ttl(1_234)).is_ok());
        let whole = any.with_ttl(ttl(2_000)..=Ttl::MAX).with_ttl_step(Duration::from_secs(1));
        assert!(whole.check_ttl(ttl(2_000)).is_ok() && whole.check_ttl(Ttl::MAX).is_ok());
        let refused = whole.check_ttl(ttl(2_500)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
        assert!(refused.message().contains("2s or 3s"), "{refused}");
        let refused = whole.check_ttl(ttl(1_000)).unwrap_err();
        assert!(refused.message().contains("from 2s"), "{refused}");
    }
}
