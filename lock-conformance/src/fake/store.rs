//! The state of the fake store. Everything happens under one mutex, in no time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use lockcore::queue::Ahead;
use lockcore::{
    BootInstant, Claim, Entry, Error, ErrorKind, FencingToken, Inspection, LossCause, Mode,
    Renewal, Renewed, Request, Result, Sessions, Standing, Wake, Withdrawn,
};
use tokio::sync::Notify;

use super::Flaw;

#[derive(Debug)]
pub(super) struct State {
    sessions: Sessions,
    flaw: Option<Flaw>,
    queues: HashMap<String, Vec<Record>>,
    /// The ends of shared sessions.
    ends: HashMap<u64, BootInstant>,
    last_session: u64,
    last_token: u64,
    pub(super) notifications: usize,
    pub(super) loses_notifications: bool,
}

/// An entry in the store.
#[derive(Debug)]
struct Record {
    id: u128,
    session: u64,
    request: Request,
    since: SystemTime,
    granted: Option<FencingToken>,
    /// With a session per grant, the record's own end.
    expires: BootInstant,
    bell: Arc<Notify>,
}

/// Where a waiter hears of its grant.
pub(super) struct Bell {
    pub(super) notify: Arc<Notify>,
    pub(super) is_granted: Option<FencingToken>,
}

impl State {
    pub(super) fn new(sessions: Sessions, flaw: Option<Flaw>) -> Self {
        Self {
            sessions,
            flaw,
            queues: HashMap::new(),
            ends: HashMap::new(),
            last_session: 0,
            last_token: 0,
            notifications: 0,
            loses_notifications: false,
        }
    }

    pub(super) fn records(&mut self) -> usize {
        let names: Vec<_> = self.queues.keys().cloned().collect();
        for name in names {
            self.settle(&name);
        }
        self.queues.values().map(Vec::len).sum()
    }

    pub(super) fn sessions(&mut self) -> usize {
        let now = BootInstant::now();
        self.ends.retain(|_, end| *end > now);
        self.ends.len()
    }

    pub(super) fn open(&mut self, request: &Request) -> u64 {
        self.last_session += 1;
        if self.sessions.are_shared() {
            self.ends.insert(self.last_session, self.end_of(request));
        }
        self.last_session
    }

    pub(super) fn close_session(&mut self, session: u64) {
        self.ends.remove(&session);
        let names: Vec<_> = self.queues.keys().cloned().collect();
        for name in names {
            self.remove(&name, |record| record.session == session);
        }
    }

