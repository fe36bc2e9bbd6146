//! What the scenarios work with.

use std::future::Future;
use std::time::Duration;

use lock_conformance::explore::{haste, pick, within};
use lock_conformance::fake::FakeStore;
use lockcore::{
    BootInstant, Engine, EngineConfig, Lease, Lock as _, LockName, Mode, Renewal, Request,
    Sessions, TryLock as _, Ttl, rt,
};
use shuttle::future::{JoinHandle, block_on};

use crate::shaky::Shaky;

/// A store and a client of it.
pub(crate) struct Stage {
    pub(crate) store: FakeStore,
    pub(crate) engine: Engine<Shaky>,
    faults: usize,
    haste: u32,
}

impl Stage {
    fn new() -> Self {
        let sessions = *pick(&[Sessions::PerGrant, Sessions::Shared, Sessions::Connection]);
        let store = FakeStore::new(sessions);
        let engine = Engine::new(Shaky::new(&store), EngineConfig::new());
        Self { store, engine, faults: *pick(&[0, 0, 1, 3]), haste: *pick(&[0, 0, 5, 50]) }
    }

    /// Plays a scenario, and looks whether anything is left.
    pub(crate) fn play<F: Future<Output = Self>>(scenario: impl FnOnce(Self) -> F) {
        block_on(async { scenario(Self::new()).await.end().await });
    }

    /// Takes a lock that is free.
    pub(crate) async fn take(&self, request: &Request) -> Box<dyn Lease> {
        self.engine.try_lock(request).await.unwrap().unwrap()
    }

    /// From here on commands fail and things take long, if they are to.
    pub(crate) fn shake(&self) {
        self.engine.driver().faults(self.faults);
        self.engine.driver().is_closed_for_good(self.is_fine());
        haste(self.haste);
    }

    /// Whether nothing fails and nothing is slow: then nobody needs a second look.
    pub(crate) fn is_fine(&self) -> bool {
        self.faults == 0 && self.is_prompt()
    }

    /// Whether everything is done as soon as it can be done.
    pub(crate) fn is_prompt(&self) -> bool {
        self.haste == 0
    }

    /// How long it may take until nothing is under way.
    pub(crate) fn limit(&self) -> Duration {
        if self.is_fine() { AT_ONCE } else { LATER }
    }

    /// What had to happen at once did, if all is fine.
    pub(crate) fn assert_prompt(&self, since: BootInstant) {
        assert!(!self.is_fine() || since.elapsed() < AT_ONCE, "it took {:?}", since.elapsed());
    }

    /// Nothing is left in the store, and no task.
    async fn end(self) {
        self.engine.driver().faults(0);
        let limit = self.limit();
        within(limit, "no job", || self.engine.jobs() == 0).await;
        within(AT_ONCE, "nobody in the store", || self.store.records() == 0).await;
        let over = self.engine.shutdown().await;
        assert!(over.is_ok() || !self.is_fine(), "{over:?}");
        // One that was given up while it took long ends with its TTL.
        within(limit, "no session", || self.store.sessions() == 0).await;
        within(limit, "only the keeper", || rt::tasks() == 1).await;
        drop(self.engine);
        within(AT_ONCE, "not even the keeper", || rt::tasks() == 0).await;
    }
}

pub(crate) fn request(renewal: Renewal) -> Request {
    let request = Request::new(LockName::new("name").unwrap(), Mode::Exclusive);
    request.with_ttl(ttl()).unwrap().with_renewal(renewal).unwrap()
}

pub(crate) fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(9)).unwrap()
}

pub(crate) async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

/// For a few ways through the network.
const AT_ONCE: Duration = Duration::from_secs(1);
/// For any TTL, and all pauses between attempts.
const LATER: Duration = Duration::from_secs(120);
