//! **R7** What the dead hold becomes free. **R8** What is free goes to who waits.

use std::time::Duration;

use lockcore::{BootInstant, ErrorKind, Rule};

use super::story::{Mark, Story};
use super::times::Span;
use super::{Case, Clash};
use crate::history::event::Fact;

/// A time in which the lock may be held, or in which nothing is claimed.
#[derive(Clone, Copy)]
struct Taken {
    from: BootInstant,
    to: BootInstant,
    /// What let it end.
    ended: Mark,
    /// Whether it ended because a holder was dead.
    by_death: bool,
}

/// A time in which nobody can hold the lock.
struct Free {
    since: Taken,
    until: BootInstant,
}

impl Case<'_> {
    /// Checks the attempts at one name, of which these are the numbers.
    pub(super) fn check_recovery(&mut self, of_name: &[usize]) {
        let mut taken = Vec::new();
        for &number in of_name {
            let story = &self.stories[number];
            taken.extend(self.taken(story));
            taken.extend(self.stalls(story));
        }
        // Before the first request nobody held it.
        let first = of_name.iter().map(|&number| self.stories[number].asked).min();
        let no_death =
            |begin: Mark, to| Taken { from: begin.at, to, ended: begin, by_death: false };
        taken.extend(first.map(|first| no_death(first, first.at)));
        taken.extend(self.times.faults().map(|fault| no_death(fault.begin, fault.end)));
        let free = self.free(taken);
        for &number in of_name {
            let Some((queued, until)) = self.waited(&self.stories[number]) else { continue };
            let first = free.partition_point(|free| free.until <= queued.at);
            for Free { since, until: end } in &free[first..] {
                if since.to >= until {
                    break;
                }
                let (from, to) = (since.to.max(queued.at), until.min(*end));
                if to.saturating_since(from) <= self.tolerance.recovery {
                    continue;
                }
                let (rule, what) = if since.by_death {
                    (Rule::R7, "the lock of a dead holder is granted to nobody")
                } else {
                    (Rule::R8, "a free lock is granted to nobody")
                };
                let name = &self.stories[number].ask.name;
                let (one, other, until) = (since.ended, queued, to);
                let since = one.at.min(from);
                self.clashes.push(Clash { rule, given: &[], what, one, other, name, since, until });
                break;
            }
        }
    }

    /// While an attempt surely waits, from the proof of it to the end of the wait.
    fn waited(&self, story: &Story<'_>) -> Option<(Mark, BootInstant)> {
        let end = match (story.grant, story.refusal(), self.times.kill(story.process)) {
            (Some(grant), ..) => grant.mark.at,
            (None, Some((mark, _)), _) | (None, None, Some(mark)) => mark.at,
            (None, None, None) => self.times.last,
        };
        Some((story.queued?, end))
    }

    /// While an attempt may hold the lock in the store, though it does not know it.
    fn taken(&self, story: &Story<'_>) -> Option<Taken> {
        let ttl = story.ask.ttl.as_duration();
        let late = self.tolerance.recovery;
        let kill = self.times.kill(story.process);
        let Some(grant) = story.grant else {
            // What it left behind. A waiter that is dead may be granted the lock at the end of its
            // TTL, for one more.
            let (ended, by_death) = match (story.refusal(), kill) {
                (Some((_, Fact::Busy)), _) | (None, None) => return None,
                (Some((mark, _)), _) => (mark, false),
                (None, Some(mark)) => (mark, true),
            };
            let to = self.left_behind(ended.at, ttl * 2);
            return Some(Taken { from: ended.at.saturating_sub(late), to, ended, by_death });
        };
        let from = grant.mark.at;
        let mut ends: Vec<Taken> = Vec::new();
        let mut end = |ended: Mark, to, by_death| ends.push(Taken { from, to, ended, by_death });
        for (mark, fact) in &story.facts {
            match fact {
                Fact::Released { .. } | Fact::ReleaseFailed { kind: ErrorKind::NotHeld } => {
                    end(*mark, mark.at, false);
                }
                Fact::Dropped => end(*mark, self.left_behind(mark.at, ttl), false),
                Fact::ReleaseFailed { .. } | Fact::Lost { .. } | Fact::Doubts => {
                    end(*mark, self.times.let_go(mark.at, ttl + late), false);
                }
                _ => {}
            }
        }
        if let Some(kill) = kill {
            end(kill, self.times.let_go(kill.at, ttl + late), true);
        }
        for pause in self.times.pauses(story.process).iter().filter(|pause| pause.begin.at >= from)
        {
            let to = self.times.let_go(pause.begin.at, ttl + late);
            // One that comes back in time goes on.
            if pause.end > to {
                end(pause.begin, to, true);
            }
        }
        let forever = Taken { from, to: BootInstant::FAR, ended: grant.mark, by_death: false };
        Some(ends.into_iter().min_by_key(|taken| taken.to).unwrap_or(forever))
    }

    /// Until when what was given up at `at` may stand in the store: gone in a moment where
    /// everything works, else with its TTL.
    fn left_behind(&self, at: BootInstant, ttl: Duration) -> BootInstant {
        let late = self.tolerance.recovery;
        if self.times.is_quiet(at.saturating_sub(late), at.saturating_add(late)) {
            at.saturating_add(late)
        } else {
            self.times.let_go(at, ttl + late)
        }
    }

    /// While a waiter does not run it may be granted the lock without saying so.
    fn stalls(&self, story: &Story<'_>) -> Vec<Taken> {
        let end = match (story.grant, story.refusal()) {
            (Some(grant), _) => grant.mark.at,
            (None, Some((mark, _))) => mark.at,
            (None, None) => BootInstant::FAR,
        };
        let pauses = self.times.pauses(story.process).iter();
        let stalls = pauses.filter(|pause| pause.touches(story.asked.at, end));
        let taken = |pause: &Span| Taken {
            from: pause.begin.at,
            to: pause.end,
            ended: pause.begin,
            by_death: false,
        };
        stalls.map(taken).collect()
    }

    /// The times between all of these that are long enough to be noticed.
    fn free(&self, mut taken: Vec<Taken>) -> Vec<Free> {
        taken.sort_by_key(|taken| taken.from);
        let Some(mut since) = taken.first().copied() else { return Vec::new() };
        let mut free = Vec::new();
        let last = Taken { from: self.times.last, to: self.times.last, ..since };
        for next in taken.into_iter().chain([last]) {
            if next.from.saturating_since(since.to) > self.tolerance.recovery {
                free.push(Free { since, until: next.from });
            }
            if next.to > since.to {
                since = next;
            }
        }
        free
    }
}
