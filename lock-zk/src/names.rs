//! What stands in the store, and how it is called.

use std::cmp::Ordering;
use std::fmt::Write;

use lockcore::record::{ModeWord, escape};
use lockcore::{EntryId, LockName, Mode};

/// The directory of one name: those who hold it or wait for it have a node each in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    path: String,
}

impl Directory {
    /// The directory of `name` under `prefix`.
    ///
    /// Letters, digits and `._-` stay as they are, every other byte becomes `%XX`; so does the first
    /// byte of the names that ZooKeeper keeps for itself. A name has no slash then, so no name's
    /// directory is in another's.
    pub(crate) fn new(prefix: &str, name: &LockName) -> Self {
        let mut path = top(prefix);
        path.push('/');
        let name = name.as_str();
        if [".", "..", "zookeeper"].contains(&name) {
            for byte in name.bytes() {
                write!(path, "%{byte:02X}").expect("BUG: a string takes all");
            }
        } else {
            escape(&mut path, name, b"._-");
        }
        Self { path }
    }

    /// The directory of no name, to try things in.
    pub(crate) fn trial(prefix: &str) -> Self {
        Self { path: top(prefix) + "/~" }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a node in it, or the beginning of one.
    pub(crate) fn at(&self, node: &str) -> String {
        [&self.path, "/", node].concat()
    }
}

/// The directory of all names; empty for the root.
pub(crate) fn top(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!("/{prefix}") }
}

/// What all nodes of an acquisition begin with: Curator calls it a protected node.
pub(crate) fn mark(id: EntryId) -> String {
    let id = format!("{:032x}", id.as_u128());
    let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
    PROTECTED.to_owned() + &parts.join("-")
}

/// What the name of the node of the acquisition with this [`mark`] is, up to the number that the store
/// adds.
pub(crate) fn stem(mark: &str, mode: Mode) -> String {
    let mut stem = mark.to_owned();
    if mode != Mode::Exclusive {
        write!(stem, "-{}", ModeWord(mode)).expect("BUG: a string takes all");
    }
    stem.push_str(LOCK);
    stem
}

/// A node in the directory of a name: somebody who holds it or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender<'n> {
    pub(crate) node: &'n str,
    pub(crate) mode: Mode,
    /// Whether one of us has made it, by its name.
    pub(crate) is_ours: bool,
    number: i64,
}

impl<'n> Contender<'n> {
    /// Reads the name of a node; `None` for one that has no place in a queue.
    pub(crate) fn read(node: &'n str) -> Option<Self> {
        if let Some((mode, number)) = ours(node) {
            return Some(Self { node, mode, is_ours: true, number });
        }
        let mode = Mode::Exclusive;
        Some(Self { node, mode, is_ours: false, number: trailing_number(node)? })
    }

    /// Who came first. The numbers are those of one counter of 32 bits, which goes on below zero.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (i32::try_from(self.number), i32::try_from(other.number)) {
            (Ok(one), Ok(other)) => one.wrapping_sub(other).cmp(&0),
            _ => self.number.cmp(&other.number),
        }
    }
}

fn ours(node: &str) -> Option<(Mode, i64)> {
    let rest = node.strip_prefix(PROTECTED)?;
    let (id, rest) = rest.split_at_checked(UUID)?;
    let is_id = id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let at = rest.find(LOCK).filter(|_| is_id)?;
    let (word, number) = (&rest[..at], &rest[at + LOCK.len()..]);
    let mode = match word.strip_prefix('-') {
        None if word.is_empty() => Mode::Exclusive,
        None => return None,
        Some(word) => ModeWord::read(word)?,
    };
    let is_number = number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    Some((mode, number.parse().ok().filter(|_| is_number)?))
}

/// The number that the store has added to a name: ten characters, of which the first may be the
/// sign; or more digits, where it counts further.
fn trailing_number(node: &str) -> Option<i64> {
    let name = node.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let digits = &node[name.len()..];
    let is_negative = match digits.len() {
        9 => name.ends_with('-'),
        10 => name.ends_with("--") || name.ends_with("_-"),
        _ => false,
    };
    let number: i64 = digits.parse().ok().filter(|_| is_negative || digits.len() >= 10)?;
    Some(if is_negative { -number } else { number })
}

