//! The queue of one name: who holds it, who waits for it.

use std::collections::VecDeque;
use std::task::Waker;

use lockcore::queue::Ahead;
use lockcore::{
    BootInstant, Claim, Error, ErrorKind, FencingToken, Inspection, LockName, Mode, OwnerLabel,
    Request, Result, clock,
};
use smallvec::SmallVec;

pub(crate) use self::place::{ClientId, Grant, Turn, Wakes};
use self::place::{Hold, Holder, Waiter};
use crate::token::Tokens;

mod place;

/// A name that somebody holds or waits for. A name without either has no queue.
#[derive(Debug)]
pub(crate) struct Queue {
    name: LockName,
    /// In the order of their tokens, which is that of their grants.
    holders: SmallVec<[Holder; 1]>,
    ahead: Ahead,
    /// In the order of their tokens. A waiter that gave up stays as a gap until it is passed.
    waiters: VecDeque<Waiter>,
    gaps: usize,
    /// The earliest end of a hold.
    next_expiry: BootInstant,
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

    /// Nobody uses this queue; from now on it is that of another name.
    pub(crate) fn rename(&mut self, name: LockName) {
        self.name = name;
    }

    /// Nobody uses this queue, and perhaps nobody will for long.
    pub(crate) fn give_memory_back(&mut self) {
        self.holders.shrink_to_fit();
        self.waiters.shrink_to(COMPACT_FROM);
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
        tokens: &mut Tokens,
    ) -> Result<Option<Grant>> {
        let mode = request.mode();
        self.check_mode(mode)?;
        if self.waiting() > 0 || !self.ahead.admits(mode) {
            return Ok(None);
        }
        Ok(Some(self.hold(
            client,
            mode,
            Hold::of(request),
            request.owner().cloned(),
            tokens.next(),
        )))
    }

    /// Puts a waiter at the end.
    pub(crate) fn enqueue(
        &mut self,
        request: &Request,
        client: ClientId,
        tokens: &mut Tokens,
        waker: &Waker,
        max_waiters: usize,
    ) -> Result<FencingToken> {
        if self.waiting() >= max_waiters {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!(
                    "{max_waiters} wait for this lock already, the most that max_waiters allows"
                ),
            ));
        }
        let token = tokens.next();
        self.waiters.push_back(Waiter {
            token,
            client,
            mode: request.mode(),
            hold: Hold::of(request),
            owner: request.owner().cloned(),
            since: clock::coarse(),
            waker: Some(waker.clone()),
        });
        Ok(token)
    }

    /// What became of a waiter; `waker` is woken when that changes.
    pub(crate) fn turn(&mut self, token: FencingToken, waker: &Waker) -> Turn {
        if let Ok(index) = self.holders.binary_search_by_key(&token, |holder| holder.token) {
            let Holder { deadline, expires, .. } = self.holders[index];
            return Turn::Granted(Grant { token, deadline, expires });
        }
        let index = self.waiters.binary_search_by_key(&token, |waiter| waiter.token);
        match index.ok().and_then(|index| self.waiters[index].waker.as_mut()) {
            Some(present) if present.will_wake(waker) => Turn::Waiting(None),
            Some(present) => Turn::Waiting(Some(std::mem::replace(present, waker.clone()))),
            None => Turn::Gone,
        }
    }

    /// Takes a waiter out, or the holder that it became; the end of its hold if it was one.
    pub(crate) fn give_up(
        &mut self,
        token: FencingToken,
        wakes: &mut Wakes,
    ) -> Option<BootInstant> {
        let Ok(index) = self.waiters.binary_search_by_key(&token, |waiter| waiter.token) else {
            return self.release(token);
        };
        wakes.spent = self.waiters[index].waker.take();
        self.gaps += usize::from(wakes.spent.is_some());
        // Each compaction is paid for by the gaps that it removes.
        if self.gaps > COMPACT_FROM && self.gaps * 2 > self.waiters.len() {
            self.waiters.retain(|waiter| waiter.waker.is_some());
            self.waiters.shrink_to(self.waiters.len() * 2);
            self.gaps = 0;
        }
        None
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
        let end = &mut self.holders[index].expires;
        let former = *end;
        // Never back: of two renewals at once the later one may come first.
        *end = expires.max(former);
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

    /// Takes out all that belongs to `client`, and returns the ends of its holds.
    pub(crate) fn evict(
        &mut self,
        client: ClientId,
        wakes: &mut Wakes,
    ) -> Vec<(BootInstant, FencingToken)> {
        let mut ends = Vec::new();
        self.retain_holders(|holder| {
            let stays = holder.client != client;
            if !stays {
                ends.push((holder.expires, holder.token));
            }
            stays
        });
        self.waiters.retain_mut(|waiter| {
            if waiter.client == client {
                wakes.wakers.extend(waiter.waker.take());
            }
            waiter.waker.is_some()
        });
        self.gaps = 0;
        ends
    }

    /// Grants to those at the head whose turn it is.
    pub(crate) fn promote(&mut self, wakes: &mut Wakes) {
        while let Some(head) = self.waiters.front() {
            if head.waker.is_some() && !self.ahead.admits(head.mode) {
                break;
            }
            let Some(head) = self.waiters.pop_front() else { break };
            match head.waker {
                Some(waker) => {
                    let grant =
                        self.hold(head.client, head.mode, head.hold, head.owner, head.token);
                    wakes.wakers.push(waker);
                    if grant.expires != BootInstant::FAR {
                        wakes.ends.push((grant.expires, grant.token));
                    }
                }
                None => self.gaps -= 1,
            }
        }
    }

    pub(crate) fn inspect(&self) -> Inspection {
        let holders = self.holders.iter().map(|holder| {
            Claim::held(holder.owner.clone(), holder.mode, holder.since, holder.token)
        });
        let waiters = self
            .waiters
            .iter()
            .filter(|waiter| waiter.waker.is_some())
            .map(|waiter| Claim::waiting(waiter.owner.clone(), waiter.mode, waiter.since));
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
        token: FencingToken,
    ) -> Grant {
        let grant = hold.grant(token);
        let (deadline, expires) = (grant.deadline, grant.expires);
        self.holders.push(Holder {
            token,
            client,
            mode,
            owner,
            since: clock::coarse(),
            deadline,
            expires,
        });
        self.ahead.add(mode);
        self.next_expiry = self.next_expiry.min(expires);
        grant
    }

    fn check_mode(&self, mode: Mode) -> Result<()> {
        let present = self.holders.first().map(|holder| holder.mode).or_else(|| {
            self.waiters.iter().find(|waiter| waiter.waker.is_some()).map(|waiter| waiter.mode)
        });
        match present {
            Some(present) if !present.goes_with(mode) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "this name is in use as {present} and cannot be taken as {mode} meanwhile: all \
                     who use a name want the same kind of lock, and the same count of permits"
                ),
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use lockcore::Renewal;

    use super::*;

    #[test]
    fn a_renewal_that_comes_late_moves_no_end_back() {
        let name = LockName::new("a").unwrap();
        let request = Request::new(name.clone(), Mode::Exclusive);
        let request = request.with_renewal(Renewal::Never).unwrap();
        let mut queue = Queue::new(name);
        let grant = queue.try_grant(&request, 0, &mut Tokens::default()).unwrap().unwrap();
        let later = grant.expires.saturating_add(std::time::Duration::from_secs(1));
        assert_eq!(queue.renew(grant.token, later), Some(grant.expires));
        assert_eq!(queue.renew(grant.token, grant.expires), Some(later));
        assert_eq!(queue.next_expiry, later);
    }
}
