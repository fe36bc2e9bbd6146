//! For how long a grant is valid. Pure: the arithmetic takes `now`, and nothing here does I/O.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::clock::sleep_until;
use crate::rt::{AtomicU64, Notify};
use crate::{BootInstant, LossCause, Ttl};

/// Until when a grant is believed whose request was sent at `sent`.
///
/// `sent` is an instant *before* the first byte was written: the store starts to count when the
/// request arrives, which is later, so the belief ends before the store's.
#[must_use]
pub fn deadline(sent: BootInstant, ttl: Ttl) -> BootInstant {
    sent.saturating_add(ttl.belief())
}

/// Until when a grant is believed that was asked for at `sent` and may be held for `max_hold`.
#[must_use]
pub fn hold_limit(sent: BootInstant, max_hold: Duration, ttl: Ttl) -> BootInstant {
    sent.saturating_add(max_hold.saturating_sub(ttl.margin()))
}

/// The validity of a grant, or of all grants of one session: a deadline that only moves on, and an
/// end that is final.
///
/// One atomic word holds either the deadline or the cause of the end. Whoever first sees that the
/// deadline has passed writes the end, so a renewal that was confirmed too late finds it and
/// changes nothing: what was said to be lost stays lost.
#[derive(Debug)]
pub struct Term {
    state: AtomicU64,
    on_deadline: LossCause,
    ended: Notify,
}

impl Term {
    /// Valid until `deadline`.
    #[must_use]
    pub const fn new(deadline: BootInstant) -> Self {
        Self::with_cause(deadline, LossCause::Expired)
    }

    /// Valid until `deadline`, after which it counts as lost by `on_deadline`.
    #[must_use]
    pub const fn with_cause(deadline: BootInstant, on_deadline: LossCause) -> Self {
        let state = AtomicU64::new(encode(deadline));
        Self { state, on_deadline, ended: Notify::const_new() }
    }

    /// How it ended, as seen at `now`; `None` while it is valid.
    pub fn end_at(&self, now: BootInstant) -> Option<LossCause> {
        loop {
            let state = self.state.load(SeqCst);
            match decode(state) {
                Err(cause) => return Some(cause),
                Ok(deadline) if now < deadline => return None,
                Ok(_) => {
                    // Lost to a renewal that came in between: look again.
                    if self.replace(state, self.on_deadline) {
                        return Some(self.on_deadline);
                    }
                }
            }
        }
    }

    /// Whether it is valid at `now`.
    pub fn is_valid_at(&self, now: BootInstant) -> bool {
        self.end_at(now).is_none()
    }

    /// The deadline; of an ended term, the boot.
    #[must_use]
    pub fn deadline(&self) -> BootInstant {
        decode(self.state.load(SeqCst)).unwrap_or(BootInstant::from_nanos(0))
    }

