//! Taking an entry out of the store, until that is certain.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::oneshot;

use crate::driver::{Driver, Entry, Withdrawn};
use crate::engine::Shared;
use crate::keeper::Tenure;
use crate::lanes::{Lane, Turn};
use crate::pace::Pace;
use crate::rt::{sleep, timeout};
use crate::{BootInstant, Error, ErrorKind, Result};

/// One entry that is to go.
pub(crate) struct Withdrawal<D: Driver> {
    entry: Arc<Entry>,
    session: Arc<D::Session>,
    /// The session of several entries, which may keep this one alive.
    tenure: Option<Arc<Tenure<D::Session>>>,
    /// Whether the session was opened for this entry alone and ends with it.
    ends_session: bool,
    /// Somebody waits for the outcome.
    report: Option<oneshot::Sender<Result<Withdrawn>>>,
    /// Whether an attempt may have taken it out without saying so.
    unknown: bool,
}

impl<D: Driver> Withdrawal<D> {
    pub(crate) fn new(
        entry: Arc<Entry>,
        session: Arc<D::Session>,
        tenure: Option<Arc<Tenure<D::Session>>>,
        ends_session: bool,
    ) -> Self {
        Self { entry, session, tenure, ends_session, report: None, unknown: false }
    }

    /// Whether it is in this session.
    pub(crate) fn is_in(&self, session: &Arc<D::Session>) -> bool {
        Arc::ptr_eq(&self.session, session)
    }

    /// Withdraws, and returns when the store has confirmed it; with an error when it refused, or
    /// was not heard of until `until`. Then the withdrawal goes on in the background.
    pub(crate) async fn confirmed(
        mut self,
        shared: &Arc<Shared<D>>,
        until: BootInstant,
    ) -> Result<Withdrawn> {
        // Somebody may want the lock, and there are no more of these than callers.
        let turn = shared.lanes.pass(Lane::Withdrawal);
        let error = match self.attempt(shared, turn, until).await {
            Ok(withdrawn) => {
                self.end(shared).await;
                return Ok(withdrawn);
            }
            Err(error) => error,
        };
        let ttl = self.entry.request().ttl();
        let (to, outcome) = oneshot::channel();
        self.report = Some(to);
        shared.retry(self, error);
        // An attempt may take longer than that.
        match timeout(until.remaining(), outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::indeterminate(until, "the runtime of this client has ended")),
            Err(_) => {
                let forgotten = BootInstant::now().saturating_add(ttl.as_duration() * 2);
                let message = "the store did not answer until the deadline";
                Err(Error::indeterminate(forgotten, message))
            }
        }
    }

    /// Repeats the withdrawal until the store is certain, or has forgotten the entry by itself.
    /// `failed` is how the first attempt ended, if it was made.
    pub(crate) async fn run(mut self, shared: &Shared<D>, mut failed: Option<Error>) {
        let ttl = self.entry.request().ttl();
        // Twice: a command that was under way may have restarted the TTL meanwhile.
        let forgotten = BootInstant::now().saturating_add(ttl.as_duration() * 2);
        let mut pace = Pace::new(self.entry.id());
        loop {
            let error = match failed.take() {
                Some(error) => error,
                None => match self.attempt_in_turn(shared).await {
                    Ok(withdrawn) => break self.tell(Ok(withdrawn)),
                    Err(error) => error,
                },
            };
            let backend = shared.driver.guarantees().backend();
            counter!("leasehold_withdrawal_retries_total", "backend" => backend).increment(1);
            let now = BootInstant::now();
            let kept_alive =
                self.tenure.as_ref().is_some_and(|tenure| tenure.term.is_valid_at(now));
            if now >= forgotten && !kept_alive {
                tracing::warn!(backend, name = %self.entry.name(), %error, "left to its TTL");
                let until = shared.leave_behind(ttl);
                break self.tell(Err(unconfirmed(until, error)));
            }
            if !error.is_transient() {
                self.tell(Err(error));
            }
            sleep(pace.backoff()).await;
        }
        self.end(shared).await;
    }

    async fn attempt_in_turn(&mut self, shared: &Shared<D>) -> Result<Withdrawn> {
        let ttl = self.entry.request().ttl();
        let turn = shared.lanes.turn(Lane::Withdrawal, ttl.renewal_period()).await?;
        self.attempt(shared, turn, BootInstant::FAR).await
    }

    async fn attempt(
        &mut self,
        shared: &Shared<D>,
        turn: Turn<'_>,
        until: BootInstant,
    ) -> Result<Withdrawn> {
        let command = shared.driver.withdraw(&self.session, &self.entry);
        match shared.at_its_turn(turn, until, command, self.entry.request().ttl()).await {
            // It was there before an attempt whose answer is missing: that attempt took it.
            Ok(Withdrawn::Absent) if self.unknown => Ok(Withdrawn::Removed),
            Ok(withdrawn) => Ok(withdrawn),
            Err(error) => {
                self.unknown |= error.kind() == ErrorKind::Indeterminate;
                Err(error)
            }
        }
    }

    async fn end(&self, shared: &Shared<D>) {
        if self.ends_session {
            // At worst it lives for one TTL more.
            let ttl = self.entry.request().ttl();
            let _ = shared.limited(shared.driver.end(&self.session), ttl).await;
        }
    }

    fn tell(&mut self, outcome: Result<Withdrawn>) {
        if let Some(report) = self.report.take() {
            // Whoever asked may have gone.
            let _ = report.send(outcome);
        }
    }
}

fn unconfirmed(until: BootInstant, source: Error) -> Error {
    Error::indeterminate(until, "the store did not confirm the release; it is tried further")
        .with_source(source)
}
