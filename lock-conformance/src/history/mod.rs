//! What holders believed, and whether it contradicts itself.
//!
//! A history is what all who use a lock say that they asked for, were granted and believed, each with
//! the instant at which it was so. It needs no look into the store: if two say that they held the same
//! mutex at the same instant, one of them was wrong, whatever the store meant. There are two kinds:
//!
//! - A [`History`] is kept in memory, by the tasks of one process, and knows beliefs alone. It judges
//!   **R1** and **R2** of one name.
//! - A *log* is a file, in which one of several processes writes down all that it does and believes.
//!   [`judge`] reads the logs of all, judges **R1** to **R5** and **R7** to **R10** of all names, and tells
//!   which two lines contradict each other. Killed processes count, for what they
//!   wrote is there; of one whose death nobody [notes](Note::Killed), nothing is claimed after its last
//!   line.
//!
//! All instants are of the boot-time clock ([`BootInstant`], nanoseconds), which all processes of one
//! machine share, so that they compare exactly. Logs of several machines cannot be judged together.
//!
//! # Writing a log
//!
//! Each process makes one [`Journal`], and of that an [`Attempt`] for each acquisition. An attempt
//! writes an [`Event`] a line; in the order of a life these are the [`Fact`]s:
//!
//! | when | method | facts |
//! |---|---|---|
//! | before the call | [`asks`](Attempt::asks) | `asked`, with lock, mode, patience, TTL and renewal |
//! | somebody sees it wait | [`Journal::saw`], by the [`label`](Attempt::label) | `queued` |
//! | the call has returned | [`answered`](Attempt::answered), [`granted`](Attempt::granted) | `granted`, `busy`, `timed-out`, `failed` |
//! | while it is held, and often | [`look`](Attempt::look) | `believes`, `doubts` |
//! | a renewal by hand | [`renew`](Attempt::renew) | `renewed`, `renew-failed` |
//! | the loss is signalled | [`lost`](Attempt::lost) | `lost` |
//! | a write to what the lock protects | [`log`](Attempt::log) | `wrote`, `refused` |
//! | at the end | [`release`](Attempt::release) | `releasing`, `released`, `release-failed` |
//! | before a drop without that | [`log`](Attempt::log) | `dropped` |
//!
//! Three of these are all that exclusion needs: asks, answered, look. Who breaks things, or looks
//! at the queue from outside, has a journal too, and [notes](Journal::note) there which process was
//! killed or paused, and which fault began and ended; each [`Note`] explains what would else look like a
//! bug. How a line is written is in [`line`](mod@line): programs in other languages may write logs.
//!
//! # Judging it
//!
//! When all processes have ended, [`judge`] reads every `.log` of a directory and returns a
//! [`Verdict`]. It claims nothing that is not sure: an outcome that nobody knows may have gone either
//! way, and between its last yes and a loss a holder may have known. So each [`Finding`] among the
//! contradictions is a bug, in the lock or in the program that logs, and who looks seldom is judged little.
//!
//! # Examples
//!
//! Two processes hold one mutex at once. Here one program writes both logs, and no lock is asked; with
//! one, `granted` and `look` take the [`Guard`](lockcore::Guard) or the [`Lease`](lockcore::Lease)
//! and write the same, as in the [documentation of the crate](crate#several-processes-the-log-and-its-checker).
//!
//! ```rust
//! use std::time::Duration;
//!
//! use lock_conformance::history::{Ask, Fact, Journal, Patience, Tolerance, judge};
//! use lockcore::{BootInstant, FencingToken, LockName, Mode, Request, Rule, term};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let request = Request::new(LockName::new("orders/123")?, Mode::Exclusive);
//! let mut holders = Vec::new();
//! for (process, token) in [("first", 1), ("second", 2)] {
//!     // The name of the file is free but for its end; that of the process comes once in a run.
//!     let journal = Journal::create(dir.path().join(format!("{process}.log")), process)?;
//!     let attempt = journal.attempt();
//!     let sent = BootInstant::now();
//!     attempt.asks(Ask::of(&request, Patience::Forever));
//!     // The store is broken: it grants the lock to both.
//!     let token = FencingToken::new(token).ok_or("0 is no token")?;
//!     let deadline = term::deadline(sent, request.ttl());
//!     attempt.log(Fact::Granted { token, deadline });
//!     holders.push((attempt, token, deadline));
//! }
//! for (attempt, token, deadline) in holders {
//!     attempt.log(Fact::Believes { deadline });
//!     attempt.log(Fact::Releasing);
//!     attempt.log(Fact::Released { token });
//! }
//!
//! let second = Duration::from_secs(1);
//! let verdict = judge(dir.path(), Tolerance { signal: second, recovery: second })?;
//! let [found] = verdict.contradictions.as_slice() else { panic!("{verdict}") };
//! assert_eq!((found.rule, found.what), (Rule::R1, "held at once"));
//! assert_eq!((found.name.as_str(), found.modes().as_str()), ("orders/123", "exclusive"));
//! // The lines in which both were granted it.
//! assert!(found.one.file.ends_with("first.log") && found.one.line == 2);
//! assert!(found.other.file.ends_with("second.log") && found.other.text.contains("token=2"));
//! println!("{found}"); // both lines, and those in which they had asked
//! # Ok(())
//! # }
//! ```

mod check;
mod event;
mod journal;
pub mod line;
mod log;
mod sweep;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use lockcore::{BootInstant, FencingToken, Mode};

pub use check::{Finding, Party, Tolerance, Verdict, judge};
pub use event::{Ask, Event, Expects, Fact, Note, Patience, What};
pub use journal::{Attempt, Hold, Journal};
pub use log::{Log, Place, ReadError};