    /// Moves the deadline to `to` if that is later and the term is valid at `now`.
    ///
    /// # Errors
    ///
    /// How it ended, when it did: then nothing changes.
    pub fn extend(&self, to: BootInstant, now: BootInstant) -> Result<(), LossCause> {
        loop {
            if let Some(cause) = self.end_at(now) {
                return Err(cause);
            }
            let state = self.state.load(SeqCst);
            match decode(state) {
                Ok(deadline) if deadline >= to => return Ok(()),
                Ok(_) => {
                    if self.state.compare_exchange(state, encode(to), SeqCst, SeqCst).is_ok() {
                        return Ok(());
                    }
                }
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Ends it by `cause`; false when it had ended before.
    pub fn end(&self, cause: LossCause) -> bool {
        loop {
            let state = self.state.load(SeqCst);
            if decode(state).is_err() {
                return false;
            }
            if self.replace(state, cause) {
                return true;
            }
        }
    }

    /// Waits for the end and says how it came. Needs no answer of a store: at the deadline it is
    /// over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn ended(&self) -> LossCause {
        loop {
            let notified = self.ended.notified();
            if let Some(cause) = self.end_at(BootInstant::now()) {
                return cause;
            }
            let deadline = self.deadline();
            if deadline == BootInstant::FAR {
                notified.await;
                continue;
            }
            tokio::select! {
                biased;
                () = notified => {}
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn replace(&self, state: u64, cause: LossCause) -> bool {
        let replaced = self.state.compare_exchange(state, code(cause), SeqCst, SeqCst).is_ok();
        if replaced {
            self.ended.notify_waiters();
        }
        replaced
    }
}

const fn encode(deadline: BootInstant) -> u64 {
    let nanos = deadline.as_nanos();
    // The first nanoseconds after boot stand for the ends.
    if nanos < FIRST_INSTANT { FIRST_INSTANT } else { nanos }
}

const fn decode(state: u64) -> Result<BootInstant, LossCause> {
    Err(match state {
        0 => LossCause::Expired,
        1 => LossCause::MaxHold,
        2 => LossCause::Released,
        3 => LossCause::Revoked,
        4 => LossCause::SessionEnded,
        5 => LossCause::Shutdown,
        deadline => return Ok(BootInstant::from_nanos(deadline)),
    })
}

const fn code(cause: LossCause) -> u64 {
    match cause {
        LossCause::Expired => 0,
        LossCause::MaxHold => 1,
        LossCause::Released => 2,
        LossCause::Revoked => 3,
        LossCause::SessionEnded => 4,
        LossCause::Shutdown => 5,
    }
}

const FIRST_INSTANT: u64 = 6;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> BootInstant {
        BootInstant::from_nanos(nanos)
    }

    #[test]
    fn deadline_counts_from_the_request() {
        let ttl = Ttl::new(Duration::from_secs(1)).unwrap();
        assert_eq!(deadline(at(5), ttl), at(940_000_005));
    }

    #[test]
    fn every_cause_survives_its_code() {
        for code_of in 0..FIRST_INSTANT {
            let cause = decode(code_of).unwrap_err();
            assert_eq!(code(cause), code_of);
            let term = Term::new(at(100));
            assert!(term.end(cause) && !term.end(LossCause::Expired));
            assert_eq!(term.end_at(at(0)), Some(cause));
        }
    }

    #[test]
    fn a_late_renewal_revives_nothing() {
        let term = Term::new(at(100));
        assert_eq!(term.extend(at(200), at(50)), Ok(()));
        assert_eq!(term.extend(at(150), at(60)), Ok(()), "never moves back");
        assert_eq!(term.deadline(), at(200));
        assert!(!term.is_valid_at(at(200)), "the deadline itself is too late");
        assert_eq!(term.extend(at(900), at(199)), Err(LossCause::Expired));
        assert_eq!(term.end_at(at(1)), Some(LossCause::Expired));
    }

    proptest! {
        /// Whatever happens in whatever order, "not valid" is never followed by "valid".
        #[test]
        fn one_way(steps in vec((0u8..3, 1u64..1_000, 1u64..1_000), 1..60)) {
            let term = Term::new(at(500));
            let mut lost = false;
            for (step, now, to) in steps {
                match step {
                    0 => lost |= !term.is_valid_at(at(now)),
                    1 => lost |= term.extend(at(to), at(now)).is_err(),
                    _ if now % 20 == 0 => lost |= term.end(LossCause::Revoked),
                    _ => {}
                }
                if lost {
                    prop_assert!(!term.is_valid_at(at(0)));
                }
            }
        }
    }

    #[tokio::test]
    async fn the_end_is_signalled() {
        let soon = BootInstant::now().saturating_add(Duration::from_millis(20));
        assert_eq!(Term::with_cause(soon, LossCause::MaxHold).ended().await, LossCause::MaxHold);

        let term = Term::new(BootInstant::FAR);
        let (cause, _) = tokio::join!(term.ended(), async { term.end(LossCause::Revoked) });
        assert_eq!(cause, LossCause::Revoked);
    }
}
