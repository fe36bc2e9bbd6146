//! What the schedule explorer replaces: locks, the counter of tokens, and the clock.

#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(not(shuttle))]
pub(crate) use lockcore::BootInstant as Clock;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::AtomicBool;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// Locks `mutex`. A panic while it was held cannot leave a queue half changed: every change is made
/// of steps that do not panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A clock that stands still until a test moves it.
#[cfg(shuttle)]
pub(crate) struct Clock;

#[cfg(shuttle)]
static NANOS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 40);

#[cfg(shuttle)]
impl Clock {
    pub(crate) fn now() -> lockcore::BootInstant {
        let nanos = NANOS.load(std::sync::atomic::Ordering::SeqCst);
        lockcore::BootInstant::from_nanos(nanos)
    }

    pub(crate) fn advance(by: std::time::Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX >> 8);
        NANOS.fetch_add(nanos, std::sync::atomic::Ordering::SeqCst);
    }
}
