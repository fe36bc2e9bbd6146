//! The one renewal loop.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::counter;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::sleep_until;
use crate::driver::{Driver, Renewed};
use crate::{BootInstant, Error, LossCause, Result, Term, Ttl, term};

/// A session with the time that it is valid for: what is renewed, and lost, as one.
#[derive(Debug)]
pub(crate) struct Tenure<S> {
    pub(crate) session: Arc<S>,
    pub(crate) ttl: Ttl,
    pub(crate) term: Term,
    renews: AtomicBool,
}

impl<S> Tenure<S> {
    /// The tenure of a session whose TTL began after `sent`.
    pub(crate) fn new(session: Arc<S>, ttl: Ttl, sent: BootInstant) -> Self {
        let term = Term::new(term::deadline(sent, ttl));
        Self { session, ttl, term, renews: AtomicBool::new(true) }
    }

    /// No renewal is sent from here on.
    pub(crate) fn stop(&self) {
        self.renews.store(false, SeqCst);
    }

    /// Takes in what the store answered to a renewal that was sent at `sent`.
    pub(crate) fn renewed(&self, sent: BootInstant, answer: Renewed) -> Result<(), LossCause> {
        match answer {
            Renewed::Kept => self.term.extend(term::deadline(sent, self.ttl), BootInstant::now()),
            Renewed::Gone(cause) => {
                self.term.end(cause);
                Err(cause)
            }
        }
    }

    fn is_kept(&self) -> bool {
        self.renews.load(SeqCst) && self.term.is_valid_at(BootInstant::now())
    }
}

/// Renews tenures for as long as somebody has them.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    inbox: mpsc::UnboundedSender<Weak<Tenure<S>>>,
}

impl<S: Send + Sync + 'static> Keeper<S> {
    /// A keeper whose loop ends when it is dropped.
    pub(crate) fn start<D: Driver<Session = S>>(driver: Arc<D>, runtime: &Handle) -> Self {
        let (inbox, tenures) = mpsc::unbounded_channel();
        let rounds = Rounds { driver, due: BinaryHeap::new(), batches: JoinSet::new() };
        runtime.spawn(rounds.run(tenures));
        Self { inbox }
    }

    /// Renews `tenure` from now on, every third of its TTL, until it ends, is stopped, or nobody
    /// has it any more.
    pub(crate) fn keep(&self, tenure: &Arc<Tenure<S>>) {
        // Fails only once the runtime is gone; then the deadline speaks.
        let _ = self.inbox.send(Arc::downgrade(tenure));
    }
}

struct Rounds<D: Driver> {
    driver: Arc<D>,
    due: BinaryHeap<Reverse<Due<D::Session>>>,
    batches: JoinSet<Vec<Due<D::Session>>>,
}

struct Due<S> {
    at: BootInstant,
    tenure: Weak<Tenure<S>>,
}

impl<D: Driver> Rounds<D> {
    async fn run(mut self, mut tenures: mpsc::UnboundedReceiver<Weak<Tenure<D::Session>>>) {
        loop {
            let next = self.due.peek().map_or(BootInstant::FAR, |due| due.0.at);
            tokio::select! {
                tenure = tenures.recv() => match tenure {
                    Some(tenure) => self.admit(tenure),
                    None => return,
                },
                Some(done) = self.batches.join_next(), if !self.batches.is_empty() => {
                    // A driver that panicked takes its batch along: those deadlines will pass.
                    self.due.extend(done.unwrap_or_default().into_iter().map(Reverse));
                }
                () = sleep_until(next), if next != BootInstant::FAR => self.renew_due(),
            }
        }
    }

    fn admit(&mut self, tenure: Weak<Tenure<D::Session>>) {
        if let Some(kept) = tenure.upgrade() {
            // Not a period from now: the grant may be known late.
            let lead = kept.ttl.belief().saturating_sub(kept.ttl.renewal_period());
            let at = kept.term.deadline().saturating_sub(lead);
            self.due.push(Reverse(Due { at, tenure }));
        }
    }

    /// Sends the renewals that are due, together with those that will be shortly.
    fn renew_due(&mut self) {
        let now = BootInstant::now();
        let mut batch = Vec::new();
        let mut horizon = now;
        while let Some(Reverse(first)) = self.due.peek() {
            if first.at > horizon {
                break;
            }
            let Some(Reverse(due)) = self.due.pop() else { break };
            let Some(tenure) = due.tenure.upgrade().filter(|tenure| tenure.is_kept()) else {
                continue;
            };
            horizon = horizon.max(now.saturating_add(tenure.ttl.renewal_period() / COALESCE));
            batch.push(tenure);
        }
        if !batch.is_empty() {
            self.batches.spawn(renew(self.driver.clone(), batch));
        }
    }
}

/// Renews a batch, and says when each of them is due again.
async fn renew<D: Driver>(
    driver: Arc<D>,
    batch: Vec<Arc<Tenure<D::Session>>>,
) -> Vec<Due<D::Session>> {
    let backend = driver.guarantees().backend();
    let shortest = batch.iter().map(|tenure| tenure.ttl).min().unwrap_or_default();
    let sessions: Vec<_> = batch.iter().map(|tenure| tenure.session.clone()).collect();
    let sent = BootInstant::now();
    // A hung renewal must leave time for others before the deadline.
    let answers = timeout(shortest.renewal_period() / 2, driver.renew(&sessions)).await;
    let mut answers = answers.unwrap_or_default().into_iter();

    let mut again = Vec::with_capacity(batch.len());
    for tenure in batch {
        let period = tenure.ttl.renewal_period();
        let (outcome, at) = match answers.next() {
            Some(Ok(answer)) => match tenure.renewed(sent, answer) {
                Ok(()) => ("kept", Some(sent.saturating_add(period))),
                Err(cause) => {
                    tracing::warn!(backend, %cause, "a session was lost");
                    ("lost", None)
                }
            },
            // One failure is no loss: there is time until the deadline.
            failed => {
                let error = failed.and_then(Result::err);
                let error = error.as_ref().map_or("no answer", Error::message);
                tracing::debug!(backend, error, "a renewal failed and is tried again");
                ("failed", Some(BootInstant::now().saturating_add(pause(period))))
            }
        };
        counter!("leasehold_renewals_total", "backend" => backend, "outcome" => outcome)
            .increment(1);
        if let Some(at) = at {
            again.push(Due { at, tenure: Arc::downgrade(&tenure) });
        }
    }
    again
}

/// The pause after a failed renewal: several fit before the deadline.
fn pause(period: Duration) -> Duration {
    period / 8
}

impl<S> PartialEq for Due<S> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<S> Eq for Due<S> {}

impl<S> PartialOrd for Due<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S> Ord for Due<S> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

/// What is due within this fraction of a period goes along.
const COALESCE: u32 = 8;
