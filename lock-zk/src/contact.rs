//! Since when a session is surely known to those who decide about its end. Pure: the instants are
//! given.
//!
//! The leader ends sessions, and it hears of one only by what the member in between passes on with the
//! next ping, every half tick. So an answer proves nothing about the request that it answers: the
//! member may be cut off before it passes that on. What it proves, if a quorum had to agree to it, is
//! that the connection to the leader was well until then, and so that what was sent well *before* has
//! been passed on. Pings are half a tick apart, and a session is two ticks long at the least.
//!
//! A new connection is proof by itself: the leader is asked about the session when it is made.

use std::collections::VecDeque;
use std::time::Duration;

use lockcore::{BootInstant, Ttl};

/// When a session was heard of.
#[derive(Debug)]
pub(crate) struct Contact {
    /// What was sent so long before is passed on.
    gap: Duration,
    proven: BootInstant,
    /// When requests were sent that were answered, and are not too close to each other.
    answered: VecDeque<BootInstant>,
    /// When the last request was sent whose connection broke, and when that was known.
    broken: Option<(BootInstant, BootInstant)>,
}

impl Contact {
    /// A session that was asked for at `opened`, and opened: the leader knows it since then.
    pub(crate) fn new(opened: BootInstant, ttl: Ttl) -> Self {
        let period = ttl.renewal_period();
        Self { gap: period - period / 8, proven: opened, answered: VecDeque::new(), broken: None }
    }

    /// A write that was sent at `sent` was agreed to.
    pub(crate) fn answered(&mut self, sent: BootInstant) {
        if let Some((before, known)) = self.broken
            && known <= sent
        {
            // This answer has come by another connection.
            self.proven = self.proven.max(before);
            self.broken = None;
        }
        let settled = sent.saturating_sub(self.gap);
        while let Some(earliest) = self.answered.front().copied()
            && earliest <= settled
        {
            self.proven = self.proven.max(earliest);
            self.answered.pop_front();
        }
        let is_apart = |last: &BootInstant| last.saturating_add(self.gap / 8) <= sent;
        if self.answered.back().is_none_or(is_apart) {
            self.answered.push_back(sent);
        }
    }

    /// The connection broke by which a request was sent at `sent`.
    pub(crate) fn broke(&mut self, sent: BootInstant, now: BootInstant) {
        let sent = self.broken.map_or(sent, |(before, _)| before.max(sent));
        self.broken = Some((sent, now));
    }

    /// Since when the leader surely knows it.
    pub(crate) fn proven(&self) -> BootInstant {
        self.proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    /// A TTL of 2,400 ms: a period of 800, of which 700 are enough.
    fn contact() -> Contact {
        Contact::new(at(10_000), Ttl::new(Duration::from_millis(2_400)).unwrap())
    }

    #[test]
    fn an_answer_proves_the_request_before_it() {
        let mut contact = contact();
        contact.answered(at(10_800));
        assert_eq!(contact.proven(), at(10_000));
        contact.answered(at(11_500));
        assert_eq!(contact.proven(), at(10_800));
        contact.answered(at(11_600));
        assert_eq!(contact.proven(), at(10_800), "too close to the one before");
        contact.answered(at(12_400));
        assert_eq!(contact.proven(), at(11_600));
    }

    #[test]
    fn a_new_connection_is_proof() {
        let mut contact = contact();
        contact.broke(at(10_800), at(11_000));
        contact.answered(at(10_900));
        assert_eq!(contact.proven(), at(10_000), "it may have come by the old one");
        contact.answered(at(11_001));
        assert_eq!(contact.proven(), at(10_800));
        contact.answered(at(11_002));
        assert_eq!(contact.proven(), at(10_800));
    }

    #[test]
    fn proof_is_never_taken_back_and_never_ahead() {
        let mut contact = contact();
        let mut last = contact.proven();
        for millis in (10_000..30_000).step_by(7) {
            contact.answered(at(millis));
            assert!(
                contact.proven() >= last && contact.proven() <= at(millis - 700).max(at(10_000))
            );
            last = contact.proven();
            assert!(contact.answered.len() <= 10);
        }
        assert!(last >= at(30_000 - 700 - 100 - 7), "{last:?}");
    }
}
