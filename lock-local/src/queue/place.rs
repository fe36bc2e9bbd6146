//! A place in a queue: of one who waits or holds, and what that one is told.

use std::task::Waker;
use std::time::SystemTime;

use lockcore::{BootInstant, FencingToken, Mode, OwnerLabel, Renewal, Request, Ttl, term};
use smallvec::SmallVec;

use crate::sync::Clock;

/// What a holder is told.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) token: FencingToken,
    /// Until when the holder may believe it; [`BootInstant::FAR`] if there is no end.
    pub(crate) deadline: BootInstant,
    /// When the queue goes on without the holder.
    pub(crate) expires: BootInstant,
}

/// Those who were granted, or thrown out, meanwhile; to be woken once the shard is unlocked, so that
/// no waker runs under its lock.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    pub(crate) wakers: SmallVec<[Waker; 1]>,
    /// Of one who gave up: not to be woken, but to be dropped outside as well.
    pub(crate) spent: Option<Waker>,
    /// The ends of the new holds, where they have one.
    pub(crate) ends: Vec<(BootInstant, FencingToken)>,
}

/// What became of somebody who waits.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Still waiting; with the waker that another one has replaced.
    Waiting(Option<Waker>),
    Granted(Grant),
    /// It neither waits nor holds any more.
    Gone,
}

/// Which client of the table somebody belongs to.
pub(crate) type ClientId = u64;

/// Somebody who holds.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) token: FencingToken,
    pub(super) client: ClientId,
    pub(super) mode: Mode,
    pub(super) owner: Option<OwnerLabel>,
    pub(super) since: SystemTime,
    pub(super) deadline: BootInstant,
    pub(super) expires: BootInstant,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    /// The token of its grant: who queued first is granted first, so it may be drawn here.
    pub(super) token: FencingToken,
    pub(super) client: ClientId,
    pub(super) mode: Mode,
    pub(super) hold: Hold,
    pub(super) owner: Option<OwnerLabel>,
    pub(super) since: SystemTime,
    /// `None` is a gap.
    pub(super) waker: Option<Waker>,
}

/// How long a hold lasts, once it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    ttl: Ttl,
    renewal: Renewal,
}

impl Hold {
    #[inline]
    pub(super) fn of(request: &Request) -> Self {
        Self { ttl: request.ttl(), renewal: request.renewal() }
    }

    #[inline]
    pub(super) fn grant(self, token: FencingToken) -> Grant {
        let (deadline, expires) = match self.renewal {
            // The holder lives in this process: as long as it holds the guard, it is alive.
            Renewal::Auto => (BootInstant::FAR, BootInstant::FAR),
            Renewal::AutoUntil(max_hold) => {
                let since = Clock::now();
                (term::hold_limit(since, max_hold, self.ttl), since.saturating_add(max_hold))
            }
            Renewal::Never => {
                let since = Clock::now();
                (term::deadline(since, self.ttl), since.saturating_add(self.ttl.as_duration()))
            }
        };
        Grant { token, deadline, expires }
    }
}
