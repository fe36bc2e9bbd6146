//! **R3** Once over, for ever over. **R4** A loss is told in time. **R5** A stale release says so.

use lockcore::{BootInstant, Renewal, Rule};

use super::Case;
use super::story::{Grant, Mark};
use crate::history::event::Fact;

impl Case<'_> {
    /// Checks what one holder says against itself.
    pub(super) fn check_validity(&mut self, number: usize) {
        let Some(grant) = self.stories[number].grant else { return };
        let mut found = Vec::new();
        self.resurrection(number, &mut found);
        self.deadlines(number, grant, &mut found);
        self.late_signal(number, grant, &mut found);
        self.releases(number, grant, &mut found);
        for (rule, what, one, other) in found {
            self.clash(number, rule, what, one, other);
        }
    }

    fn resurrection(&self, number: usize, found: &mut Vec<Found>) {
        let story = &self.stories[number];
        let Some(end) = story.end() else { return };
        let risen = |(mark, fact): &&(Mark, &Fact)| {
            mark.at >= end.at && matches!(fact, Fact::Believes { .. } | Fact::Renewed { .. })
        };
        if let Some((mark, _)) = story.facts.iter().find(risen) {
            found.push((Rule::R3, "held again after its end", end, *mark));
        }
    }

    fn deadlines(&self, number: usize, grant: Grant, found: &mut Vec<Found>) {
        let story = &self.stories[number];
        // Where nobody expires anything, there is no deadline.
        let longest = match story.ask.renewal {
            Renewal::AutoUntil(most) => story.ask.ttl.belief().max(most),
            Renewal::Auto | Renewal::Never => story.ask.ttl.belief(),
        };
        let latest = grant.mark.at.saturating_add(longest);
        if grant.deadline > latest && grant.deadline != BootInstant::FAR {
            let what = "believed for longer than the TTL allows";
            found.push((Rule::R4, what, story.asked, grant.mark));
        }
        let renews = |fact: &Fact| matches!(fact, Fact::Renewed { .. } | Fact::RenewFailed { .. });
        // Until its TTL is over the deadline of such a hold may rise, as it can be in a session that is
        // renewed for others.
        let is_fixed = story.ask.renewal == Renewal::Never && story.first(renews).is_none();
        // Where the deadline was told last.
        let mut told = grant.mark;
        for (mark, fact) in &story.facts {
            match fact {
                Fact::Believes { deadline } => {
                    if mark.at >= *deadline {
                        found.push((Rule::R4, "held at its deadline", told, *mark));
                    } else if is_fixed && *deadline > latest.max(grant.deadline) {
                        let what = "the deadline moved beyond the TTL though nobody renewed";
                        found.push((Rule::R4, what, grant.mark, *mark));
                    }
                    told = *mark;
                }
                Fact::Renewed { token, .. } => {
                    if *token != grant.token {
                        found.push((Rule::R2, "a renewal changed the token", grant.mark, *mark));
                    }
                    told = *mark;
                }
                _ => {}
            }
        }
    }

    /// The loss is signalled by the deadline where that is known: the library moves it on silently
    /// when it renews by itself.
    fn late_signal(&self, number: usize, grant: Grant, found: &mut Vec<Found>) {
        let story = &self.stories[number];
        let Some(lost) = story.first(|fact| matches!(fact, Fact::Lost { .. })) else { return };
        let (limit, told) = match story.ask.renewal {
            Renewal::Auto => return,
            Renewal::AutoUntil(most) => (grant.mark.at.saturating_add(most), grant.mark),
            Renewal::Never => story.deadline(lost.at).unwrap_or((grant.deadline, grant.mark)),
        };
        if story.departure().is_some_and(|departure| departure.at <= limit) {
            return;
        }
        let by = self.times.pauses(story.process).iter().fold(limit, |by, pause| {
            let is_kept = pause.begin.at <= by.saturating_add(self.tolerance.signal);
            if is_kept { by.max(pause.end) } else { by }
        });
        if lost.at > by.saturating_add(self.tolerance.signal) {
            found.push((Rule::R4, "the loss was signalled late", told, lost));
        }
    }

    fn releases(&self, number: usize, grant: Grant, found: &mut Vec<Found>) {
        let story = &self.stories[number];
        let loss = story.loss();
        let (mut releasing, mut released): (Option<Mark>, Option<Mark>) = (None, None);
        for (mark, fact) in &story.facts {
            match fact {
                Fact::Releasing => releasing = Some(*mark),
                Fact::Released { token } => {
                    let began = releasing.unwrap_or(*mark);
                    if *token != grant.token {
                        let what = "the release of another grant was confirmed";
                        found.push((Rule::R5, what, grant.mark, *mark));
                    } else if let Some(before) = released {
                        found.push((Rule::R5, "a second release was confirmed", before, *mark));
                    } else if let Some(loss) = loss.filter(|loss| loss.at <= began.at) {
                        let what = "the release of a lost lock was confirmed";
                        found.push((Rule::R5, what, loss, *mark));
                    }
                    released = released.or(Some(*mark));
                }
                _ => {}
            }
        }
    }
}

type Found = (Rule, &'static str, Mark, Mark);
