//! Beliefs of one name against each other: the one implementation of **R1** and of **R2** by beliefs.

use std::collections::BTreeSet;

use lockcore::{BootInstant, Mode};

use super::Belief;

/// Two beliefs that cannot both be true, by their places among those that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) how: How,
    pub(super) one: usize,
    pub(super) other: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// **R1** More held at once than may; `other` came last.
    Overlap,
    /// **R2** Two grants have one token.
    SameToken,
    /// **R2** `other`, the later of two grants that exclude each other, has the smaller token.
    TokenFell,
}

/// **R1** Each belief that began beside others that it does not go with, with one of them.
///
/// A belief without length was never believed in; one that begins where another ends does not
/// overlap it.
pub(super) fn overlaps(beliefs: &[Belief]) -> Vec<Clash> {
    let mut order: Vec<_> = (0..beliefs.len()).filter(|&at| has_length(&beliefs[at])).collect();
    order.sort_by_key(|&at| beliefs[at].from);
    let mut held = Held::default();
    let mut clashes = Vec::new();
    for other in order {
        let belief = &beliefs[other];
        held.end(belief.from);
        if let Some(one) = held.excludes(belief.mode) {
            clashes.push(Clash { how: How::Overlap, one, other });
        }
        held.add(belief, other);
    }
    clashes
}

/// **R2** Tokens are unique, and of two grants that exclude each other the later one has the greater.
/// The order among those that share is not seen from their beliefs, nor is that of a grant that
/// nobody believed in.
pub(super) fn tokens(beliefs: &[Belief]) -> Vec<Clash> {
    let mut order: Vec<_> = (0..beliefs.len()).collect();
    order.sort_by_key(|&at| (beliefs[at].token, beliefs[at].from));
    let mut clashes: Vec<_> = order
        .windows(2)
        .filter(|pair| beliefs[pair[0]].token == beliefs[pair[1]].token)
        .map(|pair| Clash { how: How::SameToken, one: pair[0], other: pair[1] })
        .collect();
    // The one that began last, among those with a smaller token.
    let (mut last, mut last_exclusive) = (None, None);
    for one in order {
        let belief = &beliefs[one];
        let is_exclusive = belief.mode == Mode::Exclusive;
        let against: Option<usize> = if is_exclusive { last } else { last_exclusive };
        let is_later = |other: &usize| {
            let other = &beliefs[*other];
            other.from >= belief.to.max(belief.from) && other.token < belief.token
        };
        if let Some(other) = against.filter(is_later) {
            clashes.push(Clash { how: How::TokenFell, one, other });
        }
        if !has_length(belief) {
            continue;
        }
        let began_later = |other: usize| belief.from > beliefs[other].from;
        if last.is_none_or(began_later) {
            last = Some(one);
        }
        if is_exclusive && last_exclusive.is_none_or(began_later) {
            last_exclusive = Some(one);
        }
    }
    clashes
}

fn has_length(belief: &Belief) -> bool {
    belief.from < belief.to
}

/// Who holds at the instant that the sweep is at, by mode, the first to end first.
#[derive(Default)]
struct Held {
    exclusive: BTreeSet<(BootInstant, usize)>,
    shared: BTreeSet<(BootInstant, usize)>,
    /// Of each count, since those of different counts do not go together.
    permits: Vec<(u32, BTreeSet<(BootInstant, usize)>)>,
}

impl Held {
    fn sets(&mut self) -> impl Iterator<Item = &mut BTreeSet<(BootInstant, usize)>> {
        let permits = self.permits.iter_mut().map(|(_, set)| set);
        [&mut self.exclusive, &mut self.shared].into_iter().chain(permits)
    }

    fn end(&mut self, now: BootInstant) {
        for set in self.sets() {
            while set.first().is_some_and(|(to, _)| *to <= now) {
                set.pop_first();
            }
        }
        self.permits.retain(|(_, set)| !set.is_empty());
    }

    /// The one of those with whom `mode` does not go that holds longest.
    fn excludes(&mut self, mode: Mode) -> Option<usize> {
        let is_beside = |count: u32, of: u32, held: usize| count != of || held >= of as usize;
        let permits = self.permits.iter().filter(|(count, set)| match mode {
            Mode::Permit { of } => is_beside(*count, of.get(), set.len()),
            Mode::Exclusive | Mode::Shared => true,
        });
        let exclusive = Some(&self.exclusive);
        let shared = (mode != Mode::Shared).then_some(&self.shared);
        let sets = exclusive.into_iter().chain(shared).chain(permits.map(|(_, set)| set));
        sets.filter_map(|set| set.last()).max().map(|(_, at)| *at)
    }

    fn add(&mut self, belief: &Belief, at: usize) {
        let set = match belief.mode {
            Mode::Exclusive => &mut self.exclusive,
            Mode::Shared => &mut self.shared,
            Mode::Permit { of } => {
                let found = self.permits.iter().position(|(count, _)| *count == of.get());
                let found = found.unwrap_or_else(|| {
                    self.permits.push((of.get(), BTreeSet::new()));
                    self.permits.len() - 1
                });
                &mut self.permits[found].1
            }
        };
        set.insert((belief.to, at));
    }
}
