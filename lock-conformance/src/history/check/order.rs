//! **R9** First come, first served. **R10** Nobody waits for a later arrival.

use std::collections::BTreeMap;

use lockcore::{BootInstant, Mode, Rule};

use super::Case;
use super::story::{Mark, Story};
use crate::history::event::{Fact, Patience};

/// One that surely waited, and was surely not granted the lock before `until`.
struct Waits {
    number: usize,
    queued: Mark,
    until: BootInstant,
}

/// One that was granted the lock.
struct Goes {
    number: usize,
    asked: BootInstant,
    granted: Mark,
}

impl Case<'_> {
    /// Checks the attempts at one name, of which these are the numbers.
    pub(super) fn check_order(&mut self, of_name: &[usize]) {
        let modes: [(Picks, Picks); 3] = [
            (|mode| mode == Mode::Exclusive, |_| true),
            (|mode| mode == Mode::Shared, |before| before == Mode::Exclusive),
            (|mode| matches!(mode, Mode::Permit { .. }), |_| true),
        ];
        for (goes, waits) in modes {
            let case = &*self;
            let of_mode = |picks: Picks| {
                of_name.iter().copied().filter(move |&at| picks(case.stories[at].ask.mode))
            };
            let surely: Vec<_> = of_mode(waits).filter_map(|at| case.waits_surely(at)).collect();
            let likely: Vec<_> = of_mode(waits).filter_map(|at| case.waits_likely(at)).collect();
            let believed = of_mode(goes).filter_map(|at| case.goes(at, true)).collect();
            let granted = of_mode(goes).filter_map(|at| case.goes(at, false)).collect();
            let mut pairs: BTreeMap<_, _> = overtaken(likely, granted).into_iter().collect();
            pairs.extend(overtaken(surely, believed));
            for (other, one) in pairs {
                self.overtakes(one, other);
            }
        }
    }

    /// Of two grants that exclude each other and that were both believed in, the one that was
    /// returned later is the later one. Whoever loses a place is told, so this one waited at the same
    /// all the time.
    fn waits_surely(&self, number: usize) -> Option<Waits> {
        let story = &self.stories[number];
        let excludes = !matches!(story.ask.mode, Mode::Permit { .. });
        let grant = story.grant.filter(|grant| excludes && grant.mark.at < grant.deadline)?;
        Some(Waits { number, queued: story.queued?, until: grant.mark.at })
    }

    /// A grant that others do not exclude is told within the time of a recovery; so long before,
    /// whoever wanted it still waited, if nothing kept it from running or hearing.
    fn waits_likely(&self, number: usize) -> Option<Waits> {
        let story = &self.stories[number];
        let queued = story.queued?;
        let end = match (story.grant, story.refusal()) {
            (Some(grant), _) => grant.mark.at,
            (None, Some((mark, Fact::TimedOut | Fact::Dropped))) => mark.at,
            _ => return None,
        };
        let until = end.saturating_sub(self.tolerance.recovery);
        self.times.is_quiet(story.asked.at, end).then_some(Waits { number, queued, until })
    }

    fn goes(&self, number: usize, is_believed: bool) -> Option<Goes> {
        let Story { asked, grant, .. } = &self.stories[number];
        let grant = grant.filter(|grant| !is_believed || grant.mark.at < grant.deadline)?;
        Some(Goes { number, asked: asked.at, granted: grant.mark })
    }

    fn overtakes(&mut self, one: usize, other: usize) {
        let (first, second) = (&self.stories[one], &self.stories[other]);
        let (Some(queued), Some(grant)) = (first.queued, second.grant) else { return };
        let (rule, what) = match (first.ask.mode, second.ask.mode, second.ask.patience) {
            (Mode::Exclusive, Mode::Shared, _) => {
                (Rule::R10, "a later reader went before a writer that waited")
            }
            (.., Patience::None) => (Rule::R9, "a try went before one that waited"),
            _ => (Rule::R9, "a later one went before one that waited"),
        };
        self.clash_of_two(rule, &[], what, (one, queued), (other, grant.mark));
    }
}

/// Each that was granted the lock while some waited that were there before it asked, with the first
/// of these.
fn overtaken(mut waits: Vec<Waits>, mut goes: Vec<Goes>) -> Vec<(usize, usize)> {
    waits.sort_by_key(|waits| waits.until);
    goes.sort_by_key(|goes| goes.granted);
    let mut first: Option<Waits> = None;
    let mut pairs = Vec::new();
    // From the last grant back, so that those who still wait become more.
    for goes in goes.into_iter().rev() {
        while let Some(more) = waits.pop_if(|waits| waits.until > goes.granted.at) {
            if first.as_ref().is_none_or(|first| more.queued < first.queued) {
                first = Some(more);
            }
        }
        if let Some(first) = first.as_ref().filter(|first| first.queued.at < goes.asked) {
            pairs.push((goes.number, first.number));
        }
    }
    pairs
}

/// Picks modes.
type Picks = fn(Mode) -> bool;
