//! The one clock of all beliefs: boot time, which goes on while the machine sleeps.

use std::fmt;
use std::time::{Duration, SystemTime};

#[cfg(shuttle)]
use crate::rt::boot_nanos;
use crate::rt::sleep;

/// A point on the boot-time clock.
///
/// On Linux and Android this is `CLOCK_BOOTTIME`: it never steps, and it counts the time that the
/// machine was suspended. [`std::time::Instant`] stands still in suspend, so a lease timed by it
/// would be believed long after the store gave the lock to somebody else. Apple's monotonic clock
/// counts suspend as well. Elsewhere the standard library's clock is used.
///
/// All processes of one machine read the same clock, so the instants of several logs compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootInstant(u64);

impl BootInstant {
    /// Later than any instant that will be reached.
    pub const FAR: Self = Self(u64::MAX);

    /// The instant it is.
    #[must_use]
    pub fn now() -> Self {
        Self(boot_nanos())
    }

    /// The instant this many nanoseconds after boot.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved into the future, at the most to [`BootInstant::FAR`].
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// This instant moved into the past, at the most to the boot.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is the later one.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time from now to this instant; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.saturating_since(Self::now())
    }

    /// The time from this instant to now; zero when it is still to come.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_since(self)
    }
}

impl fmt::Debug for BootInstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{:?}", Duration::from_nanos(self.0))
    }
}

/// The wall clock, a few milliseconds late and several times as fast to read: for showing to a
/// person since when something is.
#[must_use]
pub fn coarse() -> SystemTime {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    SystemTime::now()
}

/// Waits until `at`.
///
/// Timers stand still while the machine is suspended, so the wait is cut into slices: after a
/// resume it is late by one slice at the most. The clock is that of the machine: `tokio::time::pause`
/// and `advance` do not move it, and with paused time the wait spins.
///
/// # Cancel safety
///
/// Dropping the future has no effect.
///
/// # Panics
///
/// Outside a tokio runtime with its timer enabled.
pub async fn sleep_until(at: BootInstant) {
    loop {
        let left = at.remaining();
        if left.is_zero() {
            return;
        }
        sleep(left.min(SLICE)).await;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(unix, not(shuttle)))]
fn boot_nanos() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

    let now = rustix::time::clock_gettime(CLOCK);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(not(any(unix, shuttle)))]
fn boot_nanos() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Away from zero, so that instants before the first reading can be expressed.
    nanos(START.elapsed()).saturating_add(1 << 60)
}

const SLICE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_and_saturates() {
        let first = BootInstant::now();
        let second = BootInstant::now();
        assert!(second >= first);
        assert_eq!(first.saturating_since(second.saturating_add(SLICE)), Duration::ZERO);
        assert_eq!(BootInstant::FAR.saturating_add(SLICE), BootInstant::FAR);
        assert_eq!(BootInstant::from_nanos(3).saturating_sub(SLICE).as_nanos(), 0);
    }

    #[test]
    fn the_coarse_clock_is_near() {
        let before = SystemTime::now() - Duration::from_millis(100);
        let coarse = coarse();
        assert!(before < coarse && coarse <= SystemTime::now() + Duration::from_millis(100));
    }
}
