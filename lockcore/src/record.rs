//! How drivers write down what a store has to keep: names, owners and modes as plain ASCII words.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Claim, Entry, FencingToken, Mode, OwnerLabel};

/// Appends `text` to `out`: letters, digits and the bytes of `plain` as they are, every other byte as
/// `%XX`. Injective as long as `plain` has no `%`, so that [`unescape`] gives it back.
pub fn escape(out: &mut String, text: &str, plain: &[u8]) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    // As most are.
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

/// What [`escape`] was given; `None` for what it cannot have written.
#[must_use]
pub fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            out.push((digit()? << 4 | digit()?) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A mode as a word: `x`, `s`, or `p` and the count of permits.
#[derive(Clone, Copy, Debug)]
pub struct ModeWord(pub Mode);

impl ModeWord {
    /// The mode that a word means; `None` for another word.
    #[must_use]
    pub fn read(word: &str) -> Option<Mode> {
        match word.strip_prefix('p') {
            Some(count) => Some(Mode::Permit { of: count.parse().ok()? }),
            None if word == "x" => Some(Mode::Exclusive),
            None if word == "s" => Some(Mode::Shared),
            None => None,
        }
    }
}

impl fmt::Display for ModeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Mode::Exclusive => f.write_str("x"),
            Mode::Shared => f.write_str("s"),
            Mode::Permit { of } => write!(f, "p{of}"),
        }
    }
}

/// Appends since when an entry stands, in milliseconds of Unix time, a blank, and its owner.
pub fn write_origin(out: &mut String, since: SystemTime, owner: Option<&OwnerLabel>) {
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    write!(out, "{since} ").expect("BUG: a string takes all");
    if let Some(owner) = owner {
        escape(out, owner.as_str(), b"._/-");
    }
}

/// What [`write_origin`] was given; `None` for what it cannot have written.
#[must_use]
pub fn read_origin(origin: &str) -> Option<(SystemTime, Option<OwnerLabel>)> {
    let (since, owner) = origin.split_once(' ')?;
    let since = UNIX_EPOCH.checked_add(Duration::from_millis(since.parse().ok()?))?;
    Some((since, OwnerLabel::new(unescape(owner)?).ok()))
}

/// What stands in the store for an entry, for people and for [`read_claim`].
#[must_use]
pub fn write_entry(entry: &Entry) -> String {
    let request = entry.request();
    let mut value = format!("{MARK} {} ", ModeWord(request.mode()));
    write_origin(&mut value, entry.since(), request.owner());
    value
}

/// Whom a value in the store names: a holder, if it has a token. One that [`write_entry`] has not
/// written names somebody else.
#[must_use]
pub fn read_claim(value: &[u8], token: Option<FencingToken>) -> Claim {
    let read = || {
        let (word, origin) = std::str::from_utf8(value)
            .ok()?
            .strip_prefix(MARK)?
            .strip_prefix(' ')?
            .split_once(' ')?;
        let (since, owner) = read_origin(origin)?;
        Some((ModeWord::read(word)?, since, owner))
    };
    match (read(), token) {
        (Some((mode, since, owner)), Some(token)) => Claim::held(owner, mode, since, token),
        (Some((mode, since, owner)), None) => Claim::waiting(owner, mode, since),
        (None, _) => Claim::foreign(SystemTime::now()),
    }
}

const MARK: &str = "lh1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{LockName, Request};

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let permit = Mode::Permit { of: 5.try_into().unwrap() };
        let request = Request::new(LockName::new("a/b").unwrap(), permit);
        let request = request.with_owner(Some(OwnerLabel::new("wörker 7").unwrap()));
        let (value, token) =
            (write_entry(&Entry::new(&request, true).unwrap()), FencingToken::new(7));
        let held = read_claim(value.as_bytes(), token);
        assert_eq!((held.owner(), held.mode(), held.token()), (Some("wörker 7"), permit, token));
        assert_eq!(read_claim(value.as_bytes(), None).token(), None);
        assert_eq!(read_claim(b"", token).mode(), Mode::Exclusive);
    }

    #[test]
    fn words_of_modes_are_read_back() {
        let permit = Mode::Permit { of: 5.try_into().unwrap() };
        for mode in [Mode::Exclusive, Mode::Shared, permit] {
            assert_eq!(ModeWord::read(&ModeWord(mode).to_string()), Some(mode));
        }
        for word in ["", "p", "p0", "p-1", "xs", "X"] {
            assert_eq!(ModeWord::read(word), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in "\\PC{0,40}") {
            let mut out = String::new();
            escape(&mut out, &text, b"._/-");
            let plain = out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-%".contains(&byte));
            prop_assert!(plain);
            prop_assert_eq!(unescape(&out), Some(text));
        }

        #[test]
        fn garbage_is_no_record(text in "\\PC{0,60}") {
            let _ = (unescape(&text), read_origin(&text), ModeWord::read(&text));
            let _ = read_claim(format!("{MARK} {text}").as_bytes(), None);
        }

        #[test]
        fn a_record_that_was_spoiled_is_somebody(
            at in 0..40_usize,
            bytes in proptest::collection::vec(any::<u8>(), 0..12),
            cut in 0..40_usize,
        ) {
            let mut value = b"lh1 p12 1700000000000 w%C3%B6rker%207".to_vec();
            let at = at.min(value.len());
            value.splice(at..(at + cut).min(value.len()), bytes);
            for token in [None, FencingToken::new(7)] {
                let claim = read_claim(&value, token);
                prop_assert!(claim.owner().is_none_or(|owner| OwnerLabel::new(owner).is_ok()));
            }
        }
    }
}