const PROTECTED: &str = "_c_";
/// What Curator's locks are called, and so what kazoo can be told to look for.
const LOCK: &str = "-lock-";
const UUID: usize = 36;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU32;

    use lock_testkit::fuzz;
    use lockcore::record::unescape;
    use proptest::prelude::*;

    use super::*;

    fn directory(prefix: &str, name: &str) -> Directory {
        Directory::new(prefix, &LockName::new(name).unwrap())
    }

    fn permit(of: u32) -> Mode {
        Mode::Permit { of: NonZeroU32::new(of).unwrap() }
    }

    #[test]
    fn directories_are_laid_out_as_others_expect_them() {
        assert_eq!(directory("shop", "orders-1.x_y").path(), "/shop/orders-1.x_y");
        assert_eq!(directory("a/b", "a/b").path(), "/a/b/a%2Fb");
        assert_eq!(directory("", "ä").path(), "/%C3%A4");
        assert_eq!(directory("", "zookeeper").path(), "/%7A%6F%6F%6B%65%65%70%65%72");
        assert_eq!(directory("p", "..").path(), "/p/%2E%2E");
        assert_eq!(directory("p", "...").path(), "/p/...");
    }

    #[test]
    fn nodes_say_whose_they_are_and_how() {
        let id = EntryId::random().unwrap();
        for mode in [Mode::Exclusive, Mode::Shared, permit(5)] {
            for number in [0, 7, 2_147_483_647, -2_147_483_648, -1, 12_345_678_901] {
                let node = format!("{}{number:010}", stem(&mark(id), mode));
                let read = Contender::read(&node).unwrap();
                assert_eq!((read.mode, read.number, read.is_ours), (mode, number, true), "{node}");
                assert!(node.starts_with(&mark(id)));
            }
        }
        assert_eq!(mark(id).len(), PROTECTED.len() + UUID);
    }

    #[test]
    fn others_are_read_as_wanting_it_alone() {
        for (node, number) in [
            ("_c_3d5e8a1c-0000-0000-0000-000000000000-__WRIT__0000000012", 12),
            ("0123456789abcdef0123456789abcdef__lock__0000000003", 3),
            ("0123456789abcdef0123456789abcdef__lock__-2147483648", -2_147_483_648),
            ("__lock__-000000001", -1),
            ("lock-0000000001", 1),
            ("x-lock--1000000001", -1_000_000_001),
            ("x-lock-1000000001", 1_000_000_001),
        ] {
            let read = Contender::read(node).unwrap();
            assert_eq!((read.mode, read.number, read.is_ours), (Mode::Exclusive, number, false));
        }
        for node in ["", "config", "lock-1", "lock-000000001x", "123456789"] {
            assert_eq!(Contender::read(node), None, "{node}");
        }
    }

    #[test]
    fn numbers_go_on_below_zero() {
        let is_before = |one: i64, other: i64| {
            let [one, other] = [one, other].map(|number| format!("x-lock-{number:010}"));
            let [one, other] = [&one, &other].map(|node| Contender::read(node).unwrap());
            one.order(&other) == Ordering::Less
        };
        assert!(is_before(9, 10) && !is_before(10, 9));
        assert!(is_before(2_147_483_647, -2_147_483_648));
        assert!(is_before(-1, 0));
        assert!(is_before(5_000_000_000, 5_000_000_001));
    }

    /// Whatever a name is, its directory is its own, directly below the prefix, and one that ZooKeeper
    /// takes and does not keep for itself.
    #[test]
    fn names_are_apart_and_come_back() {
        let mut known = HashSet::new();
        for name in fuzz::names(&mut fuzz::dice(), fuzz::cases(100_000, 10_000_000)) {
            for prefix in ["p/q", ""] {
                let directory = directory(prefix, &name);
                let written = directory.path().strip_prefix(&top(prefix)).unwrap();
                let written = written.strip_prefix('/').unwrap();
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-%".contains(&b);
                assert!(written.bytes().all(plain) && written.len() <= 3 * 512, "{name:?}");
                assert!(!["", ".", "..", "zookeeper", "~"].contains(&written), "{name:?}");
                assert_eq!(unescape(written).as_ref(), Some(&name));
            }
            assert!(known.insert(directory("p", &name).path), "{name:?} is another name");
        }
    }

    #[test]
    fn garbage_is_somebody_or_nobody() {
        let mut dice = fuzz::dice();
        let id = "_c_01234567-89ab-cdef-0123-456789abcdef";
        let good = [id, "_c_", "-lock-", "-s", "-p3", "-0000000001", "2147483648", "--000000001"];
        for _ in 0..fuzz::cases(20_000, 2_000_000) {
            let mut node = good[dice.usize(..good.len())].to_owned();
            node.push_str(&fuzz::text(&mut dice, 0..=4));
            node.push_str(good[dice.usize(..good.len())]);
            node.push_str(good[dice.usize(..good.len())]);
            if let Some(one) = Contender::read(&node) {
                assert_eq!(one.order(&one), Ordering::Equal, "{node:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_counter(start: i32, steps in 1u32..1_000_000) {
            let later = start.wrapping_add_unsigned(steps);
            let [one, other] = [start, later].map(|number| format!("x-lock-{number:010}"));
            if let (Some(one), Some(other)) = (Contender::read(&one), Contender::read(&other)) {
                prop_assert_eq!(one.number, i64::from(start));
                prop_assert_eq!(one.order(&other), Ordering::Less);
                prop_assert_eq!(other.order(&one), Ordering::Greater);
            }
        }
    }
}
