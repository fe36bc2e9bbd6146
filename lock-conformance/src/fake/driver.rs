//! The driver of the fake store.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lockcore::{
    Driver, Entry, EntryId, Error, Guarantees, Inspection, LockName, LossCause, Renewed, Request,
    Result, Sessions, Standing, Wake, Withdrawn,
};

use super::{FakeStore, Flaw, Link, Operation};

/// A driver of the fake store, over a link.
pub struct FakeDriver {
    store: FakeStore,
    link: Arc<Link>,
    max_waiters: Option<NonZeroUsize>,
    opened: Mutex<Vec<u64>>,
    guarantees: Guarantees,
}

/// A session of the fake store.
#[derive(Clone, Debug)]
pub struct FakeSession {
    number: u64,
    request: Request,
}

impl FakeDriver {
    pub(super) fn new(
        store: FakeStore,
        link: Arc<Link>,
        max_waiters: Option<NonZeroUsize>,
    ) -> Self {
        let opened = Mutex::default();
        Self { store, link, max_waiters, opened, guarantees: Guarantees::all("fake") }
    }

    pub(super) fn kill_sessions(&self) {
        for session in self.opened.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.store.state().close_session(session);
        }
    }
}

#[async_trait]
impl Driver for FakeDriver {
    type Session = FakeSession;

    fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    fn sessions(&self) -> Sessions {
        self.store.sessions
    }

    async fn open(&self, entry: &Entry) -> Result<FakeSession> {
        let open = || {
            let number = self.store.state().open(entry.request());
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            Ok(FakeSession { number, request: entry.request().clone() })
        };
        match self.sessions() {
            // No command is needed: the session begins with the grant.
            Sessions::PerGrant => open(),
            Sessions::Shared | Sessions::Connection => {
                self.link.call(Operation::Session, open).await
            }
        }
    }

    async fn enqueue(&self, session: &FakeSession, entry: &Entry) -> Result<Standing> {
        let enqueue = || self.store.state().enqueue(session.number, entry, self.max_waiters);
        let answer = self.link.call(Operation::Enqueue, enqueue).await;
        match answer {
            Err(_) if self.store.state().flaw() == Some(Flaw::ErrorLooksBusy) => Ok(Standing::Busy),
            answer => answer,
        }
    }

    async fn wake(&self, _: &FakeSession, entry: &Entry) -> Result<Wake> {
        let Some(bell) = self.store.state().bell(entry) else {
            return Err(Error::lost(LossCause::Revoked));
        };
        if bell.is_granted.is_none() {
            bell.notify.notified().await;
        }
        self.link.whole().await;
        Ok(self.store.state().answer(entry))
    }

    async fn check(&self, session: &FakeSession, entry: &Entry) -> Result<Standing> {
        let check = || self.store.state().check(session.number, entry);
        self.link.call(Operation::Check, check).await
    }

    async fn withdraw(&self, _: &FakeSession, entry: &Entry) -> Result<Withdrawn> {
        self.link.call(Operation::Withdraw, || Ok(self.store.state().withdraw(entry))).await
    }

    async fn renew(&self, sessions: &[Arc<FakeSession>]) -> Vec<Result<Renewed>> {
        let renew = || {
            let mut state = self.store.state();
            let renew = |session: &Arc<FakeSession>| {
                let request = &session.request;
                Ok(state.renew(session.number, request.name().as_str(), request))
            };
            Ok(sessions.iter().map(renew).collect())
        };
        self.link.call(Operation::Renew, renew).await.unwrap_or_default()
    }

    async fn missing(&self, _: &FakeSession, entries: &[Arc<Entry>]) -> Result<Vec<EntryId>> {
        let missing = || {
            let mut state = self.store.state();
            let gone = entries.iter().filter(|entry| !state.has(entry));
            Ok(gone.map(|entry| entry.id()).collect())
        };
        self.link.call(Operation::Check, missing).await
    }

    async fn end(&self, session: &FakeSession) -> Result<()> {
        let end = || {
            self.store.state().close_session(session.number);
            Ok(())
        };
        self.link.call(Operation::Session, end).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        let inspect = || Ok(self.store.state().inspect(name.as_str()));
        self.link.call(Operation::Inspect, inspect).await
    }

    async fn close(&self) {}
}

impl fmt::Debug for FakeDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDriver").finish_non_exhaustive()
    }
}
