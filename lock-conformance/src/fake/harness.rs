//! The fake store as a backend under test.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lockcore::{EngineConfig, Sessions, Ttl};

use super::{FakeClient, FakeStore, Flaw, Operation};
use crate::harness::{Client, Harness, LinkFaults, Step};
use crate::time::scaled;

/// The fake store with a session for each grant, as Redis has them.
pub struct PerGrant(FakeHarness);

/// The fake store with sessions that are shared, as etcd has them.
pub struct Shared(FakeHarness);

/// The fake store whose sessions are connections that stay, as ZooKeeper has them.
pub struct Connection(FakeHarness);

/// The fake store as a backend under test.
pub struct FakeHarness {
    store: FakeStore,
}

impl FakeHarness {
    /// A harness on a new store, broken in one way if so said.
    #[must_use]
    pub fn new(sessions: Sessions, flaw: Option<Flaw>) -> Self {
        Self { store: FakeStore::flawed(sessions, flaw) }
    }

    fn enter(&self, max_waiters: Option<usize>) -> Client {
        // Short, so that a swallowed reply costs little.
        let limit = scaled(Duration::from_millis(250));
        let config = EngineConfig::new().request_timeout(limit).recheck(limit);
        let client = self.store.client(config, max_waiters.and_then(NonZeroUsize::new));
        let lock = Arc::new(client.engine.clone());
        Client { lock, link: Some(Arc::new(FakeLink(client))) }
    }
}

#[derive(Debug)]
struct FakeLink(FakeClient);

#[async_trait]
impl LinkFaults for FakeLink {
    async fn cut(&self) {
        self.0.link.cut();
    }

    async fn restore(&self) {
        self.0.link.restore();
    }

    async fn delay(&self, request: Duration, reply: Duration) {
        self.0.link.delay(request, reply);
    }

    async fn swallow_reply(&self, step: Step) {
        self.0.link.swallow_reply(match step {
            Step::Acquire => Operation::Enqueue,
            Step::Renew => Operation::Renew,
            Step::Release => Operation::Withdraw,
        });
    }

    async fn has_landed(&self) -> bool {
        self.0.link.unswallowed() == 0
    }

    async fn refuse(&self, refuse: bool) {
        self.0.link.refuse(refuse);
    }

    async fn kill_session(&self) {
        self.0.kill_sessions();
    }
}

macro_rules! harness {
    ($harness:ident, $backend:literal, $sessions:expr, $opt_outs:expr) => {
        #[async_trait]
        impl Harness for $harness {
            const BACKEND: &'static str = $backend;
            const OPT_OUTS: &'static [(&'static str, &'static str)] = $opt_outs;

            async fn start() -> Self {
                Self(FakeHarness::new($sessions, None))
            }

            async fn client(&self) -> Client {
                self.0.client().await
            }

            async fn client_with_waiters(&self, max_waiters: usize) -> Client {
                self.0.client_with_waiters(max_waiters).await
            }

            async fn records(&self) -> usize {
                self.0.records().await
            }

            fn short_ttl(&self) -> Ttl {
                self.0.short_ttl()
            }

            fn slack(&self) -> Duration {
                self.0.slack()
            }

            async fn restart(&self) {
                self.0.restart().await;
            }

            async fn lose_data(&self) {
                self.0.lose_data().await;
            }

            async fn revoke(&self, name: &str) {
                self.0.revoke(name).await;
            }

            async fn lose_notifications(&self, lose: bool) {
                self.0.lose_notifications(lose).await;
            }

            async fn notifications(&self) -> usize {
                self.0.notifications().await
            }
        }
    };
}

harness!(PerGrant, "fake-per-grant", Sessions::PerGrant, &[]);
harness!(Shared, "fake-shared", Sessions::Shared, &[]);
harness!(Connection, "fake-connection", Sessions::Connection, &[]);

#[async_trait]
impl Harness for FakeHarness {
    const BACKEND: &'static str = "fake";
    const OPT_OUTS: &'static [(&'static str, &'static str)] = &[];

    async fn start() -> Self {
        Self::new(Sessions::PerGrant, None)
    }

    async fn client(&self) -> Client {
        self.enter(None)
    }

    async fn client_with_waiters(&self, max_waiters: usize) -> Client {
        self.enter(Some(max_waiters))
    }

    async fn records(&self) -> usize {
        self.store.records()
    }

    fn short_ttl(&self) -> Ttl {
        Ttl::new(Duration::from_millis(600)).expect("BUG: in range")
    }

    fn slack(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn restart(&self) {
        // It keeps its data, and nothing else is there to be lost.
    }

    async fn lose_data(&self) {
        self.store.lose_data();
    }

    async fn revoke(&self, name: &str) {
        self.store.revoke(name);
    }

    async fn lose_notifications(&self, lose: bool) {
        self.store.lose_notifications(lose);
    }

    async fn notifications(&self) -> usize {
        self.store.notifications()
    }
}
