//! What the suite needs to know of a backend.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lockcore::{Lock, Ttl};

/// A backend under test: makes stores, clients, and trouble.
///
/// One harness is one store of its own, made for one case.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The backend's name, as the table of rules shows it.
    const BACKEND: &'static str;

    /// The cases that do not apply, each with the reason, which is printed.
    const OPT_OUTS: &'static [(&'static str, &'static str)];

    /// Starts a store that nobody else uses.
    async fn start() -> Self
    where
        Self: Sized;

    /// A new client of the store: a connection, a session of its own.
    async fn client(&self) -> Client;

    /// A new client of the store that lets at most so many wait for a name.
    async fn client_with_waiters(&self, max_waiters: usize) -> Client;

    /// How many holders and waiters stand in the store, asked of the store itself.
    async fn records(&self) -> usize;

    /// A TTL for cases that wait for its end: the shortest that leaves time to act on two busy
    /// cores.
    fn short_ttl(&self) -> Ttl;

    /// How late the store may be in noticing that a TTL is over.
    fn slack(&self) -> Duration;

    /// Restarts the store; one that keeps its data keeps it.
    async fn restart(&self) {
        missing("restart")
    }

    /// Makes the store lose all its data.
    async fn lose_data(&self) {
        missing("lose_data")
    }

    /// Removes the record of whoever holds `name`, as an administrator would.
    async fn revoke(&self, name: &str) {
        let _ = name;
        missing("revoke")
    }

    /// From now on the store's notifications are lost, if `lose`.
    async fn lose_notifications(&self, lose: bool) {
        let _ = lose;
        missing("lose_notifications")
    }

    /// How many notifications the store has sent.
    async fn notifications(&self) -> usize {
        missing("notifications")
    }
}

/// A client under test, with its link.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client.
    pub lock: Arc<dyn Lock>,
    /// Its link to the store, if there is one to be broken.
    pub link: Option<Arc<dyn LinkFaults>>,
}

/// The way between one client and the store, to be broken.
#[async_trait]
pub trait LinkFaults: std::fmt::Debug + Send + Sync {
    /// Silences the link both ways, without closing it.
    async fn cut(&self);

    /// Ends [`LinkFaults::cut`].
    async fn restore(&self);

    /// Lets every request and every reply take so long.
    async fn delay(&self, request: Duration, reply: Duration);

    /// Applies the next command of this kind and loses its reply.
    async fn swallow_reply(&self, step: Step);

    /// Whether every reply that was to be swallowed was: a fault that did not land proves nothing.
    async fn has_landed(&self) -> bool;

    /// Refuses connections, if `refuse`; else accepts them again.
    async fn refuse(&self, refuse: bool);

    /// Ends the client's sessions in the store, as the store does when it does not hear of it.
    async fn kill_session(&self);
}

/// A step of the life of a lock, as a link sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Queueing or taking it.
    Acquire,
    /// Renewing it.
    Renew,
    /// Giving it up.
    Release,
}

fn missing(what: &str) -> ! {
    panic!("this harness cannot do `{what}`: opt out of the case and say why");
}