    pub(super) fn enqueue(
        &mut self,
        session: u64,
        entry: &Entry,
        max_waiters: Option<NonZeroUsize>,
    ) -> Result<Standing> {
        let name = self.key(entry.name().as_str());
        self.settle(&name);
        let (id, request) = (entry.id().as_u128(), entry.request());
        if self.find(&name, id).is_some() {
            return self.check(session, entry);
        }
        if self.sessions.are_shared() && !self.ends.contains_key(&session) {
            return Err(Error::lost(LossCause::SessionEnded));
        }
        let expires = self.end_of(request);
        let overtakes = self.flaw == Some(Flaw::TryOvertakes) && !entry.waits();
        let caps = self.flaw != Some(Flaw::NoWaiterCap);
        let queue = self.queues.entry(name.clone()).or_default();
        let mode = request.mode();
        if let Some(other) = queue.iter().find(|other| !other.request.mode().goes_with(mode)) {
            let message = format!("this name is in use as {}", other.request.mode());
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        let mut ahead = Ahead::default();
        for other in queue.iter().filter(|other| !overtakes || other.granted.is_some()) {
            ahead.add(other.request.mode());
        }
        if !ahead.admits(mode) && !entry.waits() {
            return Ok(Standing::Busy);
        }
        let waiting = queue.iter().filter(|other| other.granted.is_none()).count();
        if caps && !ahead.admits(mode) && max_waiters.is_some_and(|max| waiting >= max.get()) {
            return Err(Error::new(ErrorKind::QueueFull, "as many wait as max_waiters allows"));
        }
        let record = Record {
            id,
            session,
            request: request.clone(),
            since: entry.since(),
            granted: None,
            expires,
            bell: Arc::default(),
        };
        if overtakes {
            queue.insert(0, record);
        } else {
            queue.push(record);
        }
        self.promote(&name, Some(id));
        self.check(session, entry)
    }

    pub(super) fn check(&mut self, session: u64, entry: &Entry) -> Result<Standing> {
        let name = self.key(entry.name().as_str());
        if self.flaw != Some(Flaw::LosesWakeUps) {
            self.settle(&name);
        }
        let expires = self.end_of(entry.request());
        let holder_end = self.first_end(&name);
        let sessions = self.sessions;
        let Some(record) = self.find(&name, entry.id().as_u128()) else {
            return Err(Error::lost(LossCause::Revoked));
        };
        if sessions == Sessions::PerGrant {
            record.expires = expires;
        }
        debug_assert_eq!(record.session, session);
        Ok(match record.granted {
            Some(token) => Standing::Granted(token),
            None => Standing::Queued { recheck: holder_end.map(|end| end.remaining()) },
        })
    }

    pub(super) fn bell(&mut self, entry: &Entry) -> Option<Bell> {
        let name = self.key(entry.name().as_str());
        let record = self.find(&name, entry.id().as_u128())?;
        Some(Bell { notify: record.bell.clone(), is_granted: record.granted })
    }

    /// Whether the entry stands there.
    pub(super) fn has(&mut self, entry: &Entry) -> bool {
        let name = self.key(entry.name().as_str());
        self.find(&name, entry.id().as_u128()).is_some()
    }

    /// What a notification says to this entry.
    pub(super) fn answer(&mut self, entry: &Entry) -> Wake {
        let granted = self.bell(entry).and_then(|bell| bell.is_granted);
        match granted {
            Some(token) => Wake::Granted(token),
            None if self.flaw == Some(Flaw::GrantsOnWake) => Wake::Granted(self.next_token()),
            None => Wake::Check,
        }
    }

    pub(super) fn withdraw(&mut self, entry: &Entry) -> Withdrawn {
        let name = self.key(entry.name().as_str());
        self.settle(&name);
        let id = entry.id().as_u128();
        let granted = self.find(&name, id).map(|record| record.granted);
        match (self.flaw, granted) {
            (Some(Flaw::WaiterStays), Some(None)) => return Withdrawn::Removed,
            (Some(Flaw::ReleasesAnyOwner), None) => {
                return match self.remove_first(&name, |record| record.granted.is_some()) {
                    true => Withdrawn::Removed,
                    false => Withdrawn::Absent,
                };
            }
            (Some(Flaw::ReusesTokens), Some(Some(_))) => self.last_token -= 1,
            _ => {}
        }
        if self.remove_first(&name, |record| record.id == id) {
            Withdrawn::Removed
        } else {
            Withdrawn::Absent
        }
    }

    pub(super) fn renew(&mut self, session: u64, name: &str, request: &Request) -> Renewed {
        let name = self.key(name);
        self.settle(&name);
        let expires = self.end_of(request);
        let kept = match self.sessions {
            Sessions::Shared | Sessions::Connection => {
                self.ends.get_mut(&session).map(|end| *end = expires).is_some()
            }
            Sessions::PerGrant => {
                let queue = self.queues.get_mut(&name).into_iter().flatten();
                let mut own = queue.filter(|record| record.session == session);
                own.next().map(|record| record.expires = expires).is_some()
            }
        };
        match self.sessions {
            _ if kept || self.flaw == Some(Flaw::RenewsTheDead) => Renewed::Kept,
            Sessions::Shared | Sessions::Connection => Renewed::Gone(LossCause::SessionEnded),
            Sessions::PerGrant => Renewed::Gone(LossCause::Revoked),
        }
    }

    pub(super) fn inspect(&mut self, name: &str) -> Inspection {
        let name = self.key(name);
        self.settle(&name);
        let (mut holders, mut waiters) = (Vec::new(), Vec::new());
        for record in self.queues.get(&name).into_iter().flatten() {
            let (owner, mode) = (record.request.owner().cloned(), record.request.mode());
            match record.granted {
                Some(token) => holders.push(Claim::held(owner, mode, record.since, token)),
                None => waiters.push(Claim::waiting(owner, mode, record.since)),
            }
        }
        Inspection::new(holders, waiters)
    }

    pub(super) fn revoke(&mut self, name: &str) {
        let name = self.key(name);
        self.remove(&name, |record| record.granted.is_some());
    }

    pub(super) fn lose_data(&mut self) {
        self.queues.clear();
        self.ends.clear();
    }

    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    fn key(&self, name: &str) -> String {
        if self.flaw == Some(Flaw::NamesFoldCase) { name.to_lowercase() } else { name.to_owned() }
    }

    fn find(&mut self, name: &str, id: u128) -> Option<&mut Record> {
        self.queues.get_mut(name)?.iter_mut().find(|record| record.id == id)
    }

    fn end_of(&self, request: &Request) -> BootInstant {
        let ttl = request.ttl().as_duration();
        let ttl = match self.flaw {
            Some(Flaw::ExpiresEarly) if request.renewal() == Renewal::Never => ttl / 2,
            Some(Flaw::ExpiresNever) => return BootInstant::FAR,
            _ => ttl,
        };
        BootInstant::now().saturating_add(ttl)
    }

    fn first_end(&self, name: &str) -> Option<BootInstant> {
        let queue = self.queues.get(name)?.iter();
        queue.filter(|record| record.granted.is_some()).map(|record| self.end(record)).min()
    }

    fn end(&self, record: &Record) -> BootInstant {
        match self.sessions {
            Sessions::PerGrant => record.expires,
            Sessions::Shared | Sessions::Connection => {
                self.ends.get(&record.session).copied().unwrap_or(BootInstant::from_nanos(0))
            }
        }
    }

    /// Takes out entries whose time is over.
    fn settle(&mut self, name: &str) {
        let now = BootInstant::now();
        self.ends.retain(|_, end| *end > now);
        let Some(queue) = self.queues.get(name) else { return };
        let over: Vec<_> =
            queue.iter().filter(|record| self.end(record) <= now).map(|record| record.id).collect();
        if !over.is_empty() {
            self.remove(name, |record| over.contains(&record.id));
        }
    }

    fn remove_first(&mut self, name: &str, picks: impl Fn(&Record) -> bool) -> bool {
        let Some(queue) = self.queues.get(name) else { return false };
        let Some(id) = queue.iter().find(|record| picks(record)).map(|record| record.id) else {
            return false;
        };
        self.remove(name, |record| record.id == id);
        true
    }

    fn remove(&mut self, name: &str, picks: impl Fn(&Record) -> bool) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        queue.retain(|record| !picks(record));
        if queue.is_empty() {
            self.queues.remove(name);
            return;
        }
        let bells: Vec<_> = match self.flaw {
            Some(Flaw::LosesWakeUps) => return,
            Some(Flaw::Herd | Flaw::GrantsOnWake) => {
                queue.iter().map(|record| record.bell.clone()).collect()
            }
            _ => Vec::new(),
        };
        self.notifications += bells.len();
        for bell in bells {
            bell.notify_one();
        }
        self.promote(name, None);
    }

