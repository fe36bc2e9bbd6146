//! Why something was not done.

use std::{error, fmt, io};

/// Why a server did not do what it was asked for, or why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZkError {
    code: Option<i32>,
    message: String,
}

impl ZkError {
    pub(crate) fn of_server(code: i32) -> Self {
        let name = NAMES.iter().find(|(known, _)| *known == code);
        let message = name.map_or_else(|| "an error".to_owned(), |(_, name)| (*name).to_owned());
        Self { code: Some(code), message }
    }

    pub(crate) fn garbled() -> Self {
        Self { code: None, message: "the reply is not one".to_owned() }
    }

    pub(crate) fn late() -> Self {
        Self { code: None, message: "no reply in time".to_owned() }
    }

    /// The code of the server, as -101 when there is no such node; none when there was no reply.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// What went wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ZkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} ({code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl error::Error for ZkError {}

impl From<io::Error> for ZkError {
    fn from(error: io::Error) -> Self {
        Self { code: None, message: error.to_string() }
    }
}

pub(crate) const NO_NODE: i32 = -101;
pub(crate) const SESSION_EXPIRED: i32 = -112;
const NAMES: [(i32, &str); 18] = [
    (-4, "connection loss"),
    (-5, "marshalling error"),
    (-6, "unimplemented"),
    (-7, "operation timeout"),
    (-8, "bad arguments"),
    (NO_NODE, "no node"),
    (-102, "no auth"),
    (-103, "bad version"),
    (-108, "no children for ephemerals"),
    (-110, "node exists"),
    (-111, "not empty"),
    (SESSION_EXPIRED, "session expired"),
    (-114, "invalid ACL"),
    (-115, "auth failed"),
    (-118, "session moved"),
    (-119, "not read-only"),
    (-125, "quota exceeded"),
    (-127, "throttled"),
];
