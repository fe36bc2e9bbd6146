//! How drivers write down what a store has to keep: names, owners and modes as plain ASCII words.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Mode, OwnerLabel};

/// Appends `text` to `out`: letters, digits and the bytes of `plain` as they are, every other byte as
/// `%XX`. Injective as long as `plain` has no `%`, so that [`unescape`] gives it back.
pub fn escape(out: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
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
    out.push_str(&since.to_string());
    out.push(' ');
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        }
    }
}
