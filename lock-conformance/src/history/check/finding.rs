//! Two lines that contradict each other, and who wrote them.

use std::collections::HashMap;
use std::fmt;

use lockcore::{BootInstant, LockName, Mode, Rule};

use super::story::Story;
use crate::history::event::{Note, What};
use crate::history::{Log, Place};

/// Two lines of a log that cannot both be true if a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// How it is broken.
    pub what: &'static str,
    /// The lock that both lines are about.
    pub name: LockName,
    /// The line that was true first.
    pub one: Place,
    /// The line that contradicts it.
    pub other: Place,
    /// Whose lines they are, that of `one` first: one attempt or two. A line that is about no attempt,
    /// as that of a fault, adds none.
    pub parties: Vec<Party>,
    /// When the contradiction came about: the instant of the later line.
    pub at: BootInstant,
    /// The line of the fault that may do so.
    pub fault: Option<Place>,
}

/// An attempt that a [`Finding`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The mode that it asked for.
    pub mode: Mode,
    /// The line in which it asked.
    pub asked: Place,
}

impl Finding {
    /// The modes of the parties, each once, as in `exclusive` or `shared and exclusive`.
    #[must_use]
    pub fn modes(&self) -> String {
        let mut modes: Vec<_> = self.parties.iter().map(|party| party.mode.to_string()).collect();
        modes.dedup();
        modes.join(" and ")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}; lock {}, {}", self.rule, self.what, self.name, self.modes())?;
        writeln!(f, "  {}", self.one)?;
        writeln!(f, "  {}", self.other)?;
        for Party { asked, .. } in &self.parties {
            // It may be one of the two lines itself.
            if ![&self.one, &self.other].contains(&asked) {
                writeln!(f, "  asked in {asked}")?;
            }
        }
        match &self.fault {
            Some(fault) => writeln!(f, "  during {fault}"),
            None => Ok(()),
        }
    }
}

/// All attempts of a log.
pub(super) struct Parties<'a> {
    log: &'a Log,
    /// By their process and number.
    stories: HashMap<(&'a str, u64), &'a Story<'a>>,
}

impl<'a> Parties<'a> {
    pub(super) fn new(log: &'a Log, stories: &'a [Story<'a>]) -> Self {
        let key = |story: &'a Story<'a>| Some((attempt(log, story.asked.line)?, story));
        Self { log, stories: stories.iter().filter_map(key).collect() }
    }

    /// Those of these lines.
    pub(super) fn of(&self, lines: [usize; 2]) -> Vec<Party> {
        let mut stories: Vec<_> = lines
            .iter()
            .filter_map(|line| self.stories.get(&attempt(self.log, *line)?).copied())
            .collect();
        stories.dedup_by_key(|story| story.asked);
        let party = |story: &Story<'_>| {
            Some(Party { mode: story.ask.mode, asked: self.log.place(story.asked.line)? })
        };
        stories.into_iter().filter_map(party).collect()
    }
}

/// The process and the number of the attempt that a line is about.
fn attempt(log: &Log, line: usize) -> Option<(&str, u64)> {
    let event = log.event(line)?;
    match &event.what {
        What::Fact { attempt, .. } => Some((&event.by, *attempt)),
        What::Note(Note::Queued { process, attempt }) => Some((process, *attempt)),
        What::Note(_) => None,
    }
}
