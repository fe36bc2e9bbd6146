//! What every driver of a store lets its users choose.

use std::fmt;
use std::time::Duration;

use crate::{Error, ErrorKind, Result};

/// How to speak TLS with a store. Certificates are checked in any case.
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Trusts the authorities that the system trusts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this authority alone: a certificate in PEM.
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Shows the server this certificate: certificate and key in PEM.
    pub fn client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    /// The authority that is trusted, unless it is those of the system; for authors of drivers.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// Our own certificate and its key; for authors of drivers.
    #[must_use]
    pub fn identity(&self) -> Option<(&[u8], &[u8])> {
        self.client.as_ref().map(|(certificate, key)| (&**certificate, &**key))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// How patient a driver is, and how many it lets wait; each value is checked where it is set.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Limits {
    /// How many may wait for one name.
    pub max_waiters: usize,
    /// How long one request may take before its outcome counts as unknown.
    pub request_timeout: Duration,
    /// How often a waiter looks though nothing woke it.
    pub recheck: Duration,
}

impl Limits {
    /// What is used where nothing is said.
    pub const DEFAULT: Self = Self {
        max_waiters: 100_000,
        request_timeout: Duration::from_secs(2),
        recheck: Duration::from_secs(5),
    };

    /// The same with another cap on waiters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for 0: nobody could ever wait.
    pub fn max_waiters(self, max_waiters: usize) -> Result<Self> {
        if max_waiters == 0 {
            return Err(invalid(
                "`max_waiters` is at least 1: with 0 nobody could ever wait".into(),
            ));
        }
        Ok(Self { max_waiters, ..self })
    }

    /// The same with another limit of requests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn request_timeout(self, limit: Duration) -> Result<Self> {
        Ok(Self { request_timeout: within(limit, "request_timeout")?, ..self })
    }

    /// The same with another pace of looks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for less than 10 ms or more than an hour.
    pub fn recheck(self, pace: Duration) -> Result<Self> {
        Ok(Self { recheck: within(pace, "recheck")?, ..self })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether keys may begin with this: up to 128 letters, digits and `._/:-`.
#[must_use]
pub fn is_prefix(prefix: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:-".contains(&byte);
    prefix.len() <= MAX_PREFIX && prefix.bytes().all(is_plain)
}

/// The longest prefix that [`is_prefix`] takes, in bytes.
pub const MAX_PREFIX: usize = 128;

fn within(time: Duration, what: &str) -> Result<Duration> {
    if time < Duration::from_millis(10) || time > Duration::from_secs(3_600) {
        return Err(invalid(format!("`{what}` is from 10 ms to an hour, not {time:?}")));
    }
    Ok(time)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let limits = Limits::DEFAULT;
        assert_eq!(limits.max_waiters(0).unwrap_err().kind(), ErrorKind::InvalidConfig);
        assert_eq!(limits.max_waiters(1).unwrap().max_waiters, 1);
        for time in [Duration::from_millis(9), Duration::from_secs(3_601)] {
            assert!(limits.request_timeout(time).is_err() && limits.recheck(time).is_err());
        }
        let brief = Duration::from_millis(10);
        assert_eq!(limits.recheck(brief).unwrap().recheck, brief);
        assert_eq!(limits.request_timeout(brief).unwrap().request_timeout, brief);
        assert!(is_prefix("") && is_prefix("a/b:c.d_e-f") && is_prefix(&"x".repeat(MAX_PREFIX)));
        assert!(!is_prefix("a b") && !is_prefix("{") && !is_prefix(&"x".repeat(MAX_PREFIX + 1)));
    }

    #[test]
    fn keys_are_not_printed() {
        let tls = Tls::new().ca("CANARY").client("CANARY", "CANARY");
        assert!(!format!("{tls:?}").contains("CANARY"));
        assert_eq!(tls.authority(), Some(&b"CANARY"[..]));
        assert_eq!(tls.identity(), Some((&b"CANARY"[..], &b"CANARY"[..])));
    }
}
