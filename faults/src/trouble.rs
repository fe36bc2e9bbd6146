//! Why a fault does not count, or counts against the product.

use std::fmt;

/// What kept a fault from being survived.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It did not land.
    Missed(String),
    /// It did, and the system of locks did not come back.
    Broken(String),
}

pub(crate) fn broken(why: impl Into<String>) -> Trouble {
    Trouble::Broken(why.into())
}

pub(crate) fn missed(why: impl Into<String>) -> Trouble {
    Trouble::Missed(why.into())
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(why) => write!(f, "did not land: {why}"),
            Self::Broken(why) => write!(f, "did not heal: {why}"),
        }
    }
}

impl std::error::Error for Trouble {}
