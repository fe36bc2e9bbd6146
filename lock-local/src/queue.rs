//! The queue of one name: who holds it, who waits for it.

use std::collections::VecDeque;

use lockcore::queue::Ahead;
use lockcore::{
    BootInstant, Claim, Error, ErrorKind, FencingToken, Inspection, LockName, Mode, OwnerLabel,
    Renewal, Request, Result, Ttl, term,
};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::token;

/// A name that somebody holds or waits for. A name without either has no queue.
#[derive(Debug)]
pub(crate) struct Queue {
    name: LockName,
    /// In the order of their tokens, which is that of their grants.
    holders: SmallVec<[Holder; 1]>,
    ahead: Ahead,
    /// In the order of their tickets. A waiter that gave up stays as a gap until it is passed.
    waiters: VecDeque<Waiter>,
    gaps: usize,
    /// The earliest end of a hold.
    next_expiry: BootInstant,
}

/// What a holder is told.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) token: FencingToken,
    /// Until when the holder may believe it; [`BootInstant::FAR`] if there is no end.
    pub(crate) deadline: BootInstant,
    /// When the queue goes on without the holder.
    pub(crate) expires: BootInstant,
    pub(crate) since: BootInstant,
}

/// Grants to be sent once the shard is unlocked, so that no waker runs under its lock.
pub(crate) type Deliveries = SmallVec<[(oneshot::Sender<Grant>, Grant); 1]>;

/// Which client of the table somebody belongs to.
pub(crate) type ClientId = u64;

/// The place of a waiter; unique in its shard for all time.
pub(crate) type Ticket = u64;

#[derive(Debug)]
struct Holder {
    token: FencingToken,
    client: ClientId,
    mode: Mode,
    owner: Option<OwnerLabel>,
    since: BootInstant,
    expires: BootInstant,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    client: ClientId,
    mode: Mode,
    hold: Hold,
    owner: Option<OwnerLabel>,
    since: BootInstant,
    /// `None` is a gap.
    sender: Option<oneshot::Sender<Grant>>,
}

/// How long a hold lasts, once it begins.
#[derive(Clone, Copy, Debug)]
struct Hold {
    ttl: Ttl,
    renewal: Renewal,
}

impl Hold {
    fn of(request: &Request) -> Self {
        Self { ttl: request.ttl(), renewal: request.renewal() }
    }

    fn grant(self, since: BootInstant) -> Grant {
        let (deadline, expires) = match self.renewal {
            // The holder lives in this process: as long as it holds the guard, it is alive.
            Renewal::Auto => (BootInstant::FAR, BootInstant::FAR),
            Renewal::AutoUntil(max_hold) => {
                (term::hold_limit(since, max_hold, self.ttl), since.saturating_add(max_hold))
            }
            Renewal::Never => {
                (term::deadline(since, self.ttl), since.saturating_add(self.ttl.as_duration()))
            }
        };
        Grant { token: token::next(), deadline, expires, since }
    }
}

impl Queue {
    pub(crate) fn new(name: LockName) -> Self {
        Self {
            name,
            holders: SmallVec::new(),
            ahead: Ahead::default(),
            waiters: VecDeque::new(),
            gaps: 0,
            next_expiry: BootInstant::FAR,
        }
    }

    pub(crate) fn name(&self) -> &LockName {
        &self.name
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.claims() == 0
    }

    /// How many hold or wait.
    pub(crate) fn claims(&self) -> usize {
        self.holders.len() + self.waiting()
    }

    /// Grants at once, if it is the turn of this request; never past somebody who waits.
    pub(crate) fn try_grant(
        &mut self,
        request: &Request,
        client: ClientId,
        now: BootInstant,
    ) -> Result<Option<Grant>> {
        let mode = request.mode();
        self.check_mode(mode)?;
        if self.waiting() > 0 || !self.ahead.admits(mode) {
            return Ok(None);
        }
        Ok(Some(self.hold(client, mode, Hold::of(request), request.owner().cloned(), now)))
    }

