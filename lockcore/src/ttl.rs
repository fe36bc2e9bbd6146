//! Time to live: how long a store keeps a lock whose holder says nothing.

use std::fmt;
use std::time::Duration;

use crate::{Error, ErrorKind, Result};

/// How long a store keeps a lock after it last heard of the holder.
///
/// From [`Ttl::MIN`] to [`Ttl::MAX`]; a backend may narrow the range and says so in its
/// [`Guarantees`](crate::Guarantees). Short means fast recovery after a crash and many renewals;
/// long means the contrary. Ten seconds, the default, suit most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(Duration);

impl Ttl {
    /// The shortest TTL: a shorter one leaves no time between the first renewal and the deadline.
    pub const MIN: Self = Self(Duration::from_millis(100));
    /// The longest TTL: after a crash nobody gets the lock for that long.
    pub const MAX: Self = Self(Duration::from_secs(24 * 60 * 60));
    /// What is used where nothing is said.
    pub const DEFAULT: Self = Self(Duration::from_secs(10));

    /// A TTL of `duration`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] when `duration` lies outside [`Ttl::MIN`] to [`Ttl::MAX`].
    pub fn new(duration: Duration) -> Result<Self> {
        if duration < Self::MIN.0 || duration > Self::MAX.0 {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "a TTL is from {:?} to {} hours, not {duration:?}",
                    Self::MIN.0,
                    Self::MAX.0.as_secs() / 3_600
                ),
            ));
        }
        Ok(Self(duration))
    }

    /// The TTL as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// How long the holder believes in the lock, counted from *before* its request was written:
    /// TTL · (1 − 1 %) − max(50 ms, TTL / 20).
    ///
    /// The percentage covers clocks that run at different speeds, the rest the way from the
    /// decision to stop to the last byte that was sent under the lock.
    #[must_use]
    pub fn belief(self) -> Duration {
        let drift = self.0 / 100;
        self.0.saturating_sub(drift).saturating_sub(self.margin())
    }

    /// How long before the store's end the belief ends at the least: max(50 ms, TTL / 20).
    #[must_use]
    pub fn margin(self) -> Duration {
        (self.0 / 20).max(MARGIN_FLOOR)
    }

    /// How long after the last renewal the next one is sent: a third of the TTL.
    #[must_use]
    pub fn renewal_period(self) -> Duration {
        self.0 / 3
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(duration: Duration) -> Result<Self> {
        Self::new(duration)
    }
}

impl From<Ttl> for Duration {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}

impl fmt::Debug for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ttl({:?})", self.0)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

const MARGIN_FLOOR: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_range() {
        for bad in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(365 * 86_400)] {
            assert_eq!(Ttl::new(bad).unwrap_err().kind(), ErrorKind::InvalidConfig);
        }
        assert_eq!(Ttl::new(Ttl::MAX.0).unwrap(), Ttl::MAX);
    }

    #[test]
    fn belief_leaves_the_margin() {
        let belief = |ms| Ttl::new(Duration::from_millis(ms)).unwrap().belief();
        assert_eq!(belief(100), Duration::from_millis(49));
        assert_eq!(belief(1_000), Duration::from_millis(940));
        assert_eq!(belief(10_000), Duration::from_millis(9_400));
    }
}
