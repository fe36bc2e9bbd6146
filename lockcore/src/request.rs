//! What an acquisition asks for.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorKind, LockName, Result, Ttl};

/// In which company a lock is held.
///
/// The three are one mechanism, an ordered queue and the rule of [`queue`](crate::queue).
/// `Exclusive` and `Shared` go together on one name; `Permit` goes only with itself and the same
/// count. Asking for a mode that does not go with those who hold or wait is
/// [`ErrorKind::InvalidConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with others that share.
    Shared,
    /// As one of `of` that may hold at once.
    Permit {
        /// How many may hold at once.
        of: NonZeroU32,
    },
}

impl Mode {
    /// Whether the two may stand in one queue.
    #[must_use]
    pub fn goes_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Permit { of: mine }, Self::Permit { of: theirs }) => mine == theirs,
            (Self::Permit { .. }, _) | (_, Self::Permit { .. }) => false,
            _ => true,
        }
    }

    /// The mode in one word, as metrics and spans carry it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Permit { .. } => "permit",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit { of } => write!(f, "permit of {of}"),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// Who keeps a held lock alive, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// The library renews for as long as the guard lives.
    #[default]
    Auto,
    /// The library renews, but the lock goes to the next one once it was held for this long: a
    /// bound on what a hung holder can do to the others. The holder's belief ends earlier by
    /// [`Ttl::margin`]. Not below the TTL.
    AutoUntil(Duration),
    /// Nobody renews: the lock goes to the next one after one TTL unless the holder calls `renew`.
    /// The holder's belief lasts for [`Ttl::belief`], which is shorter.
    Never,
}

/// A short text that says who asks, shown by `inspect`. It grants nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnerLabel(Arc<str>);

impl OwnerLabel {
    /// The longest label, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The label `label`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] when it is empty, longer than [`OwnerLabel::MAX_LEN`] bytes or
    /// has characters that control a terminal, end a line or turn the direction of writing: it is
    /// printed in tables and logs.
    pub fn new(label: impl AsRef<str>) -> Result<Self> {
        let label = label.as_ref();
        if label.is_empty() || label.len() > Self::MAX_LEN || label.chars().any(is_unprintable) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "an owner label has 1 to {} bytes and no control characters, this one is {:?}",
                    Self::MAX_LEN,
                    label.chars().take(40).collect::<String>()
                ),
            ));
        }
        Ok(Self(label.into()))
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OwnerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for OwnerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Controls, line and paragraph separators, marks and overrides of direction, the byte order mark.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// One acquisition as it is asked of a [`Lock`](crate::Lock): name, mode, TTL, renewal, owner.
///
/// A request that exists can be asked: what does not go together is refused when it is said.
///
/// ```
/// use std::time::Duration;
/// use lockcore::{LockName, Mode, Renewal, Request, Ttl};
///
/// let request = Request::new(LockName::new("orders/123")?, Mode::Exclusive)
///     .with_ttl(Ttl::new(Duration::from_secs(5))?)?
///     .with_renewal(Renewal::AutoUntil(Duration::from_secs(60)))?;
/// # Ok::<(), lockcore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    name: LockName,
    mode: Mode,
    ttl: Ttl,
    renewal: Renewal,
    owner: Option<OwnerLabel>,
}

impl Request {
    /// A request with the default TTL, renewed as long as it is held, by nobody in particular.
    #[must_use]
    pub const fn new(name: LockName, mode: Mode) -> Self {
        Self { name, mode, ttl: Ttl::DEFAULT, renewal: Renewal::Auto, owner: None }
    }

    /// The same request in another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The same request with another TTL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] when the request is renewed until a time below this TTL.
    pub fn with_ttl(mut self, ttl: Ttl) -> Result<Self> {
        self.ttl = ttl;
        self.checked()
    }

    /// The same request with another renewal.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] for [`Renewal::AutoUntil`] with a time below the TTL.
    pub fn with_renewal(mut self, renewal: Renewal) -> Result<Self> {
        self.renewal = renewal;
        self.checked()
    }

    /// The same request with an owner label.
    #[must_use]
    pub fn with_owner(mut self, owner: Option<OwnerLabel>) -> Self {
        self.owner = owner;
        self
    }

    /// The name of the lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.name
    }

    /// In which company it is to be held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How long the store keeps it without a renewal.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// Who renews it.
    #[must_use]
    pub fn renewal(&self) -> Renewal {
        self.renewal
    }

    /// Who asks.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerLabel> {
        self.owner.as_ref()
    }

    fn checked(self) -> Result<Self> {
        match self.renewal {
            Renewal::AutoUntil(max_hold) if max_hold < self.ttl.as_duration() => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "a lock that is renewed until {max_hold:?} needs a TTL of at most that, not {}",
                    self.ttl
                ),
            )),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_does_not_go_together() {
        let request = || Request::new(LockName::new("a").unwrap(), Mode::Exclusive);
        let short = Renewal::AutoUntil(Duration::from_secs(9));
        let error = request().with_renewal(short).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("9s") && error.to_string().contains("10s"), "{error}");

        let five = Ttl::new(Duration::from_secs(5)).unwrap();
        let request = request().with_ttl(five).unwrap().with_renewal(short).unwrap();
        assert!(request.with_ttl(Ttl::DEFAULT).is_err());
    }

    #[test]
    fn modes_go_with_their_kind() {
        let permit = |of| Mode::Permit { of: NonZeroU32::new(of).unwrap() };
        assert!(Mode::Exclusive.goes_with(Mode::Shared) && Mode::Shared.goes_with(Mode::Shared));
        assert!(permit(3).goes_with(permit(3)));
        assert!(!permit(3).goes_with(permit(4)));
        assert!(!permit(3).goes_with(Mode::Shared) && !Mode::Exclusive.goes_with(permit(1)));
    }

    #[test]
    fn labels_are_printable() {
        assert_eq!(OwnerLabel::new("worker-7").unwrap().as_str(), "worker-7");
        for bad in ["", "a\nb", "\u{1b}[31m", "a\u{202e}b", "a\u{2028}b", &"x".repeat(129)] {
            assert_eq!(OwnerLabel::new(bad).unwrap_err().kind(), ErrorKind::InvalidConfig);
        }
    }
}
