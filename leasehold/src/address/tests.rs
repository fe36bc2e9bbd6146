use std::net::Ipv6Addr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::options::Options;

fn parse(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).0
}

#[test]
fn every_part_is_found() {
    let url = "redis+cluster://joe:a%40b%2Fc@h1:7000,[::1]:7001,10.0.0.1/0?ttl=10s&prefix=x";
    let (address, url) = Address::parse(url).unwrap();
    let hosts = [("h1", Some(7000)), ("::1", Some(7001)), ("10.0.0.1", None)];
    let expected = Address {
        scheme: "redis+cluster".to_owned(),
        username: Some("joe".to_owned()),
        password: Some("a@b/c".to_owned()),
        hosts: hosts.map(|(host, port)| (host.to_owned(), port)).to_vec(),
        path: "/0".to_owned(),
    };
    assert_eq!(address, expected);
    assert_eq!(url.query(), Some("ttl=10s&prefix=x"));
}

#[test]
fn what_is_not_there_is_none() {
    for text in ["local:", " local:\n", "local://", "local:///", "local:?ttl=1s", "LOCAL:"] {
        let address = parse(text);
        assert_eq!((address.scheme.as_str(), address.hosts.len()), ("local", 0), "{text}");
        assert_eq!((address.username, address.password), (None, None), "{text}");
    }
    let address = parse("redis://:secret@h");
    assert_eq!((address.username, address.password.as_deref()), (None, Some("secret")));
    assert_eq!(parse("redis://joe@h").username.as_deref(), Some("joe"));
    assert_eq!(parse("re\tdis:/\n/h1,h2:\r").hosts.len(), 2);
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("orders", "without a base"),
        ("redis://h1,,h2", "host 2 of the list: empty host"),
        ("redis://h1,", "host 2 of the list"),
        ("redis://u:p@", "host 1 of the list"),
        ("redis://:6379", "empty host"),
        ("redis://h1,h2:x", "host 2 of the list: invalid port"),
        ("redis://h1:65536", "invalid port"),
        ("redis://[::1,h2", "host 1 of the list: invalid IPv6"),
        ("redis://h 1", "host 1 of the list: invalid"),
        ("redis://höst", "ASCII"),
        ("redis://a:b@h1,c:d@h2", "share what stands before the one `@`"),
        ("redis://u:12?34@h", "`%3F`"),
        ("redis://u:12/34@h", "`%2F`"),
        ("redis://u:12#34@h", "`%23`"),
        ("redis://h?owner=a@b", "`%40`"),
        ("redis://u:%ff@h", "the password is not UTF-8"),
    ] {
        let error = Address::parse(text).expect_err(text);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn debug_hides_who_we_are() {
    let shown = format!("{:?}", parse("redis://joe:hunter2@h:1/0"));
    let expected = "Address { scheme: \"redis\", username: Some(…), password: Some(…), \
                    hosts: [(\"h\", Some(1))], path: \"/0\" }";
    assert_eq!(shown, expected);
}

fn a_host() -> impl Strategy<Value = String> {
    let ipv6 = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_string());
    prop_oneof!["[a-zA-Z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", "10\\.0\\.[0-9]\\.[0-9]", ipv6]
}

fn secret() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{1,20}|[@:/?#%,\\[\\]\\\\\t\n ]{1,8}")
}

/// Text of the pieces that a URL is made of, in any order.
fn garbage() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "local", "redis", "http", "file", ":", "/", "//", "://", "@", ",", "[", "]", "[::1]", "?",
        "#", "%", "%40", "%ff", "&", "=", "ttl", "1s", "\\", "\t", " ", "é", "\0", "h1", ":7000",
        "user", "..",
    ];
    vec(select(PIECES), 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        username in secret(),
        password in secret(),
        hosts in vec((a_host(), option::of(any::<u16>())), 1..6),
        path in "(/[a-z0-9]{1,5}){0,3}",
    ) {
        let written = Address { scheme: "redis+cluster".to_owned(), username, password, hosts, path };
        let code = |text: &Option<String>| {
            utf8_percent_encode(text.as_deref().unwrap_or_default(), NON_ALPHANUMERIC).to_string()
        };
        let mut user = code(&written.username);
        if written.password.is_some() {
            user = format!("{user}:{}", code(&written.password));
        }
        let hosts = written.hosts.iter().map(|(host, port)| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            port.map_or(host.clone(), |port| format!("{host}:{port}"))
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let at = if user.is_empty() { "" } else { "@" };
        let text = format!("redis+cluster://{user}{at}{hosts}{}?ttl=1s", written.path);
        let (read, url) = Address::parse(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&read, &written, "{}", text);
        prop_assert_eq!(url.query(), Some("ttl=1s"));
    }

    #[test]
    fn garbage_is_judged(any in ".*", pieces in garbage()) {
        for text in [&any, &pieces, &format!("redis://{any}"), &format!("redis://{pieces}")] {
            if let Ok((address, url)) = Address::parse(text) {
                prop_assert_eq!(address.scheme, url.scheme());
                prop_assert!(address.hosts.iter().all(|(host, _)| !host.is_empty()));
            }
        }
    }

    /// Wherever the password breaks the URL.
    #[test]
    fn no_password_is_shown(
        // None of those that `url` treats in a way of their own: no backend has one.
        scheme in select(&["local", "redis", "rediss+cluster", "x"][..]),
        (before, inside, beside, after) in (garbage(), garbage(), garbage(), garbage()),
    ) {
        let text = format!("{scheme}://{before}:{inside}hunter2{beside}@h{after}");
        let shown = match Address::parse(&text) {
            Ok((address, url)) => {
                let checked = Options::parse(&url).and_then(|mut options| options.check());
                format!("{address:?} {checked:?}")
            }
            Err(error) => error,
        };
        prop_assert!(!shown.contains("hunter2"), "{}: {}", text, shown);
    }
}
