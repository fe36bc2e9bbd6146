//! **R1** Who holds goes with those who hold. **R2** Tokens tell the order of the grants.

use std::collections::{HashMap, HashSet};

use lockcore::{BootInstant, FencingToken, Mode, Rule};

use super::story::{Grant, Mark};
use super::{Case, Clash};
use crate::history::Belief;
use crate::history::event::Fact;
use crate::history::sweep::{self, How};

impl Case<'_> {
    /// Checks the attempts at one name, of which these are the numbers.
    pub(super) fn check_exclusion(&mut self, of_name: &[usize]) {
        let mut granted: Vec<(usize, Grant, Belief)> = of_name
            .iter()
            .filter_map(|&number| {
                let story = &self.stories[number];
                Some((number, story.grant?, story.belief(&self.times)?))
            })
            .collect();
        let beliefs: Vec<_> = granted.iter().map(|(.., belief)| *belief).collect();
        let clashes = sweep::overlaps(&beliefs).into_iter().chain(sweep::tokens(&beliefs));
        let mut fell = HashSet::new();
        for sweep::Clash { how, one, other } in clashes {
            if how == How::TokenFell {
                fell.insert(granted[one].0);
            }
            let ((first, one, _), (second, other, _)) = (granted[one], granted[other]);
            let (rule, given, what): (_, &[Rule], _) = match how {
                How::Overlap => (Rule::R1, &[], "held at once"),
                How::SameToken => (Rule::R2, &[], "one token twice"),
                // The order of the grants is known because they cannot have been held at once.
                How::TokenFell => (Rule::R2, &[Rule::R1], "the later grant has the smaller token"),
            };
            self.clash_of_two(rule, given, what, (first, one.mark), (second, other.mark));
        }
        self.check_refusals(of_name, &granted);
        // Once is enough.
        granted.retain(|(number, ..)| !fell.contains(number));
        self.check_order_of_tokens(&granted);
        self.check_writes(of_name);
    }

    /// A grant that was returned before another was asked for is the earlier one, in whatever mode.
    fn check_order_of_tokens(&mut self, granted: &[(usize, Grant, Belief)]) {
        let mut by_token: Vec<_> = granted.iter().collect();
        by_token.sort_by_key(|(_, grant, _)| (grant.token, grant.mark));
        // Among those with a smaller token, the one that was asked last.
        let mut last: Option<(usize, Grant)> = None;
        let asked = |case: &Self, number: usize| case.stories[number].asked.at;
        for &(number, grant, _) in by_token {
            if let Some((later, fell)) = last
                && asked(self, later) >= grant.mark.at
                && fell.token < grant.token
            {
                let what = "the later grant has the smaller token";
                let (one, other) = ((number, grant.mark), (later, fell.mark));
                self.clash_of_two(Rule::R2, &[], what, one, other);
            }
            if last.is_none_or(|(later, _)| asked(self, number) > asked(self, later)) {
                last = Some((number, grant));
            }
        }
    }

    /// The resource takes no write with a token below one that it took before.
    fn check_writes(&mut self, of_name: &[usize]) {
        let mut writes: Vec<(u64, FencingToken, Mark, usize)> = Vec::new();
        for &number in of_name {
            for (mark, fact) in &self.stories[number].facts {
                if let Fact::Wrote { token: Some(token), place } = fact {
                    writes.push((*place, *token, *mark, number));
                }
            }
        }
        writes.sort_unstable();
        let mut newest: Option<(u64, FencingToken, Mark, usize)> = None;
        for write in writes {
            let (place, token, mark, number) = write;
            match newest {
                Some((before, _, one, first)) if before == place => {
                    let what = "two writes have one place";
                    self.clash_of_two(Rule::R2, &[], what, (first, one), (number, mark));
                }
                Some((_, greatest, one, first)) if greatest > token => {
                    let what = "a write was taken after one with a greater token";
                    self.clash_of_two(Rule::R2, &[], what, (first, one), (number, mark));
                    continue;
                }
                _ => {}
            }
            newest = Some(write);
        }
    }

    /// Who holds a lock alone has the greatest token: no write of theirs is refused.
    fn check_refusals(&mut self, of_name: &[usize], granted: &[(usize, Grant, Belief)]) {
        let of_token: HashMap<_, _> =
            granted.iter().map(|(number, grant, _)| (grant.token, (*number, grant.mark))).collect();
        let believes = |belief: &Belief, at: BootInstant| belief.from <= at && at < belief.to;
        let mut refused = Vec::new();
        for (number, grant, belief) in granted {
            if self.stories[*number].ask.mode != Mode::Exclusive {
                continue;
            }
            for (mark, fact) in &self.stories[*number].facts {
                if let Fact::Refused { newest, .. } = fact
                    && believes(belief, mark.at)
                {
                    let other =
                        of_token.get(newest).copied().or_else(|| self.writer(of_name, *newest));
                    refused.push((other.unwrap_or((*number, grant.mark)), (*number, *mark)));
                }
            }
        }
        for (one, other) in refused {
            self.clash_of_two(
                Rule::R2,
                &[Rule::R1],
                "a write of the holder was refused",
                one,
                other,
            );
        }
    }

    /// Who wrote first with a token whose grant is in no log.
    fn writer(&self, of_name: &[usize], token: FencingToken) -> Option<(usize, Mark)> {
        let wrote =
            |fact: &Fact| matches!(fact, Fact::Wrote { token: Some(of), .. } if *of == token);
        of_name.iter().find_map(|&number| Some((number, self.stories[number].first(wrote)?)))
    }

    /// Reports two lines of two attempts. A fault since the first of them was asked may have been the
    /// reason.
    pub(super) fn clash_of_two(
        &mut self,
        rule: Rule,
        given: &'static [Rule],
        what: &'static str,
        (first, one): (usize, Mark),
        (second, other): (usize, Mark),
    ) {
        let (first, second) = (&self.stories[first], &self.stories[second]);
        let since = first.asked.at.min(second.asked.at);
        let (name, until) = (&first.ask.name, one.at.max(other.at));
        self.clashes.push(Clash { rule, given, what, one, other, name, since, until });
    }
}
