//! Whether the logs of a run contradict each other.

mod exclusion;
mod finding;
mod order;
mod recovery;
mod story;
mod times;
mod validity;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lockcore::{BootInstant, LockName, Rule};

use super::log::{Log, ReadError};
use story::{Mark, Story};
use times::Times;

pub use finding::{Finding, Party};
pub use verdict::Verdict;

/// What is no contradiction yet, where a rule gives time.
///
/// **R1**, **R2**, **R3** and **R5** give none. Too small a tolerance makes false alarms on a slow machine,
/// too great a one hides what is late by less; nothing else depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// **R4** How late the signal of a loss may be after the deadline: the runtime's timer, some hundred
    /// milliseconds where cores are busy.
    pub signal: Duration,
    /// **R7**, **R8** How late the store, this machine and the engine's pace may be in granting what
    /// is free, beyond the TTL: seconds, for a store that looks for expired sessions now and then. **R9**
    /// How much later than another's a grant may be told of.
    pub recovery: Duration,
}

/// Reads the `.log` files in a directory, and judges them together. For when all who write them have
/// ended: of one that goes on the rest is missing, and looks unknown.
///
/// # Errors
///
/// As [`Log::read`] and [`Verdict::of`].
pub fn judge(dir: impl AsRef<Path>, tolerance: Tolerance) -> Result<Verdict, ReadError> {
    Verdict::of(&Log::read(dir)?, tolerance)
}

/// A run, as the rules look at it.
struct Case<'a> {
    stories: Vec<Story<'a>>,
    times: Times<'a>,
    tolerance: Tolerance,
    clashes: Vec<Clash<'a>>,
}

/// Two lines of a log that cannot both be true.
#[derive(Clone, Debug)]
struct Clash<'a> {
    rule: Rule,
    /// Rules that it takes for granted: where one of them may break, so may this.
    given: &'static [Rule],
    what: &'static str,
    one: Mark,
    other: Mark,
    name: &'a LockName,
    /// Since when a fault may have been the reason.
    since: BootInstant,
    /// Until when.
    until: BootInstant,
}

impl<'a> Case<'a> {
    fn new(log: &'a Log, tolerance: Tolerance) -> Result<Self, ReadError> {
        let (stories, times) = (Story::all(log)?, Times::new(log)?);
        Ok(Self { stories, times, tolerance, clashes: Vec::new() })
    }

    fn check(&mut self) {
        for number in 0..self.stories.len() {
            self.check_validity(number);
        }
        let mut names: BTreeMap<&LockName, Vec<usize>> = BTreeMap::new();
        for (number, story) in self.stories.iter().enumerate() {
            names.entry(&story.ask.name).or_default().push(number);
        }
        for of_name in names.values() {
            self.check_exclusion(of_name);
            self.check_order(of_name);
            self.check_recovery(of_name);
        }
    }

    /// Reports two lines that cannot both be true. A fault between the request of `story` and the
    /// later of them may have been the reason.
    fn clash(&mut self, story: usize, rule: Rule, what: &'static str, one: Mark, other: Mark) {
        let Story { ask, asked, .. } = &self.stories[story];
        let (since, until) = (asked.at, one.at.max(other.at));
        let name = &ask.name;
        self.clashes.push(Clash { rule, given: &[], what, one, other, name, since, until });
    }
}
