//! Chance in tests: how much of it, which can be had again, and the names that it makes.

use std::collections::HashSet;

use fastrand::Rng;

/// How often a test tries: `usual`, or `long` times if the environment says `LEASEHOLD_LONG=1`.
pub fn cases(usual: usize, long: usize) -> usize {
    let is_long = std::env::var("LEASEHOLD_LONG").is_ok_and(|text| text == "1");
    if is_long { long } else { usual }
}

/// Dice whose seed is printed, which the harness shows when a test fails. `LEASEHOLD_SEED=…` throws
/// the same again.
///
/// # Panics
///
/// When `LEASEHOLD_SEED` is no number.
pub fn dice() -> Rng {
    let seed = match std::env::var("LEASEHOLD_SEED") {
        Ok(text) => text.parse().expect("LEASEHOLD_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("LEASEHOLD_SEED={seed}");
    Rng::with_seed(seed)
}

/// So many names of locks, of 1 to 512 bytes, no two the same. The first ones look like something
/// else; many of the others are twins of one before: in another case or form of Unicode, escaped, or
/// with a part of a path more or less.
pub fn names(dice: &mut Rng, count: usize) -> Vec<String> {
    let mut names: Vec<String> = ODD.iter().map(|name| (*name).to_owned()).collect();
    let long = "x".repeat(512);
    names.extend([long.clone(), format!("{}y", &long[1..]), long[1..].to_owned()]);
    names.extend(["\u{1f512}".repeat(128), "\0".repeat(512), "/".repeat(512)]);
    names.truncate(count);
    let mut known: HashSet<String> = names.iter().cloned().collect();
    while names.len() < count {
        let name = match dice.u8(..4) {
            0 => text(dice, 1..=4),
            1 => text(dice, 1..=40),
            _ => twin(dice, &names),
        };
        if (1..=512).contains(&name.len()) && known.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// Text of pieces that stores, shells and formats read as something else.
pub fn text(dice: &mut Rng, pieces: std::ops::RangeInclusive<usize>) -> String {
    let mut text = String::new();
    for _ in 0..dice.usize(pieces) {
        match dice.u8(..8) {
            0 => text.push(dice.char(..)),
            1 => text.push(dice.char(' '..='~')),
            2 => text.push(dice.char('\0'..='\u{9f}')),
            _ => text.push_str(PIECES[dice.usize(..PIECES.len())]),
        }
    }
    text
}

/// Up to so many bytes of all sorts.
pub fn bytes(dice: &mut Rng, at_most: usize) -> Vec<u8> {
    let mut bytes = vec![0; dice.usize(..=at_most)];
    dice.fill(&mut bytes);
    bytes
}

/// A name that is easily taken for one of these.
fn twin(dice: &mut Rng, names: &[String]) -> String {
    let name = &names[dice.usize(..names.len())];
    let piece = PIECES[dice.usize(..PIECES.len())];
    match dice.u8(..9) {
        0 => name.to_uppercase(),
        1 => name.to_lowercase(),
        2 => format!("{name}{piece}"),
        3 => format!("{piece}{name}"),
        4 => name.replace('/', "%2F"),
        5 => name.replace('%', "%25"),
        6 => name.replace('\u{e9}', "e\u{301}"),
        7 => {
            let mut shorter = name.clone();
            shorter.pop();
            shorter
        }
        _ => {
            let escaped = name.bytes().take(170).map(|byte| format!("%{byte:02X}"));
            escaped.collect()
        }
    }
}

const PIECES: &[&str] = &[
    "/",
    "//",
    "..",
    ".",
    "../",
    "\0",
    "\n",
    "\r",
    " ",
    "*",
    "?",
    "[a]",
    "{",
    "}",
    "{}",
    "}:q",
    "}:f",
    ":",
    "::",
    "%",
    "%2F",
    "%2f",
    "%00",
    "%25",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{feff}",
    "\u{10ffff}",
    "zookeeper",
    "leasehold",
    "a",
    "A",
    "b",
    "0",
    "-1",
    "\u{e9}",
    "e\u{301}",
    "\u{c5}",
    "A\u{30a}",
    "\u{212b}",
    "\u{1f512}",
    "\u{202e}",
    "~",
    "~s-",
    "-lock-",
    "_c_",
    "0000000000",
    "\\",
    "'",
    "\"",
    "$",
    "+",
    "_",
];

const ODD: &[&str] = &[
    "foo",
    "foo/",
    "foo/bar",
    "foo0",
    "foo.",
    "foo%2F",
    "foo%2Fbar",
    "FOO",
    "Foo",
    "{foo}",
    "{foo}:q",
    "foo}:q",
    "foo:q",
    "*",
    "?",
    "[a]",
    "~",
    "~/",
    "~/x",
    "~s",
    "~s-0",
    "~p3-0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "_c_",
    "_c_01234567-89ab-cdef-0123-456789abcdef-lock-0000000000",
    "_c_01234567-89ab-cdef-0123-456789abcdef",
    "lock-0000000000",
    "zookeeper",
    "Zookeeper",
    "zookeepers",
    "zookeeper/quota",
    "%7A%6F%6F%6B%65%65%70%65%72",
    "%2E",
    "%41",
    "\u{d7ff}",
    "\u{e000}",
    "\u{f8ff}",
    "\u{fff0}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{9f}",
    "leasehold",
    "leasehold/",
    "leasehold/foo",
    "leasehold:foo",
    "probe",
    "probe/",
    "wake:0",
    "..",
    ".",
    "/",
    "//",
    "a/",
    "a//",
    "/a",
    "a/../b",
    "\0",
    "\0\0",
    "\n",
    "\r\n",
    " ",
    "  ",
    "%",
    "%00",
    "%2F",
    "%2f",
    "A",
    "a",
    "\u{e9}",
    "e\u{301}",
    "\u{c5}",
    "A\u{30a}",
    "\u{212b}",
    "\u{1f512}",
    "\u{202e}",
    "\u{feff}",
    "\u{7f}",
    "\u{80}",
    "-",
    "_",
    "+",
    "$6",
    "-1",
    "0",
    "\\",
    "'",
    "\"",
    "`",
    "$(x)",
    "{}",
    "}{",
    "|",
    "}",
    "{",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_and_no_two_the_same() {
        let mut dice = dice();
        let names = names(&mut dice, 3_000);
        assert!(names.iter().all(|name| (1..=512).contains(&name.len())));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 3_000);
        assert!(names.iter().any(|name| name.len() > 500 && name.contains('%')));
    }

    #[test]
    fn the_same_seed_throws_the_same() {
        let throw = || names(&mut Rng::with_seed(7), 500);
        assert_eq!(throw(), throw());
    }
}
