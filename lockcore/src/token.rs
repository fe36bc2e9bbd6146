//! Fencing tokens.

use std::fmt;
use std::num::{NonZeroU64, ParseIntError, TryFromIntError};
use std::str::FromStr;

/// The number of a grant: of two grants of one name, the later one has the greater token.
///
/// Send it with every write that the lock protects, and let the resource refuse a token below the
/// greatest it has seen: then a holder that slept through its lease cannot undo the work of the
/// next one. [`Gate`](crate::Gate) is that check for a resource written in Rust.
///
/// A token is never 0, is not changed by a renewal, and is not used again after a release, an
/// expiry or a restart of the store. Tokens of different names or stores do not compare. Expect
/// large numbers: most stores start from their own clock or revision, so that they need not
/// remember.
///
/// The argument for such tokens is Martin Kleppmann's, "How to do distributed locking" (2016).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(NonZeroU64);

impl FencingToken {
    /// The token with this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, for a column or a header.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl From<FencingToken> for u64 {
    fn from(token: FencingToken) -> Self {
        token.as_u64()
    }
}

impl TryFrom<u64> for FencingToken {
    type Error = TryFromIntError;

    /// The token that was stored as this number; 0 is none.
    fn try_from(number: u64) -> Result<Self, TryFromIntError> {
        NonZeroU64::try_from(number).map(Self)
    }
}

impl FromStr for FencingToken {
    type Err = ParseIntError;

    /// The token that was written down as this text.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FencingToken({})", self.0)
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_stored() {
        let token = FencingToken::new(34).unwrap();
        assert_eq!(FencingToken::try_from(token.as_u64()), Ok(token));
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!(FencingToken::new(0).is_none() && FencingToken::try_from(0).is_err());
        assert!("0".parse::<FencingToken>().is_err() && "-1".parse::<FencingToken>().is_err());
    }
}
