//! When processes did not run, and when faults were in force.

use std::collections::HashMap;
use std::time::Duration;

use lockcore::{BootInstant, LockName, Rule};

use super::story::Mark;
use crate::history::event::{Event, Expects, Note, What};
use crate::history::{Log, ReadError};

/// The notes of a log, as spans of time.
#[derive(Debug)]
pub(super) struct Times<'a> {
    pauses: HashMap<&'a str, Vec<Span>>,
    kills: HashMap<&'a str, Mark>,
    /// In the order of their beginnings.
    faults: Vec<Fault<'a>>,
    /// When anything of all that was so, in order and without overlaps.
    troubles: Vec<(BootInstant, BootInstant)>,
    /// The last instant of the log.
    pub(super) last: BootInstant,
}

/// A span of time, and the line that began it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begin: Mark,
    pub(super) end: BootInstant,
}

#[derive(Debug)]
struct Fault<'a> {
    span: Span,
    expects: &'a Expects,
    /// The only lock that it is about.
    name: Option<&'a LockName>,
    /// Who noted it, and under which number, while it is in force.
    open: Option<(&'a str, u64)>,
}

impl<'a> Times<'a> {
    pub(super) fn new(log: &'a Log) -> Result<Self, ReadError> {
        let last = BootInstant::from_nanos(0);
        let (pauses, kills) = (HashMap::new(), HashMap::new());
        let (faults, troubles) = (Vec::new(), Vec::new());
        let mut times = Self { pauses, kills, faults, troubles, last };
        let mut notes: Vec<(Mark, &Event, &Note)> = Vec::new();
        for (line, event) in log.events().enumerate() {
            times.last = times.last.max(event.at);
            if let What::Note(note) = &event.what {
                notes.push((Mark { at: event.at, line }, event, note));
            }
        }
        notes.sort_by_key(|(mark, ..)| *mark);
        for (mark, event, note) in notes {
            times.note(mark, &event.by, note).map_err(|problem| log.problem(mark.line, problem))?;
        }
        times.troubles = times.merged();
        Ok(times)
    }

    fn merged(&self) -> Vec<(BootInstant, BootInstant)> {
        let kills = self.kills.values().map(|kill| (kill.at, kill.at));
        let pauses = self.pauses.values().flatten().copied();
        let spans = self.faults().chain(pauses).map(|span| (span.begin.at, span.end));
        let mut spans: Vec<_> = spans.chain(kills).collect();
        spans.sort_unstable();
        let mut merged: Vec<(BootInstant, BootInstant)> = Vec::new();
        for (begin, end) in spans {
            match merged.last_mut().filter(|(_, last)| *last >= begin) {
                Some((_, last)) => *last = end.max(*last),
                None => merged.push((begin, end)),
            }
        }
        merged
    }

    fn note(&mut self, mark: Mark, by: &'a str, note: &'a Note) -> Result<(), String> {
        let open = Span { begin: mark, end: BootInstant::FAR };
        match note {
            Note::Queued { .. } => {}
            Note::Paused { process } => self.pauses.entry(process).or_default().push(open),
            Note::Resumed { process } => {
                let mut pauses = self.pauses.get_mut(&**process).into_iter().flatten().rev();
                match pauses.find(|span| span.end == BootInstant::FAR) {
                    Some(span) => span.end = mark.at,
                    None => return Err(format!("`{process}` was not paused")),
                }
            }
            Note::Killed { process } => {
                if self.kills.insert(process, mark).is_some() {
                    return Err(format!("`{process}` was killed before"));
                }
                let pauses = self.pauses.get_mut(&**process).into_iter().flatten();
                pauses.for_each(|span| span.end = span.end.min(mark.at));
            }
            Note::FaultBegan { fault, expects, .. } => {
                self.faults.push(Fault {
                    span: open,
                    expects,
                    name: None,
                    open: Some((by, *fault)),
                });
            }
            Note::FaultEnded { fault } => {
                match self.faults.iter_mut().find(|found| found.open == Some((by, *fault))) {
                    Some(found) => found.close(mark.at),
                    None => return Err(format!("fault {fault} is not in force")),
                }
            }
            Note::Removed { name, expects } => {
                let span = Span { begin: mark, end: mark.at };
                self.faults.push(Fault { span, expects, name: Some(name), open: None });
            }
            Note::Healed => {
                self.faults.iter_mut().filter(|fault| fault.open.is_some()).for_each(|fault| {
                    fault.close(mark.at);
                });
            }
        }
        Ok(())
    }

    /// When a process was killed.
    pub(super) fn kill(&self, process: &str) -> Option<Mark> {
        self.kills.get(process).copied()
    }

    /// When a process did not run.
    pub(super) fn pauses(&self, process: &str) -> &[Span] {
        self.pauses.get(process).map_or(&[], Vec::as_slice)
    }

    /// When a fault was in force that is not about one lock alone.
    pub(super) fn faults(&self) -> impl Iterator<Item = Span> {
        self.faults.iter().filter(|fault| fault.name.is_none()).map(|fault| fault.span)
    }

    /// The fault that may break one of `rules` for `name`, as documented, in this time.
    pub(super) fn excuse(
        &self,
        rules: &[Rule],
        name: &LockName,
        from: BootInstant,
        to: BootInstant,
    ) -> Option<Mark> {
        let mut faults = self.faults.iter().take_while(|fault| fault.span.begin.at <= to);
        let excuses = |fault: &&Fault<'_>| {
            fault.span.end >= from
                && fault.name.is_none_or(|of| of == name)
                && rules.iter().any(|rule| fault.expects.has(*rule))
        };
        faults.find(excuses).map(|fault| fault.span.begin)
    }

    /// Whether no fault is in force and everybody runs in this time, so that what is sent arrives.
    pub(super) fn is_quiet(&self, from: BootInstant, to: BootInstant) -> bool {
        let after = self.troubles.partition_point(|(_, end)| *end < from);
        self.troubles.get(after).is_none_or(|(begin, _)| *begin > to)
    }

    /// By when at the latest the store has let go of what it last heard of at `at`: so long after
    /// that, or after the end of any fault that was in force meanwhile.
    pub(super) fn let_go(&self, at: BootInstant, after: Duration) -> BootInstant {
        self.faults().filter(|fault| fault.end > at).fold(at.saturating_add(after), |by, fault| {
            if fault.begin.at < by { by.max(fault.end.saturating_add(after)) } else { by }
        })
    }
}

impl Fault<'_> {
    fn close(&mut self, at: BootInstant) {
        self.span.end = at;
        self.open = None;
    }
}

impl Span {
    /// Whether some instant is in both.
    pub(super) fn touches(&self, from: BootInstant, to: BootInstant) -> bool {
        self.begin.at <= to && self.end >= from
    }
}
