//! What stands in the store, and how it is written.

use std::fmt::Write;
use std::time::SystemTime;

use lockcore::record::{ModeWord, escape, read_origin, write_origin};
use lockcore::{Claim, EntryId, FencingToken, LockName, Mode, OwnerLabel};

/// The keys of one name: the lock itself, and those beside it in the same slot of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    lock: Box<str>,
}

impl Keys {
    /// The keys of `name` under `prefix`, which has no brace.
    ///
    /// Letters, digits and `._/-` stay as they are, every other byte becomes `%XX`. A name has no
    /// colon then, so the last one of a key ends the prefix, and no brace, so none of our keys can
    /// be another's.
    pub(crate) fn new(prefix: &str, name: &LockName) -> Self {
        let mut lock = String::with_capacity(prefix.len() + 1 + name.as_str().len());
        if !prefix.is_empty() {
            lock.push_str(prefix);
            lock.push(':');
        }
        escape(&mut lock, name.as_str(), b"._/-");
        Self { lock: lock.into() }
    }

    /// The lock: the one key that other clients know too.
    pub(crate) fn lock(&self) -> &str {
        &self.lock
    }

    /// The keys beside it, to be read one after the other: the queue, the fence, those who share, the
    /// records. What stands in braces decides the slot of a cluster.
    pub(crate) fn each_beside(&self, mut read: impl FnMut(&str)) {
        let mut key = String::with_capacity(self.lock.len() + 4);
        key.push('{');
        key.push_str(&self.lock);
        key.push_str("}:");
        for what in ['q', 'f', 's', 'r'] {
            key.push(what);
            read(&key);
            key.pop();
        }
    }
}

/// The value of a lock that an entry holds alone. It names the entry, so it is written for every
/// mode; see `scripts/queue.lua`.
pub(crate) fn value(id: EntryId, since: SystemTime, owner: Option<&OwnerLabel>) -> String {
    let mut value = String::with_capacity(64);
    write!(value, "lh x {:032x} ", id.as_u128()).expect("BUG: a string takes all");
    write_origin(&mut value, since, owner);
    value
}

/// How much of a value names the entry.
pub(crate) const OWNER_LEN: usize = "lh x ".len() + 32;

/// Whom the value of a lock names as its only holder; `None` if several hold it.
pub(crate) fn sole_holder(value: &str, last_token: &str) -> Option<Claim> {
    let is_count = |count: &str| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    if value == "lh s" || value.strip_prefix("lh p").is_some_and(is_count) {
        return None;
    }
    let ours = || {
        let (id, rest) = value.strip_prefix("lh x ")?.split_once(' ')?;
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let rest = rest.strip_suffix(" +").unwrap_or(rest);
        let (since, owner) = read_origin(rest)?;
        Some(Claim::held(owner, Mode::Exclusive, since, read_token(last_token)?))
    };
    Some(ours().unwrap_or_else(|| Claim::foreign(SystemTime::now())))
}

/// Whom a record of the scripts names; `None` for one that is none.
pub(crate) fn claim(record: &str) -> Option<Claim> {
    let mut words = record.splitn(7, ' ');
    let mode = ModeWord::read(words.nth(1)?)?;
    let token = words.nth(3)?;
    let (since, owner) = read_origin(words.next()?)?;
    Some(match read_token(token) {
        Some(token) => Claim::held(owner, mode, since, token),
        None => Claim::waiting(owner, mode, since),
    })
}

/// A token, as the fence has it or a script returns it.
pub(crate) fn read_token(text: &str) -> Option<FencingToken> {
    FencingToken::new(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, UNIX_EPOCH};

    use lock_testkit::fuzz;
    use lockcore::EntryId;
    use lockcore::record::unescape;
    use proptest::prelude::*;

    use super::*;

    fn keys(prefix: &str, name: &str) -> Keys {
        Keys::new(prefix, &LockName::new(name).unwrap())
    }

    #[test]
    fn plain_names_stay_plain() {
        let keys = keys("shop", "orders/123");
        assert_eq!(keys.lock(), "shop:orders/123");
        let mut beside = Vec::new();
        keys.each_beside(|key| beside.push(key.to_owned()));
        assert_eq!(beside, ["q", "f", "s", "r"].map(|what| format!("{{shop:orders/123}}:{what}")));
    }

    #[test]
    fn prefixes_are_apart() {
        assert_ne!(keys("a", "b:c"), keys("a:b", "c"));
        assert_ne!(keys("", "a:b"), keys("a", "b"));
        assert_eq!(keys("a", "{b}*?[\0").lock(), "a:%7Bb%7D%2A%3F%5B%00");
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let owner = OwnerLabel::new("wörker 7 +").unwrap();
        let since = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let value = value(EntryId::random().unwrap(), since, Some(&owner));
        for value in [value.clone(), format!("{value} +")] {
            let claim = sole_holder(&value, "7").unwrap();
            assert_eq!(claim.owner(), Some("wörker 7 +"));
            assert_eq!((claim.since(), claim.token()), (since, FencingToken::new(7)));
        }
        assert!(value[..OWNER_LEN].len() == 37 && value.as_bytes()[OWNER_LEN] == b' ');
    }

    #[test]
    fn a_foreign_value_is_somebody() {
        let claim = sole_holder("6b1f2c", "7").unwrap();
        assert_eq!((claim.mode(), claim.token(), claim.place()), (Mode::Exclusive, None, None));
        assert!(sole_holder("", "7").is_some());
        assert_eq!(sole_holder("lh p5", "7"), None);
    }

    /// Whatever a name is, its keys are its own, below the prefix, and no pattern of keys.
    #[test]
    fn names_are_apart_and_come_back() {
        let mut known = HashSet::new();
        for name in fuzz::names(&mut fuzz::dice(), fuzz::cases(100_000, 10_000_000)) {
            let keys = keys("shop:x", &name);
            let written = keys.lock().strip_prefix("shop:x:").unwrap();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-%".contains(&b);
            assert!(written.bytes().all(plain) && written.len() <= 3 * 512, "{name:?}: {keys:?}");
            assert_eq!(unescape(written).as_ref(), Some(&name));
            keys.each_beside(|key| {
                let inner = key.strip_prefix('{').and_then(|key| key.split_once("}:"));
                let (lock, what) = inner.unwrap();
                assert!(lock == keys.lock() && what.len() == 1, "{name:?}: {key}");
            });
            assert!(known.insert(keys.lock), "{name:?} is another name");
        }
    }

    proptest! {
        #[test]
        fn two_names_are_apart_whatever_the_prefix(a in "\\PC{1,20}", b in "\\PC{1,20}", p in "[a-z:]{0,3}", q in "[a-z:]{0,3}") {
            prop_assert_eq!(keys(&p, &a) == keys(&q, &b), (p, a) == (q, b));
        }
    }

    #[test]
    fn garbage_is_no_claim() {
        let mut dice = fuzz::dice();
        let id = format!("{:032x}", EntryId::random().unwrap().as_u128());
        let good = ["lh x", &id, "x 7 1700000000000 a%20b", "lh s", "lh p5 9", "lh1", " ", " +"];
        for _ in 0..fuzz::cases(20_000, 2_000_000) {
            let mut text = fuzz::text(&mut dice, 0..=8);
            text.insert_str(0, good[dice.usize(..good.len())]);
            text.push_str(good[dice.usize(..good.len())]);
            let _ = claim(&text);
            let _ = sole_holder(&text, &fuzz::text(&mut dice, 0..=2));
        }
    }
}