use sweep::{Clash, How};

/// The beliefs of all holders of one name in one process, from whatever task they were noted.
#[derive(Debug, Default)]
pub struct History {
    beliefs: Mutex<Vec<Belief>>,
}

/// One grant, as its holder believed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Its mode.
    pub mode: Mode,
    /// Its token.
    pub token: FencingToken,
    /// When the acquisition returned: it was believed from then on.
    pub from: BootInstant,
    /// When the release began, the loss was signalled or the deadline came, whichever was first: it was
    /// believed until just before. A belief that ends when it begins was none.
    pub to: BootInstant,
}

/// Two beliefs that cannot both be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// **R1** More held at once than may.
    Overlap(Belief, Belief),
    /// **R2** Two grants have one token.
    SameToken(Belief, Belief),
    /// **R2** The later of two grants that exclude each other has the smaller token.
    TokenFell(Belief, Belief),
}

impl History {
    /// Nobody believes anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a belief that has ended.
    pub fn note(&self, belief: Belief) {
        self.beliefs.lock().unwrap_or_else(PoisonError::into_inner).push(belief);
    }

    /// How many beliefs were noted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.beliefs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks for a contradiction among all that was noted so far: a belief that is not yet noted is not
    /// judged.
    ///
    /// # Errors
    ///
    /// The first one found, of **R1** before **R2**.
    pub fn check(&self) -> Result<(), Contradiction> {
        let beliefs = self.beliefs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let clashes = sweep::overlaps(&beliefs).into_iter().chain(sweep::tokens(&beliefs));
        clashes.map(|clash| Contradiction::of(&beliefs, clash)).next().map_or(Ok(()), Err)
    }

    /// Fails the test if there is a contradiction.
    ///
    /// # Panics
    ///
    /// With the two beliefs that contradict each other.
    pub fn assert_sound(&self) {
        if let Err(contradiction) = self.check() {
            panic!("{contradiction}");
        }
    }
}

impl Contradiction {
    fn of(beliefs: &[Belief], Clash { how, one, other }: Clash) -> Self {
        let (one, other) = (beliefs[one], beliefs[other]);
        match how {
            How::Overlap => Self::Overlap(one, other),
            How::SameToken => Self::SameToken(one, other),
            How::TokenFell => Self::TokenFell(one, other),
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, one, other) = match self {
            Self::Overlap(one, other) => ("R1: held at once", one, other),
            Self::SameToken(one, other) => ("R2: one token twice", one, other),
            Self::TokenFell(one, other) => ("R2: the token fell", one, other),
        };
        writeln!(f, "{rule}")?;
        for belief in [one, other] {
            writeln!(
                f,
                "  {} token {} from {:?} to {:?}",
                belief.mode, belief.token, belief.from, belief.to
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn belief(mode: Mode, token: u64, from: u64, to: u64) -> Belief {
        Belief {
            mode,
            token: FencingToken::new(token).unwrap(),
            from: BootInstant::from_nanos(from),
            to: BootInstant::from_nanos(to),
        }
    }

    fn check(beliefs: &[Belief]) -> Result<(), Contradiction> {
        let history = History::new();
        beliefs.iter().for_each(|belief| history.note(*belief));
        history.check()
    }

    #[test]
    fn sound_histories_pass() {
        use Mode::{Exclusive, Shared};
        let sound = [
            belief(Exclusive, 1, 0, 10),
            belief(Shared, 3, 10, 30),
            belief(Shared, 2, 12, 20),
            belief(Exclusive, 4, 30, 31),
            belief(Shared, 6, 31, 32),
            belief(Shared, 5, 33, 34),
        ];
        assert_eq!(check(&sound), Ok(()));
        let two = Mode::Permit { of: NonZeroU32::new(2).unwrap() };
        assert_eq!(
            check(&[belief(two, 1, 0, 9), belief(two, 2, 1, 5), belief(two, 3, 5, 9)]),
            Ok(())
        );
    }

    #[test]
    fn contradictions_are_found() {
        use Mode::{Exclusive, Shared};
        let (first, second) = (belief(Exclusive, 1, 0, 10), belief(Shared, 2, 9, 12));
        assert_eq!(check(&[second, first]), Err(Contradiction::Overlap(first, second)));

        let two = Mode::Permit { of: NonZeroU32::new(2).unwrap() };
        let three = [belief(two, 1, 0, 9), belief(two, 2, 1, 9), belief(two, 3, 2, 9)];
        assert!(matches!(check(&three), Err(Contradiction::Overlap(..))));
        for beside in [Exclusive, Shared, Mode::Permit { of: NonZeroU32::new(3).unwrap() }] {
            let two = [belief(two, 1, 0, 9), belief(beside, 2, 1, 9)];
            assert_eq!(check(&two), Err(Contradiction::Overlap(two[0], two[1])));
        }

        let (one, other) = (belief(Exclusive, 7, 0, 1), belief(Exclusive, 7, 2, 3));
        assert_eq!(check(&[one, other]), Err(Contradiction::SameToken(one, other)));

        let (one, other) = (belief(Exclusive, 8, 0, 1), belief(Exclusive, 7, 2, 3));
        assert!(matches!(check(&[one, other]), Err(Contradiction::TokenFell(..))));
        let reader = belief(Shared, 9, 0, 1);
        assert!(matches!(
            check(&[reader, belief(Shared, 1, 0, 9), other]),
            Err(Contradiction::Overlap(..) | Contradiction::TokenFell(..))
        ));
    }
}
