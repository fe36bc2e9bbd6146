//! The driver of the fake store, with commands that take their time and fail.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::explore::{note, pick};
use lock_conformance::fake::{FakeDriver, FakeStore};
use lockcore::{
    BootInstant, Driver, Entry, EntryId, Error, ErrorKind, Guarantees, Inspection, LockName,
    Renewed, Result, Sessions, Standing, Wake, Withdrawn, rt,
};

/// A driver whose commands take a few steps or milliseconds, and fail as often as they may.
///
/// It panics when its only session is renewed after it was withdrawn or ended. Of several, one may be
/// given back while the engine looks at the others.
#[derive(Debug)]
pub(crate) struct Shaky {
    inner: FakeDriver,
    // Not one of the explorer's: it is no part of what is explored.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: usize,
    opened: usize,
    has_ended_one: bool,
    is_closed: bool,
    is_strict: bool,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Good,
    /// It is surely not applied.
    Refused,
    RequestLost,
    ReplyLost,
    /// It is applied, and never answered.
    Hangs,
}

impl Shaky {
    pub(crate) fn new(store: &FakeStore) -> Self {
        Self { inner: store.connect(None).0, state: Mutex::default() }
    }

    /// How many commands may fail from now on.
    pub(crate) fn faults(&self, faults: usize) {
        self.state().faults = faults;
    }

    /// Panics from now on when something is sent after the driver was closed.
    pub(crate) fn is_closed_for_good(&self, is_strict: bool) {
        self.state().is_strict = is_strict;
    }

    fn assert_open(&self) {
        let state = self.state();
        let is_late = state.is_closed && state.is_strict;
        drop(state);
        assert!(!is_late, "sent after the shutdown");
    }

    async fn call<T: fmt::Debug>(
        &self,
        name: &str,
        command: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.assert_open();
        let luck = self.draw(&[
            Luck::Good,
            Luck::Good,
            Luck::Refused,
            Luck::RequestLost,
            Luck::ReplyLost,
            Luck::Hangs,
        ]);
        note(|| format!("{name} begins"));
        pause().await;
        let unknown = || Error::indeterminate(BootInstant::now(), "the link was lost");
        match luck {
            Luck::Refused => return Err(refused()),
            Luck::RequestLost => return Err(unknown()),
            Luck::Good | Luck::ReplyLost | Luck::Hangs => {}
        }
        let result = command.await;
        note(|| format!("{name} is applied, {luck:?}: {result:?}"));
        if let Luck::Hangs = luck {
            std::future::pending::<()>().await;
        }
        pause().await;
        if let Luck::ReplyLost = luck { Err(unknown()) } else { result }
    }

    fn draw(&self, choices: &[Luck]) -> Luck {
        let mut state = self.state();
        if state.faults == 0 {
            return Luck::Good;
        }
        let luck = *pick(choices);
        state.faults -= usize::from(!matches!(luck, Luck::Good));
        luck
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Unavailable, "the link was refused")
}

/// A way through the network: no time, a step or a few milliseconds.
async fn pause() {
    match *pick(&[0, 0, 1, 1, 2, 3]) {
        0 => {}
        1 => shuttle::future::yield_now().await,
        millis => rt::sleep(Duration::from_millis(millis)).await,
    }
}

#[async_trait]
impl Driver for Shaky {
    type Session = <FakeDriver as Driver>::Session;

    fn guarantees(&self) -> &Guarantees {
        self.inner.guarantees()
    }

    fn sessions(&self) -> Sessions {
        self.inner.sessions()
    }

    async fn open(&self, entry: &Entry) -> Result<Self::Session> {
        if let Luck::Refused = self.draw(&[Luck::Good, Luck::Refused]) {
            return Err(refused());
        }
        pause().await;
        self.assert_open();
        // Not lost afterwards: one that nobody hears of lives for a TTL, and may.
        let session = self.inner.open(entry).await;
        self.state().opened += 1;
        session
    }

    async fn enqueue(&self, session: &Self::Session, entry: &Entry) -> Result<Standing> {
        self.call("enqueue", self.inner.enqueue(session, entry)).await
    }

    async fn wake(&self, session: &Self::Session, entry: &Entry) -> Result<Wake> {
        self.call("wake", self.inner.wake(session, entry)).await
    }

    async fn check(&self, session: &Self::Session, entry: &Entry) -> Result<Standing> {
        self.call("check", self.inner.check(session, entry)).await
    }

    async fn withdraw(&self, session: &Self::Session, entry: &Entry) -> Result<Withdrawn> {
        self.state().has_ended_one |= self.sessions() == Sessions::PerGrant;
        self.call("withdraw", self.inner.withdraw(session, entry)).await
    }

    async fn renew(&self, sessions: &[Arc<Self::Session>]) -> Vec<Result<Renewed>> {
        let is_alive = self.state().opened > 1 || !self.state().has_ended_one;
        assert!(is_alive, "renewed after its end");
        let renew = async { Ok(self.inner.renew(sessions).await) };
        self.call("renew", renew).await.unwrap_or_default()
    }

    async fn missing(
        &self,
        session: &Self::Session,
        entries: &[Arc<Entry>],
    ) -> Result<Vec<EntryId>> {
        self.call("missing", self.inner.missing(session, entries)).await
    }

    async fn end(&self, session: &Self::Session) -> Result<()> {
        self.assert_open();
        self.state().has_ended_one = true;
        // Without fail: what could not be ended lives for a TTL, and may.
        self.inner.end(session).await?;
        pause().await;
        Ok(())
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        self.inner.inspect(name).await
    }

    async fn close(&self) {
        self.inner.close().await;
        self.state().is_closed = true;
    }
}