    /// Grants to those whose turn it is, and notifies them; `quietly` one that asks right now.
    fn promote(&mut self, name: &str, quietly: Option<u128>) {
        let Some(mut queue) = self.queues.remove(name) else { return };
        let order: Vec<usize> = match self.flaw {
            Some(Flaw::LastComeFirstServed) => {
                let (held, waits): (Vec<_>, Vec<_>) =
                    (0..queue.len()).partition(|&at| queue[at].granted.is_some());
                held.into_iter().chain(waits.into_iter().rev()).collect()
            }
            _ => (0..queue.len()).collect(),
        };
        let mut ahead = Ahead::default();
        let mut held = Ahead::default();
        for at in order {
            let mode = queue[at].request.mode();
            let admitted = match (self.flaw, mode) {
                (Some(Flaw::ReaderOvertakesWriter), Mode::Shared) => held.admits(mode),
                (Some(Flaw::OnePermitMore), Mode::Permit { of }) => {
                    ahead.admits(Mode::Permit { of: of.saturating_add(1) })
                }
                _ => ahead.admits(mode),
            };
            if queue[at].granted.is_none() && admitted {
                let (token, expires) = (self.next_token(), self.end_of(&queue[at].request));
                let record = &mut queue[at];
                record.granted = Some(token);
                record.since = SystemTime::now();
                if self.sessions == Sessions::PerGrant {
                    record.expires = expires;
                }
                if quietly != Some(record.id) && !self.loses_notifications {
                    self.notifications += 1;
                    record.bell.notify_one();
                }
            }
            if queue[at].granted.is_some() {
                held.add(mode);
            }
            ahead.add(mode);
        }
        self.queues.insert(name.to_owned(), queue);
    }

    fn next_token(&mut self) -> FencingToken {
        self.last_token += 1;
        FencingToken::new(self.last_token).expect("BUG: counted up from 0")
    }
}
