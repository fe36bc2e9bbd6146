//! URLs of all sorts, judged as `connect` judges them before it asks a server.

use std::fmt::Debug;

use fastrand::Rng;
use lock_conformance::error_text;
use lock_testkit::fuzz;
use lockcore::{ErrorKind, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::address::Address;
use crate::options::{Options, invalid};
use crate::{etcd, local, redis, zk};

#[test]
fn a_url_is_taken_or_refused_by_name_and_its_secrets_are_not_repeated() {
    let mut dice = fuzz::dice();
    let mut taken = 0;
    for _ in 0..fuzz::cases(100_000, 5_000_000) {
        let url = match dice.u8(..8) {
            0 => fuzz::text(&mut dice, 0..=12),
            _ => a_url(&mut dice),
        };
        // One mistake at a time: a secret as it is, or a slip beside one that is encoded.
        let has_slip = dice.bool() && !url.contains(RAW);
        let url = url.replace(RAW, "");
        let url = if has_slip { changed(&mut dice, &url) } else { url };
        match judge(&url) {
            // By a slip a parameter may have become a part of the path, which is no secret.
            Ok(_) if has_slip => taken += 1,
            Ok(shown) => {
                taken += 1;
                assert!(!shown.contains(SECRET), "{url:?}: {shown}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url:?}: {error}");
                let shown = error_text(&error);
                assert!(!shown.contains(SECRET), "{url:?}: {shown}");
            }
        }
    }
    println!("taken: {taken}");
    assert!(taken > 1_000, "hardly any was one");
}

/// All that `connect` does before it asks a server, and what the configuration shows of itself.
fn judge(url: &str) -> Result<String> {
    let (address, url) = Address::parse(url).map_err(invalid)?;
    let mut options = Options::parse(&url)?;
    let shown = |config: &dyn Debug| format!("{config:?} {config:#?}");
    let config = match address.scheme.trim_end_matches('s') {
        "local" => shown(&local::open(&address, &mut options)?),
        "etcd" => shown(&etcd::config(&address, &mut options)?),
        "zk" => shown(&zk::config(&address, &mut options)?),
        _ => shown(&redis::config(&address, &mut options)?),
    };
    options.check()?;
    Ok(format!("{config} {address:?}"))
}

/// One that is mostly good, and whose secrets may be written as they are.
fn a_url(dice: &mut Rng) -> String {
    let scheme = SCHEMES[dice.usize(..SCHEMES.len())];
    let mut url = format!("{scheme}:");
    if scheme != "local" || dice.u8(..8) == 0 {
        url += "//";
        if dice.bool() {
            let user = one_of(dice, &["joe:", "joe:", ":", "j%40e:", "joe:x:"]);
            url = url + user + &secret(dice) + "@";
        }
        let hosts: Vec<_> = (0..dice.usize(1..4)).map(|_| one_of(dice, HOSTS)).collect();
        url += &hosts.join(",");
        url += one_of(dice, PATHS);
    }
    for number in 0..dice.usize(..4) {
        url.push(if number == 0 { '?' } else { '&' });
        url += one_of(dice, PARAMETERS);
        if url.ends_with("word=") {
            url += &secret(dice);
        }
    }
    url
}

fn secret(dice: &mut Rng) -> String {
    let pieces = [fuzz::text(dice, 0..=2), SECRET.to_owned(), fuzz::text(dice, 0..=2)].concat();
    match dice.bool() {
        true => utf8_percent_encode(&pieces, NON_ALPHANUMERIC).to_string(),
        // An `&` or a `+` in a parameter is what it is.
        false => pieces.replace(['&', '='], "") + RAW,
    }
}

/// With a slip of the pen: a character more, less, or another.
fn changed(dice: &mut Rng, url: &str) -> String {
    let mut chars: Vec<char> = url.chars().collect();
    if chars.is_empty() {
        return url.to_owned();
    }
    let signs: Vec<_> = (0..chars.len()).filter(|at| ":/@?&=".contains(chars[*at])).collect();
    let at = match dice.choice(&signs) {
        Some(at) if dice.bool() => *at,
        _ => dice.usize(..chars.len()),
    };
    let with = SIGNS[dice.usize(..SIGNS.len())];
    match dice.u8(..4) {
        0 => drop(chars.remove(at)),
        1 => chars[at] = with,
        2 => chars.insert(at, with),
        _ => chars.truncate(at),
    }
    chars.into_iter().collect()
}

/// One of them, of which the first, good ones come more often.
fn one_of<'a>(dice: &mut Rng, these: &[&'a str]) -> &'a str {
    these[(0..4).map(|_| dice.usize(..these.len())).min().unwrap_or_default()]
}

const SECRET: &str = "c4nary";
/// Marks a URL in which a secret is not encoded.
const RAW: &str = "\u{1}raw\u{1}";
const SIGNS: [char; 14] =
    [':', '/', '@', '?', '#', '%', ',', '&', '=', '[', ']', 'x', '\0', '\u{e9}'];
const SCHEMES: &[&str] = &[
    "local",
    "redis",
    "rediss",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
    "etcd",
    "etcds",
    "zk",
    "zks",
    "REDIS",
    "http",
    "file",
    "x",
];
const HOSTS: &[&str] = &[
    "h",
    "h:1",
    "10.0.0.1:7000",
    "[::1]",
    "[::1]:65535",
    "h:65536",
    "[::1",
    "h\u{f6}st",
    "",
    "h 1",
    "%41",
    "a.b-c_d",
    "1",
    "h:",
];
const PATHS: &[&str] = &[
    "",
    "",
    "/",
    "/0",
    "/master/3",
    "/apps",
    "/apps/eu",
    "//",
    "/a/",
    "/%ff",
    "/%00",
    "/../x",
    "/a b",
    "/\u{e9}",
    "/zookeeper",
];
const PARAMETERS: &[&str] = &[
    "ttl=10s",
    "owner=me",
    "prefix=shop",
    "max_waiters=5",
    "recheck=1s",
    "request_timeout=50ms",
    "sentinel_password=",
    "sentinel_username=u",
    "tls_ca=/nowhere/ca.pem",
    "tls_cert=x",
    "tls_key=",
    "ttl=0s",
    "ttl=soon",
    "owner=",
    "owner=%00",
    "prefix=a%20b",
    "prefix=zookeeper",
    "max_waiters=-1",
    "recheck=9999h",
    "request_timeout=1us",
    "ttl",
    "=",
    "a=b=c",
    "%ff=1",
];
