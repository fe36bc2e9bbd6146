//! The way between a client and the store.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockcore::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Commands that a link can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Queues an entry or grants.
    Enqueue,
    /// Looks where an entry stands.
    Check,
    /// Takes an entry out.
    Withdraw,
    /// Renews sessions.
    Renew,
    /// Reads the queue.
    Inspect,
    /// Opens or ends a session.
    Session,
}

/// A link that can be slowed down, cut and made to lose replies.
#[derive(Debug, Default)]
pub struct Link {
    server: Arc<Server>,
    cut: watch::Sender<bool>,
    faults: Mutex<Faults>,
}

/// What the links of a store lead to: it does one command after the other.
#[derive(Debug, Default)]
pub(super) struct Server {
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    cost: Duration,
    /// When it has done all that it was asked for.
    done: Option<Instant>,
}

#[derive(Debug, Default)]
struct Faults {
    request_delay: Duration,
    reply_delay: Duration,
    swallow: Vec<Operation>,
    refuses: bool,
    commands: usize,
}

impl Server {
    /// From now on every command costs it so much time.
    pub(super) fn costs(&self, cost: Duration) {
        self.work().cost = cost;
    }

    /// Waits until it is done with all that was asked before and with this, for which it takes its
    /// time though nobody may wait any more.
    async fn work_off(&self) {
        let done = {
            let mut work = self.work();
            if work.cost.is_zero() {
                return;
            }
            let begun = work.done.map_or_else(Instant::now, |done| done.max(Instant::now()));
            let done = begun + work.cost;
            work.done = Some(done);
            done
        };
        sleep_until(done).await;
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// A whole link to the server.
    pub(super) fn to(server: Arc<Server>) -> Self {
        Self { server, ..Self::default() }
    }

    /// Silences the link: what is sent from now on hangs, and reaches the store never or, if
    /// somebody still waits for it, once the link is restored.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Ends [`Link::cut`].
    pub fn restore(&self) {
        self.cut.send_replace(false);
    }

    /// Lets every request and every reply take so long.
    pub fn delay(&self, request: Duration, reply: Duration) {
        let mut faults = self.faults();
        (faults.request_delay, faults.reply_delay) = (request, reply);
    }

    /// Applies the next command of this kind, and loses its reply.
    pub fn swallow_reply(&self, operation: Operation) {
        self.faults().swallow.push(operation);
    }

    /// How many replies are still to be swallowed: a fault that did not land is no proof.
    #[must_use]
    pub fn unswallowed(&self) -> usize {
        self.faults().swallow.len()
    }

    /// Refuses connections from now on, or accepts them again.
    pub fn refuse(&self, refuses: bool) {
        self.faults().refuses = refuses;
    }

    /// How many commands were sent over it.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.faults().commands
    }

    pub(super) async fn call<T>(
        &self,
        operation: Operation,
        apply: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (request, reply, refuses) = {
            let mut faults = self.faults();
            faults.commands += 1;
            (faults.request_delay, faults.reply_delay, faults.refuses)
        };
        if refuses {
            return Err(Error::new(ErrorKind::Unavailable, "the fake store refuses connections"));
        }
        pause(request).await;
        self.whole().await;
        self.server.work_off().await;
        let result = apply();
        pause(reply).await;
        self.whole().await;
        if self.swallows(operation) {
            std::future::pending::<()>().await;
        }
        result
    }

    /// Waits until the link is not cut.
    pub(super) fn whole(&self) -> impl Future<Output = ()> + use<> {
        let mut cut = self.cut.subscribe();
        async move {
            // An error would say that the link is gone, and the client with it.
            let _ = cut.wait_for(|cut| !cut).await;
        }
    }

    fn swallows(&self, operation: Operation) -> bool {
        let swallow = &mut self.faults().swallow;
        let found = swallow.iter().position(|swallowed| *swallowed == operation);
        found.map(|index| swallow.remove(index)).is_some()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
