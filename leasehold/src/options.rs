//! The parameters of a URL.

use std::collections::BTreeMap;
#[cfg(feature = "local")]
use std::str::FromStr;

use lockcore::{Error, ErrorKind, Locks, Result};
use url::Url;

/// The parameters of a URL. Whoever understands one takes it; what is left is an error.
pub(crate) struct Options {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Options {
    pub(crate) fn parse(url: &Url) -> Result<Self> {
        let mut given = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if given.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(invalid(format!(
                    "the parameter `{}` is given twice",
                    name.escape_debug()
                )));
            }
        }
        if url.fragment().is_some() {
            return Err(invalid("a URL of a backend has no part after `#`".to_owned()));
        }
        Ok(Self { given, known: Vec::new() })
    }

    /// Takes the text of a parameter.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name)
    }

    /// Takes a parameter that is a number; `what` says of which kind.
    #[cfg(feature = "local")]
    pub(crate) fn number<N: FromStr>(&mut self, name: &'static str) -> Result<Option<N>> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                invalid(format!("`{name}` is a whole number within its range, not {text:?}"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// Applies the parameters that all backends share, and refuses those that nobody took.
    pub(crate) fn finish(mut self, mut locks: Locks) -> Result<Locks> {
        if let Some(text) = self.text("ttl") {
            let duration = humantime::parse_duration(&text).map_err(|error| {
                invalid(format!("`ttl` is a time such as 10s or 1m30s: {error}"))
            })?;
            locks = locks
                .ttl(duration)
                .map_err(|error| invalid(format!("`ttl`: {}", error.message())))?;
        }
        if let Some(label) = self.text("owner") {
            locks = locks
                .owner(label)
                .map_err(|error| invalid(format!("`owner`: {}", error.message())))?;
        }
        let Some(name) = self.given.into_keys().next() else { return Ok(locks) };
        self.known.sort_unstable();
        Err(invalid(format!(
            "the parameter `{}` is unknown; this backend takes {}",
            name.escape_debug(),
            self.known.join(", ")
        )))
    }
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
