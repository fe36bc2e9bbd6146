//! A store that lives in memory and can be broken: the engine is tested on it, and so is the suite.
//!
//! It behaves like a store at the other end of a link. The link delays, swallows replies, refuses
//! and is cut; the store expires, forgets, revokes, loses notifications. It has the two kinds of
//! sessions: per grant, as Redis has them, and shared, as etcd and ZooKeeper have them. It is no
//! backend for a product.
//!
//! A [`Flaw`] breaks it in one way on purpose. Each flaw must be caught by a case of the suite.

mod driver;
mod flaw;
mod harness;
mod link;
mod store;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockcore::{Engine, EngineConfig, Sessions};

pub use driver::FakeDriver;
pub use flaw::Flaw;
pub use harness::{Connection, FakeHarness, PerGrant, Shared};
pub use link::{Link, Operation};

use link::Server;
use store::State;

/// The store. A clone is the same store.
#[derive(Clone, Debug)]
pub struct FakeStore {
    state: Arc<Mutex<State>>,
    server: Arc<Server>,
    sessions: Sessions,
}

impl FakeStore {
    /// An empty store with this kind of sessions.
    #[must_use]
    pub fn new(sessions: Sessions) -> Self {
        Self::flawed(sessions, None)
    }

    /// An empty store that is broken in one way.
    #[must_use]
    pub fn flawed(sessions: Sessions, flaw: Option<Flaw>) -> Self {
        let state = State::new(sessions, flaw);
        Self { state: Arc::new(Mutex::new(state)), server: Arc::default(), sessions }
    }

    /// A client with a link of its own.
    #[must_use]
    pub fn client(&self, config: EngineConfig, max_waiters: Option<NonZeroUsize>) -> FakeClient {
        let (driver, link) = self.connect(max_waiters);
        FakeClient { engine: Engine::new(driver, config), link }
    }

    /// A driver with a link of its own.
    #[must_use]
    pub fn connect(&self, max_waiters: Option<NonZeroUsize>) -> (FakeDriver, Arc<Link>) {
        let link = Arc::new(Link::to(self.server.clone()));
        (FakeDriver::new(self.clone(), link.clone(), max_waiters), link)
    }

    /// How many entries stand in the store, of whatever client.
    #[must_use]
    pub fn records(&self) -> usize {
        self.state().records()
    }

    /// How many shared sessions are alive.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.state().sessions()
    }

    /// How many notifications it has sent.
    #[must_use]
    pub fn notifications(&self) -> usize {
        self.state().notifications
    }

    /// Sends no notification from now on, or does so again.
    pub fn lose_notifications(&self, lose: bool) {
        self.state().loses_notifications = lose;
    }

    /// Does one command after the other from now on, whoever sent it, and takes so long for each.
    pub fn costs(&self, cost: Duration) {
        self.server.costs(cost);
    }

    /// Removes whoever holds `name`, as an administrator would.
    pub fn revoke(&self, name: &str) {
        self.state().revoke(name);
    }

    /// Loses all entries and sessions, as a restart without a disk would.
    pub fn lose_data(&self) {
        self.state().lose_data();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client of the fake store, with its link.
#[derive(Clone, Debug)]
pub struct FakeClient {
    /// The lock.
    pub engine: Engine<FakeDriver>,
    /// The link, to be broken.
    pub link: Arc<Link>,
}

impl FakeClient {
    /// Ends all sessions of this client, as the store would when it does not hear of it.
    pub fn kill_sessions(&self) {
        self.engine.driver().kill_sessions();
    }
}
