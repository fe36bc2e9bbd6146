//! Where a URL leads.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// What a URL says, but for its parameters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: String,
    /// Decoded, as is the password.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// In the order of the URL; a literal of IPv6 is without its brackets.
    pub(crate) hosts: Vec<(String, Option<u16>)>,
    /// As in the URL: percent-encoded, with its first slash.
    pub(crate) path: String,
}

impl Address {
    /// Reads `text`. The URL that comes with the address has the same parameters and one host at
    /// the most. An error says what is wrong; nothing of `text` is in it, for there a password may
    /// stand in any place.
    pub(crate) fn parse(text: &str) -> Result<(Self, Url), String> {
        // The crate `url` does both, but only after we have looked.
        let text = text.trim_matches(|c| c <= ' ').replace(['\t', '\n', '\r'], "");
        let Some((scheme, authority, tail)) = split(&text) else {
            let url = parse_url(&text)?;
            return Ok((Self::new(&url, Vec::new())?, url));
        };
        if tail.contains('@') {
            // Otherwise half a password would be a path or a parameter, which errors may show.
            return Err(format!("an `@` behind the hosts is written `%40`; {IN_PASSWORDS}"));
        }
        let (user, list) = match authority.rsplit_once('@') {
            Some((user, list)) => (Some(user), list),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains('@')) {
            return Err(format!("all hosts share what stands before the one `@`; {IN_PASSWORDS}"));
        }

        // The crate `url` takes one host; it judges each of ours.
        let pieces: Vec<_> = match (user, list) {
            (None, "") => Vec::new(),
            _ => list.split(',').collect(),
        };
        let hosts = pieces.iter().enumerate().map(|(i, piece)| {
            host(scheme, piece).map_err(|error| format!("host {} of the list: {error}", i + 1))
        });
        let hosts = hosts.collect::<Result<_, _>>()?;
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let first = pieces.first().unwrap_or(&"");
        let url = parse_url(&format!("{scheme}://{user}{first}{tail}"))?;
        Ok((Self::new(&url, hosts)?, url))
    }

    fn new(url: &Url, hosts: Vec<(String, Option<u16>)>) -> Result<Self, String> {
        Ok(Self {
            scheme: url.scheme().to_owned(),
            username: decode("user", Some(url.username()))?,
            password: decode("password", url.password())?,
            hosts,
            path: url.path().to_owned(),
        })
    }
}

/// Without user and password: people put the one where the other belongs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| format_args!("…"));
        f.debug_struct("Address")
            .field("scheme", &self.scheme)
            .field("username", &hidden(&self.username))
            .field("password", &hidden(&self.password))
            .field("hosts", &self.hosts)
            .field("path", &self.path)
            .finish()
    }
}

/// The scheme; what stands behind `//` up to the path; and the rest. `None` without `//`.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    Some((scheme, authority, tail))
}

fn host(scheme: &str, piece: &str) -> Result<(String, Option<u16>), String> {
    let url = parse_url(&format!("{scheme}://{piece}"))?;
    let host = match url.host() {
        None => return Err("empty host".to_owned()),
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
    };
    if host.contains('%') {
        return Err("a host is written in ASCII, as in DNS".to_owned());
    }
    Ok((host, url.port()))
}

/// The errors of the crate `url` are fixed texts.
fn parse_url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| error.to_string())
}

fn decode(what: &str, text: Option<&str>) -> Result<Option<String>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(Some(text.into_owned())),
        Err(_) => Err(format!("the {what} is not UTF-8")),
    }
}

const IN_PASSWORDS: &str =
    "in a user or password `@`, `/`, `?`, `#` and `%` are `%40`, `%2F`, `%3F`, `%23` and `%25`";

#[cfg(test)]
mod tests;