    /// Puts a waiter at the end.
    pub(crate) fn enqueue(
        &mut self,
        request: &Request,
        client: ClientId,
        ticket: Ticket,
        max_waiters: usize,
        now: BootInstant,
    ) -> Result<oneshot::Receiver<Grant>> {
        if self.waiting() >= max_waiters {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!(
                    "{max_waiters} wait for this lock already, the most that max_waiters allows"
                ),
            ));
        }
        let (sender, receiver) = oneshot::channel();
        self.waiters.push_back(Waiter {
            ticket,
            client,
            mode: request.mode(),
            hold: Hold::of(request),
            owner: request.owner().cloned(),
            since: now,
            sender: Some(sender),
        });
        Ok(receiver)
    }

    /// Takes a waiter out; false when it does not wait, because it was granted.
    pub(crate) fn give_up(&mut self, ticket: Ticket) -> bool {
        let Ok(index) = self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) else {
            return false;
        };
        let was_waiting = self.waiters[index].sender.take().is_some();
        self.gaps += usize::from(was_waiting);
        // Each compaction is paid for by the gaps that it removes.
        if self.gaps > COMPACT_FROM && self.gaps * 2 > self.waiters.len() {
            self.waiters.retain(|waiter| waiter.sender.is_some());
            self.waiters.shrink_to(self.waiters.len() * 2);
            self.gaps = 0;
        }
        was_waiting
    }

    /// Takes a holder out; its end if it was one.
    pub(crate) fn release(&mut self, token: FencingToken) -> Option<BootInstant> {
        let index = self.holders.binary_search_by_key(&token, |holder| holder.token).ok()?;
        let holder = self.holders.remove(index);
        self.ahead.remove(holder.mode);
        if holder.expires == self.next_expiry && holder.expires != BootInstant::FAR {
            self.find_next_expiry();
        }
        Some(holder.expires)
    }

    /// Moves the end of a hold; the former end if it was one.
    pub(crate) fn renew(
        &mut self,
        token: FencingToken,
        expires: BootInstant,
    ) -> Option<BootInstant> {
        let index = self.holders.binary_search_by_key(&token, |holder| holder.token).ok()?;
        let former = std::mem::replace(&mut self.holders[index].expires, expires);
        self.find_next_expiry();
        Some(former)
    }

    /// Takes out those whose hold has ended; whether there were any.
    pub(crate) fn expire(&mut self, now: impl Fn() -> BootInstant) -> bool {
        // The plain path reads no clock here.
        if self.next_expiry == BootInstant::FAR {
            return false;
        }
        let now = now();
        let ended = self.next_expiry <= now;
        if ended {
            self.retain_holders(|holder| holder.expires > now);
        }
        ended
    }

    /// Takes out all that belongs to `client`, and returns the ends of its holds. Its waiters find
    /// their channel closed.
    pub(crate) fn evict(&mut self, client: ClientId) -> Vec<(BootInstant, FencingToken)> {
        let mut ends = Vec::new();
        self.retain_holders(|holder| {
            let stays = holder.client != client;
            if !stays {
                ends.push((holder.expires, holder.token));
            }
            stays
        });
        self.waiters.retain(|waiter| waiter.sender.is_some() && waiter.client != client);
        self.gaps = 0;
        ends
    }

    /// Grants to those at the head whose turn it is.
    pub(crate) fn promote(&mut self, now: impl Fn() -> BootInstant) -> Deliveries {
        let mut deliveries = Deliveries::new();
        while let Some(head) = self.waiters.front() {
            if head.sender.is_some() && !self.ahead.admits(head.mode) {
                break;
            }
            let Some(head) = self.waiters.pop_front() else { break };
            match head.sender {
                Some(sender) => {
                    let grant = self.hold(head.client, head.mode, head.hold, head.owner, now());
                    deliveries.push((sender, grant));
                }
                None => self.gaps -= 1,
            }
        }
        deliveries
    }

    pub(crate) fn inspect(&self) -> Inspection {
        let holders = self.holders.iter().map(|holder| {
            let since = holder.since.to_wall();
            Claim::held(holder.owner.clone(), holder.mode, since, holder.token)
        });
        let waiters = self.waiters.iter().filter(|waiter| waiter.sender.is_some()).map(|waiter| {
            Claim::waiting(waiter.owner.clone(), waiter.mode, waiter.since.to_wall())
        });
        Inspection::new(holders.collect(), waiters.collect())
    }

    fn retain_holders(&mut self, mut stays: impl FnMut(&Holder) -> bool) {
        let ahead = &mut self.ahead;
        self.holders.retain(|holder| {
            let stays = stays(holder);
            if !stays {
                ahead.remove(holder.mode);
            }
            stays
        });
        self.find_next_expiry();
    }

    fn waiting(&self) -> usize {
        self.waiters.len() - self.gaps
    }

    fn hold(
        &mut self,
        client: ClientId,
        mode: Mode,
        hold: Hold,
        owner: Option<OwnerLabel>,
        since: BootInstant,
    ) -> Grant {
        let grant = hold.grant(since);
        let (token, expires) = (grant.token, grant.expires);
        self.holders.push(Holder { token, client, mode, owner, since, expires });
        self.ahead.add(mode);
        self.next_expiry = self.next_expiry.min(expires);
        grant
    }

    fn check_mode(&self, mode: Mode) -> Result<()> {
        let present = self.holders.first().map(|holder| holder.mode).or_else(|| {
            self.waiters.iter().find(|waiter| waiter.sender.is_some()).map(|waiter| waiter.mode)
        });
        match present {
            Some(present) if !present.goes_with(mode) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("this name is in use as {present} and cannot be taken as {mode} meanwhile"),
            )),
            _ => Ok(()),
        }
    }

    fn find_next_expiry(&mut self) {
        self.next_expiry =
            self.holders.iter().map(|holder| holder.expires).min().unwrap_or(BootInstant::FAR);
    }
}

const COMPACT_FROM: usize = 16;
