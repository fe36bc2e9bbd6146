//! Who holds a lock and who waits for it.

use std::time::SystemTime;

use crate::{FencingToken, Mode, OwnerLabel};

/// Holders and waiters of one name at one moment, in the order of the queue.
///
/// A picture for people and dashboards: by the time it is read it may be old. Never decide by it
/// whether a lock is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    holders: Vec<Claim>,
    waiters: Vec<Claim>,
}

impl Inspection {
    /// A picture of these claims, each list in the order of the queue; for authors of drivers.
    #[must_use]
    pub fn new(holders: Vec<Claim>, waiters: Vec<Claim>) -> Self {
        let waiters = waiters
            .into_iter()
            .enumerate()
            .map(|(index, claim)| Claim { place: Some(index + 1), ..claim })
            .collect();
        Self { holders, waiters }
    }

    /// Those who hold the lock, in the order of their grants.
    #[must_use]
    pub fn holders(&self) -> &[Claim] {
        &self.holders
    }

    /// Those who wait, the next one first.
    #[must_use]
    pub fn waiters(&self) -> &[Claim] {
        &self.waiters
    }

    /// Whether nobody holds the lock or waits for it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }
}

/// One holder or waiter of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    owner: Option<OwnerLabel>,
    mode: Mode,
    since: SystemTime,
    token: Option<FencingToken>,
    place: Option<usize>,
}

impl Claim {
    /// A claim that is held since `since` with `token`; for authors of drivers.
    #[must_use]
    pub fn held(
        owner: Option<OwnerLabel>,
        mode: Mode,
        since: SystemTime,
        token: FencingToken,
    ) -> Self {
        Self { owner, mode, since, token: Some(token), place: None }
    }

    /// A claim that waits since `since`; for authors of drivers.
    #[must_use]
    pub fn waiting(owner: Option<OwnerLabel>, mode: Mode, since: SystemTime) -> Self {
        Self { owner, mode, since, token: None, place: None }
    }

    /// A claim of a client of another kind, of which no more is known than that it was seen at
    /// `seen`; for authors of drivers.
    #[must_use]
    pub fn foreign(seen: SystemTime) -> Self {
        Self { owner: None, mode: Mode::Exclusive, since: seen, token: None, place: None }
    }

    /// Who says to be the owner.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_ref().map(OwnerLabel::as_str)
    }

    /// In which company the lock is held or asked for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Since when it is held or waited for, on the clock of the one who wrote it down.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// The token of a holder; `None` for a waiter, and for a holder that is a client of another
    /// kind.
    #[must_use]
    pub fn token(&self) -> Option<FencingToken> {
        self.token
    }

    /// The place of a waiter, from 1; `None` for a holder.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        self.place
    }
}
