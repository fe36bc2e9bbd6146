//! What stands in the store, and how it is written.

use std::fmt::Write;

use lockcore::record::{ModeWord, escape};
use lockcore::{LockName, Mode};

/// The keys of one name: those of its holders and waiters, one each.
///
/// Whoever wants it alone has a key directly under the name, as Go's `concurrency.Mutex` and
/// `etcdctl lock` have, so these count as such. The others come after `~`, their mode first, so that
/// a range of keys is a set of modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    base: String,
}

/// The keys from one up to another, that one not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Keys {
    /// The keys of `name` under `prefix`.
    ///
    /// Letters, digits and `._-` stay as they are, every other byte becomes `%XX`. A name has no
    /// slash then, so no name's keys are among another's.
    pub(crate) fn new(prefix: &str, name: &LockName) -> Self {
        let mut base = String::with_capacity(prefix.len() + name.as_str().len() + 2);
        open(&mut base, prefix);
        escape(&mut base, name.as_str(), b"._-");
        base.push('/');
        Self { base }
    }

    /// A key of one entry: that of this number, of those that a lease has under the name.
    pub(crate) fn own(&self, mode: Mode, lease: i64, number: u64) -> String {
        let mut key = String::with_capacity(self.base.len() + 48);
        key.push_str(&self.base);
        match mode {
            Mode::Exclusive => {}
            mode => write!(key, "~{}-", ModeWord(mode)).expect("BUG: a string takes all"),
        }
        write!(key, "{lease:016x}{number:016x}").expect("BUG: a string takes all");
        key
    }

    /// What all keys of the name begin with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// All who hold the name or wait for it.
    pub(crate) fn all(&self) -> Span {
        let mut to = self.base.clone();
        to.pop();
        // What comes after the slash.
        to.push('0');
        Span { from: self.base.clone(), to }
    }

    /// Those who want it alone, and clients of another kind.
    pub(crate) fn exclusive(&self) -> Span {
        Span { from: self.base.clone(), to: format!("{}~", self.base) }
    }

    /// Those who have or want a permit.
    pub(crate) fn permits(&self) -> Span {
        Span { from: format!("{}~p", self.base), to: format!("{}~q", self.base) }
    }

    /// Whether a key of this name may be one of ours.
    pub(crate) fn is_ours(&self, key: &[u8]) -> bool {
        let id = key.get(self.base.len()..).unwrap_or_default();
        let id = id.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
        id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit)
    }

    /// The mode that a key of this name says.
    pub(crate) fn mode(&self, key: &[u8]) -> Mode {
        let read = || {
            let key = std::str::from_utf8(key).ok()?;
            let word = key.strip_prefix(&self.base)?.strip_prefix('~')?.split('-').next()?;
            ModeWord::read(word)
        };
        read().unwrap_or(Mode::Exclusive)
    }
}

/// The key whose version is the epoch of a session: no name's keys are there.
pub(crate) fn epoch(prefix: &str, lease: i64) -> String {
    let mut key = String::new();
    open(&mut key, prefix);
    write!(key, "~/{lease:016x}").expect("BUG: a string takes all");
    key
}

fn open(key: &mut String, prefix: &str) {
    if !prefix.is_empty() {
        key.push_str(prefix);
        key.push('/');
    }
}

#[cfg(test)]
mod tests {
    use lock_testkit::fuzz;
    use lockcore::record::unescape;

    use super::*;

    fn keys(prefix: &str, name: &str) -> Keys {
        Keys::new(prefix, &LockName::new(name).unwrap())
    }

    fn permit() -> Mode {
        Mode::Permit { of: 5.try_into().unwrap() }
    }

    #[test]
    fn keys_are_laid_out_as_others_expect_them() {
        let plain = keys("shop", "orders-1.x_y");
        assert_eq!(plain.all().from, "shop/orders-1.x_y/");
        assert_eq!(plain.all().to, "shop/orders-1.x_y0");
        assert_eq!(keys("shop", "a/b").all().from, "shop/a%2Fb/");
        assert_eq!(keys("", "a~").all().from, "a%7E/");
        assert_eq!(epoch("shop", 255), "shop/~/00000000000000ff");
    }

    #[test]
    fn spans_hold_the_modes_that_they_say() {
        let keys = keys("shop", "a/b");
        let within = |span: &Span, key: &str| *span.from <= *key && *key < *span.to;
        for mode in [Mode::Exclusive, Mode::Shared, permit()] {
            let key = keys.own(mode, 7, 8);
            assert_eq!(keys.mode(key.as_bytes()), mode);
            assert!(keys.is_ours(key.as_bytes()));
            assert!(within(&keys.all(), &key), "{key}");
            assert_eq!(within(&keys.exclusive(), &key), mode == Mode::Exclusive, "{key}");
            assert_eq!(within(&keys.permits(), &key), mode == permit(), "{key}");
        }
        assert_eq!(keys.mode(b"shop/a%2Fb/694d95ba"), Mode::Exclusive);
        assert!(!keys.is_ours(b"shop/a%2Fb/694d95ba") && !keys.is_ours(b"shop"));
    }

    /// Whatever a name is, its keys are its own: no range of keys has those of two names.
    #[test]
    fn names_are_apart_and_come_back() {
        let mut bases = Vec::new();
        for name in fuzz::names(&mut fuzz::dice(), fuzz::cases(100_000, 10_000_000)) {
            let keys = keys("p/q", &name);
            let written = keys.base().strip_prefix("p/q/").and_then(|rest| rest.strip_suffix('/'));
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-%".contains(&b);
            let written = written.filter(|w| w.len() <= 3 * 512 && w.bytes().all(plain)).unwrap();
            assert_eq!(unescape(written).as_ref(), Some(&name));
            assert!(!epoch("p/q", 7).starts_with(keys.base()), "{name:?}");
            bases.push(keys.base);
        }
        bases.sort_unstable();
        // One that another begins with would stand right before such a one.
        assert!(bases.windows(2).all(|pair| !pair[1].starts_with(&pair[0])));
    }

    #[test]
    fn garbage_is_somebody() {
        let mut dice = fuzz::dice();
        let keys = keys("p", "n");
        let good = ["p/n/", "~s-", "~p3-", "~", "0123456789abcdef0123456789abcdef", "-"];
        for _ in 0..fuzz::cases(20_000, 2_000_000) {
            let mut key = good[dice.usize(..good.len())].as_bytes().to_vec();
            key.extend(good[dice.usize(..good.len())].as_bytes());
            key.extend(fuzz::bytes(&mut dice, 40));
            key.extend(good[dice.usize(..good.len())].as_bytes());
            let _ = (keys.mode(&key), keys.is_ours(&key));
        }
    }
}
