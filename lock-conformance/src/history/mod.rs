//! What holders believed, and whether it contradicts itself.
//!
//! A [`History`] is kept in memory, by the tasks of one process. A [`Journal`] is a file, in which one
//! of several processes writes down all that it does and believes; the boot-time clock is common to
//! all processes of a machine, so their instants compare exactly. [`judge`] reads the journals of all and
//! names the lines that contradict each other.
//!

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
    /// When the acquisition returned.
    pub from: BootInstant,
    /// When the release began, the loss was signalled or the deadline came.
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

    /// Looks for a contradiction.
    ///
    /// # Errors
    ///
    /// The first one found.
    pub fn check(&self) -> Result<(), Contradiction> {
        let beliefs = self.beliefs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let clashes = sweep::overlaps(&beliefs).into_iter().chain(sweep::tokens(&beliefs));
        clashes.map(|clash| Contradiction::of(&beliefs, clash)).next().map_or(Ok(()), Err)
    }

    /// Fails the case if there is a contradiction.
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
