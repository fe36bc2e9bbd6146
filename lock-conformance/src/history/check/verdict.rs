//! What came out.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use lockcore::{BootInstant, ErrorKind};

use super::finding::{Finding, Parties};
use super::{Case, Clash, Story, Tolerance};
use crate::history::event::Fact;
use crate::history::{Log, Place, ReadError};

/// What the logs of a run say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many events there are.
    pub events: usize,
    /// How many files end with a torn line, which is not among the events.
    pub torn: usize,
    /// How many attempts were made.
    pub attempts: usize,
    /// When each grant was returned, the earliest first.
    pub grants: Vec<BootInstant>,
    /// How often each step came, by its word in the log, as in `granted`: failures with their kind, as in
    /// `failed Unavailable`, and losses with their cause, as in `lost expired`.
    pub outcomes: BTreeMap<String, usize>,
    /// How many outcomes are not known: of acquisitions and releases that say so, that were dropped,
    /// or that did not end.
    pub unknown: usize,
    /// Those among the unknown whose process was not killed and that no fault and no drop explains,
    /// by the last thing that is known of them.
    pub unexplained: Vec<Place>,
    /// What contradicts itself.
    pub contradictions: Vec<Finding>,
    /// What would contradict itself if the backend did not document that a fault that was in force
    /// may do so.
    pub expected: Vec<Finding>,
}

impl Verdict {
    /// Judges a log: **R1** to **R5** and **R7** to **R10**.
    ///
    /// A name that is judged is used by processes of the log alone: a holder that is not in it would
    /// look like a free lock that is granted to nobody.
    ///
    /// # Errors
    ///
    /// When the lines are well written but cannot come from one run: a grant that nobody asked for, a
    /// process that resumes and was not paused.
    pub fn of(log: &Log, tolerance: Tolerance) -> Result<Self, ReadError> {
        let mut case = Case::new(log, tolerance)?;
        case.check();
        let mut verdict = Self { events: log.len(), torn: log.torn(), ..Self::default() };
        let place = |line| log.place(line).expect("BUG: marks are made of the lines of this log");
        for story in &case.stories {
            verdict.count(story);
            if let Some((line, is_explained)) = case.unknown(story) {
                verdict.unknown += 1;
                if !is_explained {
                    verdict.unexplained.push(place(line));
                }
            }
        }
        verdict.grants.sort_unstable();
        let parties = Parties::new(log, &case.stories);
        for clash in &case.clashes {
            let Clash { rule, given, what, one, other, name, since, until } = *clash;
            let rules: Vec<_> = given.iter().copied().chain([rule]).collect();
            let fault = case.times.excuse(&rules, name, since, until);
            let fault = fault.map(|mark| place(mark.line));
            let (parties, at) = (parties.of([one.line, other.line]), one.at.max(other.at));
            let (name, one, other) = (name.clone(), place(one.line), place(other.line));
            let findings = match fault {
                None => &mut verdict.contradictions,
                Some(_) => &mut verdict.expected,
            };
            findings.push(Finding { rule, what, name, one, other, parties, at, fault });
        }
        Ok(verdict)
    }

    /// Whether nothing contradicts itself but what is documented. Where there are no logs, or where nobody
    /// was [seen](super::super::Journal::saw) waiting, little can: look at `events`, `grants` and
    /// `unexplained` as well.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.contradictions.is_empty()
    }

    /// How many grants were returned in this time.
    #[must_use]
    pub fn grants_in(&self, time: Range<BootInstant>) -> usize {
        let before = |limit| self.grants.partition_point(|at| *at < limit);
        before(time.end).saturating_sub(before(time.start))
    }

    fn count(&mut self, story: &Story<'_>) {
        self.attempts += 1;
        let mut add = |outcome| *self.outcomes.entry(outcome).or_default() += 1;
        if let Some(grant) = story.grant {
            self.grants.push(grant.mark.at);
            add("granted".to_owned());
        }
        for (_, fact) in &story.facts {
            let word = fact.as_str();
            add(match fact {
                Fact::RenewFailed { kind }
                | Fact::ReleaseFailed { kind }
                | Fact::Failed { kind } => format!("{word} {kind:?}"),
                Fact::Lost { cause } => format!("{word} {}", cause.as_str()),
                _ => word.to_owned(),
            });
        }
    }
}

impl Case<'_> {
    /// The last line of an attempt of which an outcome is not known, and whether that is explained.
    fn unknown(&self, story: &Story<'_>) -> Option<(usize, bool)> {
        let last = story.facts.last().copied();
        let (mark, is_dropped) = match (story.grant, last) {
            (None, None) => (story.queued.unwrap_or(story.asked), false),
            (None, Some((mark, Fact::Failed { kind: ErrorKind::Indeterminate }))) => (mark, false),
            (_, Some((mark, Fact::Dropped))) => (mark, true),
            (Some(_), Some((mark, Fact::ReleaseFailed { kind: ErrorKind::Indeterminate }))) => {
                (mark, false)
            }
            (Some(_), Some((mark, Fact::Releasing))) => (mark, false),
            (Some(grant), _) if story.end().is_none() => {
                (last.map_or(grant.mark, |(mark, _)| mark), false)
            }
            _ => return None,
        };
        let is_explained = is_dropped
            || self.times.kill(story.process).is_some()
            || !self
                .times
                .is_quiet(story.asked.at, mark.at.saturating_add(self.tolerance.recovery));
        Some((mark.line, is_explained))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, torn, attempts, unknown, .. } = self;
        let (grants, unexplained) = (self.grants.len(), self.unexplained.len());
        writeln!(f, "{events} events of {attempts} attempts, {grants} grants; {torn} torn lines")?;
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {outcome}: {count}")?;
        }
        writeln!(f, "{unknown} outcomes unknown, {unexplained} of them unexplained")?;
        for place in self.unexplained.iter().take(SHOWN) {
            writeln!(f, "  {place}")?;
        }
        for (findings, what) in
            [(&self.expected, "expected"), (&self.contradictions, "not expected")]
        {
            writeln!(f, "{} contradictions that are {what}", findings.len())?;
            for finding in findings.iter().take(SHOWN) {
                write!(f, "{finding}")?;
            }
            if findings.len() > SHOWN {
                writeln!(f, "… and {} more", findings.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// How many of a kind are printed.
const SHOWN: usize = 20;
