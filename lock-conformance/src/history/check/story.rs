//! The events of one attempt, put together.

use std::collections::HashMap;
use std::time::Duration;

use lockcore::{BootInstant, ErrorKind, FencingToken, LossCause};

use super::times::Times;
use crate::history::event::{Ask, Fact, Note, What};
use crate::history::{Belief, Log, ReadError};

/// An event of a log: when it was, and its number in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) at: BootInstant,
    pub(super) line: usize,
}

/// One attempt, from its first event to its last.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) process: &'a str,
    pub(super) ask: &'a Ask,
    pub(super) asked: Mark,
    /// The first proof that it waited.
    pub(super) queued: Option<Mark>,
    pub(super) grant: Option<Grant>,
    /// All that came after, in the order of the instants.
    pub(super) facts: Vec<(Mark, &'a Fact)>,
}

/// A grant, as it was returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) mark: Mark,
    pub(super) token: FencingToken,
    pub(super) deadline: BootInstant,
}

impl<'a> Story<'a> {
    /// The stories of all attempts of a log.
    pub(super) fn all(log: &'a Log) -> Result<Vec<Self>, ReadError> {
        let mut stories: Vec<Self> = Vec::new();
        let mut known: HashMap<&str, HashMap<u64, usize>> = HashMap::new();
        for (line, event) in log.events().enumerate() {
            let What::Fact { attempt, fact } = &event.what else { continue };
            let (mark, by) = (Mark { at: event.at, line }, &*event.by);
            let attempts = known.entry(by).or_default();
            let outcome = match (fact, attempts.get(attempt)) {
                (Fact::Asked(ask), None) => {
                    attempts.insert(*attempt, stories.len());
                    stories.push(Self::new(by, ask, mark));
                    Ok(())
                }
                (Fact::Asked(_), Some(_)) => Err("was asked before"),
                (fact, Some(found)) => stories[*found].add(mark, fact),
                (_, None) => Err("was not asked"),
            };
            outcome.map_err(|problem| log.problem(line, format!("attempt {attempt} {problem}")))?;
        }
        for (line, event) in log.events().enumerate() {
            let What::Note(Note::Queued { process, attempt }) = &event.what else { continue };
            // Somebody else may have an owner label that looks like one of ours.
            let found = known.get(&**process).and_then(|attempts| attempts.get(attempt));
            if let Some(found) = found {
                stories[*found].is_queued(Mark { at: event.at, line });
            }
        }
        for story in &mut stories {
            story.facts.sort_by_key(|(mark, _)| *mark);
        }
        Ok(stories)
    }

    fn new(process: &'a str, ask: &'a Ask, asked: Mark) -> Self {
        Self { process, ask, asked, queued: None, grant: None, facts: Vec::new() }
    }

    fn add(&mut self, mark: Mark, fact: &'a Fact) -> Result<(), &'static str> {
        match (fact, self.grant) {
            (Fact::Queued, _) => self.is_queued(mark),
            (Fact::Granted { token, deadline }, None) => {
                self.grant = Some(Grant { mark, token: *token, deadline: *deadline });
            }
            (Fact::Granted { .. }, Some(_)) => return Err("was granted before"),
            (Fact::Dropped, _)
            | (Fact::Busy | Fact::TimedOut | Fact::Failed { .. }, None)
            | (_, Some(_)) => self.facts.push((mark, fact)),
            (_, None) => return Err("was not granted"),
        }
        Ok(())
    }

    fn is_queued(&mut self, mark: Mark) {
        self.queued = Some(self.queued.map_or(mark, |before| before.min(mark)));
    }

    /// The first event that `picks` picks.
    pub(super) fn first(&self, picks: impl Fn(&Fact) -> bool) -> Option<Mark> {
        self.facts.iter().find(|(_, fact)| picks(fact)).map(|(mark, _)| *mark)
    }

    /// When the holder was first told that it does not hold it any more, other than by its own
    /// release.
    pub(super) fn loss(&self) -> Option<Mark> {
        self.first(|fact| match fact {
            Fact::Doubts | Fact::RenewFailed { kind: ErrorKind::Lost } => true,
            Fact::Lost { cause } => *cause != LossCause::Released,
            _ => false,
        })
    }

    /// From when on it is not held, whatever the reason.
    pub(super) fn end(&self) -> Option<Mark> {
        let is_over = |fact: &Fact| matches!(fact, Fact::Lost { .. } | Fact::Released { .. });
        let over = self.first(|fact| is_over(fact) || matches!(fact, Fact::ReleaseFailed { .. }));
        self.loss().into_iter().chain(over).min()
    }

    /// When it began to give the lock back.
    pub(super) fn departure(&self) -> Option<Mark> {
        self.first(|fact| matches!(fact, Fact::Releasing | Fact::Dropped))
    }

    /// When the wait ended without a grant; `None` if it was granted or did not end.
    pub(super) fn refusal(&self) -> Option<(Mark, &'a Fact)> {
        match self.grant {
            None => self.facts.first().copied(),
            Some(_) => None,
        }
    }

    /// The greatest deadline that was told until `limit`, and where.
    pub(super) fn deadline(&self, limit: BootInstant) -> Option<(BootInstant, Mark)> {
        let grant = self.grant.map(|grant| (grant.deadline, grant.mark));
        let told = self.facts.iter().filter_map(|(mark, fact)| match fact {
            Fact::Believes { deadline } | Fact::Renewed { deadline, .. } => {
                Some((*deadline, *mark))
            }
            _ => None,
        });
        grant.into_iter().chain(told).filter(|(_, mark)| mark.at <= limit).max()
    }

    /// What was surely believed: no instant is in it at which the holder may have been told of a
    /// loss.
    ///
    /// - Released and confirmed: it was held until the release began or the last deadline that was
    ///   told.
    /// - Expired, or its process was killed: until the last deadline that was told.
    /// - Anything else: until it was last asked and said yes.
    pub(super) fn belief(&self, times: &Times<'_>) -> Option<Belief> {
        let Grant { mark, token, deadline } = self.grant?;
        let departure = self.departure().map(|mark| mark.at);
        let end = self.end().map(|mark| mark.at);
        let cap = departure.into_iter().chain(end).min().unwrap_or(BootInstant::FAR);
        let sure = self
            .facts
            .iter()
            .filter(|(mark, _)| mark.at < cap)
            .filter(|(_, fact)| matches!(fact, Fact::Believes { .. } | Fact::Renewed { .. }));
        // The instant of a yes belongs to the belief.
        let sure = sure.map(|(mark, _)| mark.at).chain((mark.at < deadline).then_some(mark.at));
        let sure = sure.max().map_or(mark.at, |at| at.saturating_add(Duration::from_nanos(1)));

        let has = |picks: fn(&Fact) -> bool| self.first(picks).is_some();
        let is_whole = has(|fact| matches!(fact, Fact::Lost { cause: LossCause::Expired }))
            || self.loss().is_none()
                && (has(|fact| matches!(fact, Fact::Released { .. }))
                    || departure.is_none() && times.kill(self.process).is_some());
        let until = self.deadline(cap).filter(|_| is_whole).map_or(sure, |(until, _)| until);
        let to = sure.max(until).min(cap).max(mark.at);
        Some(Belief { mode: self.ask.mode, token, from: mark.at, to })
    }
}
