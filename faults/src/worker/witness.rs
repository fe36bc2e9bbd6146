//! Acquisitions that write down what they do and believe.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use lock_conformance::history::{Ask, Attempt as Log, Fact, Journal, Patience};
use lockcore::{ErrorKind, Guard, LockName, Locks, Mode, Ttl};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::kind::Kind;
use crate::resource::{Verdict, Writer};

/// One process, as the checker knows it.
pub(crate) struct Witness {
    locks: Locks,
    ttl: Ttl,
    journal: Journal,
    resource: Writer,
    pub(crate) tally: Tally,
}

/// What the runner is told when it asks.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) grants: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// Acquisitions that were dropped.
    pub(crate) dropped: Cell<u64>,
    /// Releases that were.
    pub(crate) careless: Cell<u64>,
}

/// An acquisition that is going to be made.
pub(crate) struct Attempt<'a> {
    witness: &'a Witness,
    log: Log,
    name: String,
    kind: Kind,
}

/// A grant.
pub(crate) struct Hold<'a> {
    attempt: Attempt<'a>,
    guard: Guard,
}

impl Witness {
    pub(crate) fn new(locks: Locks, ttl: Ttl, journal: Journal, resource: Writer) -> Self {
        Self { locks, ttl, journal, resource, tally: Tally::default() }
    }

    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.ttl.as_duration()
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn resource(&self) -> &Writer {
        &self.resource
    }

    pub(crate) fn attempt(&self, name: &str, kind: Kind) -> Attempt<'_> {
        Attempt { witness: self, log: self.journal.attempt(), name: name.to_owned(), kind }
    }

    /// Asks until it is granted, unless somebody says that it is to leave. Every failure is written
    /// down.
    pub(crate) async fn hold_unless(
        &self,
        name: &str,
        kind: Kind,
        leaves: &Notify,
    ) -> Option<Hold<'_>> {
        let has_left = Cell::new(false);
        while !has_left.get() {
            let leaves = async {
                leaves.notified().await;
                has_left.set(true);
            };
            match self.attempt(name, kind).lock_unless(leaves).await {
                Some(hold) => return Some(hold),
                // A thousand that come back at once would be in each other's way.
                None => sleep(AGAIN.mul_f64(fastrand::f64())).await,
            }
        }
        None
    }

    /// Asks until it is granted.
    pub(crate) async fn hold_in_the_end(&self, name: &str, kind: Kind) -> Hold<'_> {
        let stays = Notify::new();
        self.hold_unless(name, kind, &stays).await.expect("BUG: nobody says that it is to leave")
    }
}

impl<'a> Attempt<'a> {
    /// Waits for its turn; none if that failed.
    pub(crate) async fn lock(self) -> Option<Hold<'a>> {
        let patience = self.asks(Patience::Forever);
        let locked = self.kind.lock(&self.witness.locks, &self.name, &self.owner()).await;
        self.ends(patience, locked.map(Some)).await
    }

    pub(crate) async fn try_lock(self) -> Option<Hold<'a>> {
        let patience = self.asks(Patience::None);
        let tried = self.kind.try_lock(&self.witness.locks, &self.name, &self.owner()).await;
        self.ends(patience, tried).await
    }

    /// Waits for so long; the handle gives up by itself.
    pub(crate) async fn try_lock_for(self, limit: Duration) -> Option<Hold<'a>> {
        let patience = self.asks(Patience::For(limit));
        let locks = &self.witness.locks;
        let tried = self.kind.try_lock_for(locks, &self.name, &self.owner(), limit).await;
        if matches!(tried, Ok(None)) {
            bump(&self.witness.tally.dropped);
        }
        self.ends(patience, tried).await
    }

    /// Waits, and is dropped wherever it stands when `leaves` is over.
    pub(crate) async fn lock_unless(self, leaves: impl Future) -> Option<Hold<'a>> {
        let patience = self.asks(Patience::Forever);
        let owner = self.owner();
        let locked = {
            let lock = self.kind.lock(&self.witness.locks, &self.name, &owner);
            tokio::pin!(lock);
            tokio::select! {
                locked = &mut lock => Some(locked),
                _ = leaves => {
                    // Before the drop, which is the end of the block around this one.
                    self.log.log(Fact::Dropped);
                    bump(&self.witness.tally.dropped);
                    None
                }
            }
        };
        self.ends(patience, locked?.map(Some)).await
    }

    /// The label by which it is known in the queue.
    fn owner(&self) -> String {
        self.log.label().expect("BUG: the names of processes are plain").to_string()
    }

    fn asks(&self, patience: Patience) -> Patience {
        self.log.asks(Ask {
            name: LockName::new(self.name.as_str()).expect("BUG: the runner's names are plain"),
            mode: self.kind.mode(),
            patience,
            ttl: self.witness.ttl,
            renewal: self.kind.renewal(),
        });
        patience
    }

    async fn ends(
        self,
        patience: Patience,
        outcome: lockcore::Result<Option<Guard>>,
    ) -> Option<Hold<'a>> {
        self.log.answered(patience, &outcome);
        let tally = &self.witness.tally;
        match outcome {
            Ok(guard) => {
                let guard = guard?;
                bump(&tally.grants);
                Some(Hold { attempt: self, guard })
            }
            Err(error) => {
                let mistake =
                    matches!(error.kind(), ErrorKind::InvalidConfig | ErrorKind::InvalidName);
                assert!(!mistake, "{error}");
                bump(&tally.failed);
                if error.kind() == ErrorKind::Closed {
                    // It will not be otherwise any more.
                    std::future::pending::<()>().await;
                }
                None
            }
        }
    }
}

impl Hold<'_> {
    /// Whether it is held, as it is written down.
    pub(crate) fn believes(&self) -> bool {
        self.attempt.log.look(&self.guard)
    }

    /// Renews it once more than the library does, and says how that failed.
    pub(crate) async fn renew(&self) -> Option<lockcore::Error> {
        self.attempt.log.renew(&self.guard).await.err()
    }

    /// Waits for the loss.
    pub(crate) async fn lost(&self) {
        let cause = self.guard.lost().await;
        self.attempt.log.lost(cause);
    }

    /// Writes to the resource with the token, and says whether it was taken. Those who share a lock
    /// only read: they have no order.
    pub(crate) async fn writes(&self) -> Result<bool> {
        if self.attempt.kind.mode() != Mode::Exclusive {
            return Ok(true);
        }
        let token = self.guard.token();
        let verdict = self.attempt.witness.resource.write(&self.attempt.name, token).await?;
        self.attempt.log.log(match verdict {
            Verdict::Written(place) => Fact::Wrote { token: Some(token), place },
            Verdict::Stale(newest) => Fact::Refused { token, newest },
        });
        Ok(matches!(verdict, Verdict::Written(_)))
    }

    /// Gives it back, and says how that failed.
    pub(crate) async fn release(self) -> Option<ErrorKind> {
        let released = self.attempt.log.release(self.guard).await;
        released.err().map(|error| error.kind())
    }

    /// Gives it back, and drops that after a while wherever it stands.
    pub(crate) async fn release_or_drop(self, after: Duration) {
        let tally = &self.attempt.witness.tally;
        if timeout(after, self.release()).await.is_err() {
            bump(&tally.careless);
        }
    }

    /// Only drops it.
    pub(crate) fn drops(self) {
        self.attempt.log.log(Fact::Dropped);
    }
}

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

const AGAIN: Duration = Duration::from_millis(300);
