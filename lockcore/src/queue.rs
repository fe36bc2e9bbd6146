//! The one rule who may go.
//!
//! Whoever wants a name stands in one queue, in the order of arrival; holders have not left it yet.
//! Whether somebody may go depends on nothing but those before them, so nobody ever waits for a
//! later arrival, and reader-writer locks and semaphores need no rule of their own.
//!
//! The queue for shared locks is that of the ZooKeeper recipes for shared locks: a reader waits
//! for the writer before it, a writer for whoever is before it.

use std::ops::Range;

use crate::Mode;

/// How many stand before somebody, by mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Those who hold or want it alone.
    pub exclusive: usize,
    /// Those who share or want to.
    pub shared: usize,
    /// Those who have a permit or want one.
    pub permits: usize,
}

impl Ahead {
    /// One more stands there.
    pub fn add(&mut self, mode: Mode) {
        *self.slot(mode) += 1;
    }

    /// One of them has left.
    pub fn remove(&mut self, mode: Mode) {
        let slot = self.slot(mode);
        *slot = slot.saturating_sub(1);
    }

    /// How many they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.exclusive + self.shared + self.permits
    }

    /// Whether nobody is before us.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// **The rule.** Whether somebody with these before them may hold the lock in mode `me`.
    #[must_use]
    pub const fn admits(&self, me: Mode) -> bool {
        match me {
            Mode::Exclusive => self.is_empty(),
            Mode::Shared => self.exclusive == 0 && self.permits == 0,
            Mode::Permit { of } => {
                self.exclusive == 0 && self.shared == 0 && self.permits < of.get() as usize
            }
        }
    }

    fn slot(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::Exclusive => &mut self.exclusive,
            Mode::Shared => &mut self.shared,
            Mode::Permit { .. } => &mut self.permits,
        }
    }
}

/// Whether somebody may go, and if not, for whom to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is their turn.
    Granted,
    /// Not before one of these leaves: a range of places in the queue, as [`turn`] was given it.
    ///
    /// One place for exclusive and shared; as many as there are permits for a permit, because any
    /// of the holders may be the first to leave. Whoever waits for these and asks again after each
    /// event misses nothing, and a departure is watched by at most so many.
    WaitFor(Range<usize>),
}

/// Applies the rule to a queue: `ahead` are the modes of those before `me`, in order.
#[must_use]
pub fn turn(ahead: &[Mode], me: Mode) -> Turn {
    let mut counts = Ahead::default();
    for mode in ahead {
        counts.add(*mode);
    }
    if counts.admits(me) {
        return Turn::Granted;
    }
    let end = match me {
        Mode::Shared => {
            ahead.iter().rposition(|mode| *mode != Mode::Shared).map_or(0, |last| last + 1)
        }
        Mode::Exclusive | Mode::Permit { .. } => ahead.len(),
    };
    let width = match me {
        Mode::Permit { of } => of.get() as usize,
        Mode::Exclusive | Mode::Shared => 1,
    };
    Turn::WaitFor(end.saturating_sub(width)..end)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use Mode::{Exclusive, Shared};

    fn permit(of: u32) -> Mode {
        Mode::Permit { of: NonZeroU32::new(of).unwrap() }
    }

    #[test]
    fn the_story_of_four_clients() {
        assert_eq!(turn(&[], Shared), Turn::Granted);
        assert_eq!(turn(&[Shared], Shared), Turn::Granted);
        assert_eq!(turn(&[Shared, Shared], Exclusive), Turn::WaitFor(1..2));
        assert_eq!(turn(&[Shared, Shared, Exclusive], Shared), Turn::WaitFor(2..3));
        assert_eq!(turn(&[Exclusive, Shared, Shared], Shared), Turn::WaitFor(0..1));
        assert_eq!(turn(&[permit(2)], permit(2)), Turn::Granted);
        assert_eq!(turn(&[permit(2); 2], permit(2)), Turn::WaitFor(0..2));
        assert_eq!(turn(&[permit(2); 5], permit(2)), Turn::WaitFor(3..5));
    }

    fn queue() -> impl Strategy<Value = Vec<Mode>> {
        prop_oneof![
            vec(prop_oneof![Just(Exclusive), Just(Shared)], 0..12),
            (1u32..4, 0usize..12).prop_map(|(of, len)| vec![permit(of); len]),
        ]
    }

    proptest! {
        /// Replays departures: who may go must go, at the latest when the last one before it left,
        /// and while it may not go, the next departure that lets it go is among those it watches.
        #[test]
        fn watching_misses_nothing(mut ahead in queue(), me in 0u8..2, picks in vec(any::<u16>(), 12)) {
            let me = match ahead.first() {
                Some(Mode::Permit { of }) => Mode::Permit { of: *of },
                _ if me == 0 => Exclusive,
                _ => Shared,
            };
            // Places as they were when the watch was set, each still there or gone.
            let mut watched: Option<Vec<bool>> = None;
            for pick in picks {
                match turn(&ahead, me) {
                    Turn::Granted => return Ok(()),
                    Turn::WaitFor(range) => {
                        prop_assert!(!range.is_empty() && range.end <= ahead.len());
                        if watched.is_none() {
                            watched = Some((0..ahead.len()).map(|at| range.contains(&at)).collect());
                        }
                    }
                }
                let leaves = pick as usize % ahead.len();
                ahead.remove(leaves);
                let marks = watched.as_mut().expect("set above");
                let event = marks.remove(leaves);
                if event {
                    watched = None;
                } else {
                    prop_assert_ne!(turn(&ahead, me), Turn::Granted, "granted without an event");
                }
            }
        }

        /// Later arrivals change nothing for those before them: the rule does not even see them.
        /// And whoever goes, goes together only with those that the mode allows.
        #[test]
        fn holders_agree(queue in queue()) {
            let holders: Vec<Mode> = (0..queue.len())
                .filter(|&at| turn(&queue[..at], queue[at]) == Turn::Granted)
                .map(|at| queue[at])
                .collect();
            if queue.is_empty() { return Ok(()); }
            prop_assert!(!holders.is_empty(), "the first may always go");
            match holders[0] {
                Exclusive => prop_assert_eq!(holders.len(), 1),
                Shared => prop_assert!(holders.iter().all(|mode| *mode == Shared)),
                Mode::Permit { of } => prop_assert_eq!(holders.len(), queue.len().min(of.get() as usize)),
            }
        }
    }
}
