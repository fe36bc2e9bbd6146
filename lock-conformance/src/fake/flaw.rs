//! Ways to be wrong.

/// One way in which the store, or the driver on it, is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// A command that fails is answered as if the lock was busy.
    ErrorLooksBusy,
    /// A hold ends in the store at half its TTL.
    ExpiresEarly,
    /// A hold never ends in the store.
    ExpiresNever,
    /// Any notification counts as the grant; nobody looks again.
    GrantsOnWake,
    /// A release wakes everybody who waits.
    Herd,
    /// The last to come goes first.
    LastComeFirstServed,
    /// A release neither notifies nor is seen by a later check.
    LosesWakeUps,
    /// Names that differ only in case are one.
    NamesFoldCase,
    /// There is no cap on waiters.
    NoWaiterCap,
    /// A semaphore admits one more.
    OnePermitMore,
    /// A reader goes past a writer that waits.
    ReaderOvertakesWriter,
    /// A release takes out whoever holds the lock.
    ReleasesAnyOwner,
    /// A renewal is confirmed though the entry is gone.
    RenewsTheDead,
    /// The token of a released grant is used again.
    ReusesTokens,
    /// `try_lock` takes a free permit before those who wait.
    TryOvertakes,
    /// A waiter that gave up stays in the queue.
    WaiterStays,
}
