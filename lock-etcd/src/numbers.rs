//! Which keys of a name a session uses.

use std::collections::{BTreeSet, HashMap};

/// The numbers of a session's keys, by name.
///
/// A key that was surely taken out is used again. etcd keeps every key that ever was until it is
/// compacted, which by default is never, and passes all of a name when it is asked who stands there:
/// with a new key for each acquisition a name would become slower with each.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    names: HashMap<Box<str>, Used>,
}

/// Those of one name: all below `next` but those that are free.
#[derive(Debug, Default)]
struct Used {
    next: u64,
    free: BTreeSet<u64>,
}

impl Numbers {
    /// The least number that is not in use.
    pub(crate) fn take(&mut self, name: &str) -> u64 {
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), Used::default());
        }
        let used = self.names.get_mut(name).expect("BUG: it is there or was made");
        used.free.pop_first().unwrap_or_else(|| {
            used.next += 1;
            used.next - 1
        })
    }

    /// Nothing that was said of this number's key is under way.
    pub(crate) fn give_back(&mut self, name: &str, number: u64) {
        let Some(used) = self.names.get_mut(name) else { return };
        used.free.insert(number);
        if used.free.len() as u64 == used.next {
            self.names.remove(name);
            if self.names.capacity() > SHRINK_FROM && self.names.len() < self.names.capacity() / 8 {
                self.names.shrink_to(self.names.len() * 2);
            }
        }
    }
}

const SHRINK_FROM: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_used_again() {
        let mut numbers = Numbers::default();
        assert_eq!([(); 3].map(|()| numbers.take("a")), [0, 1, 2]);
        assert_eq!(numbers.take("b"), 0);
        numbers.give_back("a", 1);
        assert_eq!([(); 2].map(|()| numbers.take("a")), [1, 3]);
        for number in 0..4 {
            numbers.give_back("a", number);
        }
        assert_eq!(numbers.names.len(), 1, "nothing is kept of what nobody uses");
        assert_eq!(numbers.take("a"), 0);
    }
}
