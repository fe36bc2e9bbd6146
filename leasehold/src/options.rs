//! The parameters of a URL.

use std::collections::BTreeMap;
#[cfg(any(feature = "etcd", feature = "local", feature = "redis", feature = "zk"))]
use std::str::FromStr;
use std::time::Duration;

use lockcore::{Error, ErrorKind, Locks, Result, Ttl};
use url::Url;

/// The parameters of a URL. Whoever understands one takes it; what is left is an error.
pub(crate) struct Options {
    given: BTreeMap<String, String>,
    /// Whether one of them is a password.
    has_password: bool,
    known: Vec<&'static str>,
    ttl: Option<Duration>,
    owner: Option<String>,
}

impl Options {
    pub(crate) fn parse(url: &Url) -> Result<Self> {
        let mut given = BTreeMap::new();
        let has_password = url.query_pairs().any(|(name, _)| is_password(&name));
        for (name, value) in url.query_pairs() {
            let is_bare = value.is_empty();
            if given.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                let name = quote(&name, is_bare && has_password);
                return Err(invalid(format!("{name} is given twice")));
            }
        }
        if url.fragment().is_some() {
            return Err(invalid("a URL of a backend has no part after `#`".to_owned()));
        }
        Ok(Self { given, has_password, known: Vec::new(), ttl: None, owner: None })
    }

    /// Takes the text of a parameter.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name)
    }

    /// Takes a parameter that is a whole number.
    #[cfg(any(feature = "etcd", feature = "local", feature = "redis", feature = "zk"))]
    pub(crate) fn number<N: FromStr>(&mut self, name: &'static str) -> Result<Option<N>> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                let shown = shown(&text);
                invalid(format!("`{name}` is a whole number within its range, not {shown}"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// Takes a parameter that is a time.
    pub(crate) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        let parse = |text: String| {
            humantime::parse_duration(&text).map_err(|error| {
                invalid(format!("`{name}` is a time such as 10s or 1m30s: {error}"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// Reads the parameters that all backends share, and refuses those that nobody took. A backend
    /// that talks to a server calls it when it has taken its own and before it does: a typing error
    /// is told even if the server is down.
    pub(crate) fn check(&mut self) -> Result<()> {
        // What was read by an earlier call is no longer given.
        self.ttl = self.duration("ttl")?.or(self.ttl);
        self.owner = self.text("owner").or_else(|| self.owner.take());
        let Some((name, value)) = self.given.iter().next() else { return Ok(()) };
        let name = quote(name, value.is_empty() && self.has_password);
        self.known.sort_unstable();
        self.known.dedup();
        let known = self.known.join(", ");
        Err(invalid(format!("{name} is unknown; this backend takes {known}")))
    }

    /// Applies the parameters that all backends share.
    pub(crate) fn finish(mut self, mut locks: Locks) -> Result<Locks> {
        self.check()?;
        match self.ttl {
            Some(ttl) => {
                locks = locks
                    .ttl(ttl)
                    .map_err(|error| invalid(format!("`ttl`: {}", error.message())))?;
            }
            // Otherwise the first lock would tell it.
            None => locks.guarantees().check_ttl(Ttl::DEFAULT).map_err(|error| {
                let message = error.message();
                invalid(format!("{message}, which is the default: choose one by `ttl`"))
            })?,
        }
        if let Some(label) = self.owner {
            locks = locks
                .owner(label)
                .map_err(|error| invalid(format!("`owner`: {}", error.message())))?;
        }
        Ok(locks)
    }
}

/// What a parameter says. With its `&` lost, one that is a secret would be a part of that.
#[cfg(any(feature = "etcd", feature = "local", feature = "redis", feature = "zk"))]
pub(crate) fn shown(text: &str) -> String {
    if is_password(text) { "what looks like a password".into() } else { format!("{text:?}") }
}

/// A name that can be one; others are what is left of a URL that is broken, passwords included.
fn quote(name: &str, may_be_secret: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // With its `=` lost, the value of the one that is a secret would be a part of the name; with an `&` in
    // its place, all of the name.
    if may_be_secret {
        "a parameter without a value, beside a password,".to_owned()
    } else if name.chars().all(plain) && !is_password(name) {
        format!("the parameter `{name}`")
    } else {
        "a parameter whose name is not made of letters, digits and `_`, or that looks like a \
         password,"
            .to_owned()
    }
}

fn is_password(name: &str) -> bool {
    name.contains("password")
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Options {
        Options::parse(&Url::parse(&format!("redis://h?{query}")).unwrap()).unwrap()
    }

    #[test]
    fn a_typing_error_is_told_before_there_are_locks() {
        let mut options = options("request_timeout=1500ms&tls_cb=x&ttl=3s");
        let timeout = options.duration("request_timeout").unwrap();
        assert_eq!(timeout, Some(Duration::from_millis(1_500)));
        assert_eq!(options.text("tls_ca"), None);
        let error = options.check().unwrap_err().to_string();
        assert!(error.contains("`tls_cb`"), "{error}");
        assert!(error.ends_with("takes owner, request_timeout, tls_ca, ttl"), "{error}");
        for broken in ["a@b", "sentinel_passwordhunter2"] {
            let shown = quote(broken, false);
            assert!(shown.contains("letters") && !shown.contains(broken), "{shown}");
        }
    }

    #[test]
    fn what_stands_alone_beside_a_password_may_be_a_part_of_it() {
        for query in ["password&hunter2", "password=x&hunter2", "sentinel_password=&hunter2&ttl=3s"]
        {
            let error = options(query).check().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{query}: {error}");
        }
        let error = options("hunter2&ttl=3s").check().unwrap_err().to_string();
        assert!(error.contains("`hunter2`"), "{error}");
        let twice = Url::parse("redis://h?password&hunter2&hunter2").unwrap();
        let error = Options::parse(&twice).err().unwrap().to_string();
        assert!(error.contains("twice") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_second_check_forgets_nothing() {
        let mut options = options("ttl=3s&owner=worker-7");
        for _ in 0..2 {
            options.check().unwrap();
            assert_eq!(options.ttl, Some(Duration::from_secs(3)));
            assert_eq!(options.owner.as_deref(), Some("worker-7"));
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        for query in ["recheck=5", "recheck=", "recheck=-1s"] {
            let error = options(query).duration("recheck").expect_err(query).to_string();
            assert!(error.contains("`recheck` is a time such as 10s"), "{query}: {error}");
        }
    }
}
