//! Names of locks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// The name of a lock: 1 to 512 bytes of UTF-8, any characters.
///
/// Two names are the same lock when they are the same bytes: case counts, and so does the Unicode
/// form. Each driver writes names to its store in a way that keeps every two of them apart, so a
/// name may hold slashes, line breaks or NUL. `Display` escapes it as a Rust string would be, so that
/// it breaks no line of a log.
///
/// A clone shares the text.
///
/// ```
/// use lockcore::{ErrorKind, LockName};
///
/// let name = LockName::new("orders/123")?;
/// assert_eq!(name.as_str(), "orders/123");
/// assert_eq!(LockName::new("").unwrap_err().kind(), ErrorKind::InvalidName);
/// # Ok::<(), lockcore::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

impl LockName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 512;

    /// The name `name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`] when it is empty or longer than [`LockName::MAX_LEN`] bytes.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let len = name.len();
        if len == 0 || len > Self::MAX_LEN {
            return Err(Error::new(
                ErrorKind::InvalidName,
                format!("a lock name has 1 to {} bytes, this one has {len}", Self::MAX_LEN),
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

impl AsRef<str> for LockName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for LockName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_any_text_within_its_length() {
        for good in ["a", "\0", "a\nb", "🔒", "..", "a/b/../c", "*?[", " ", &"x".repeat(512)] {
            assert_eq!(LockName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", &"x".repeat(513), &"é".repeat(257)] {
            let error = LockName::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName);
            assert!(error.to_string().contains(&bad.len().to_string()), "{error}");
        }
    }

    #[test]
    fn twins_differ_and_logs_keep_their_lines() {
        assert_ne!(LockName::new("A").unwrap(), LockName::new("a").unwrap());
        assert_ne!(LockName::new("é").unwrap(), LockName::new("e\u{301}").unwrap());
        assert_eq!(LockName::new("a\nb").unwrap().to_string(), "a\\nb");
    }
}
