//! Taking an entry out of the store, until that is certain.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::oneshot;

use crate::driver::{Driver, Entry, Withdrawn};
use crate::engine::Shared;
use crate::keeper::Tenure;
use crate::pace::Pace;
use crate::{BootInstant, Error, ErrorKind, Result};

/// One entry that is to go.
pub(crate) struct Withdrawal<D: Driver> {
    pub(crate) entry: Arc<Entry>,
    pub(crate) session: Arc<D::Session>,
    /// The session of several entries, which may keep this one alive.
    pub(crate) tenure: Option<Arc<Tenure<D::Session>>>,
    /// Whether the session was opened for this entry alone and ends with it.
    pub(crate) ends_session: bool,
    pub(crate) report: Option<Report>,
}

/// Somebody waits for the outcome, until a time.
pub(crate) struct Report {
    pub(crate) to: oneshot::Sender<Result<Withdrawn>>,
    pub(crate) until: BootInstant,
}

impl<D: Driver> Withdrawal<D> {
    /// Repeats the withdrawal until the store is certain, or has forgotten the entry by itself.
    pub(crate) async fn run(mut self, shared: &Shared<D>) {
        let ttl = self.entry.request().ttl();
        // Twice: a command that was under way may have restarted the TTL meanwhile.
        let forgotten = BootInstant::now().saturating_add(ttl.as_duration() * 2);
        let mut pace = Pace::new(self.entry.id());
        let mut unknown = false;
        loop {
            let command = shared.driver.withdraw(&self.session, &self.entry);
            let error = match shared.limited(command, ttl).await {
                // It was there before an attempt whose answer is missing: that attempt took it.
                Ok(Withdrawn::Absent) if unknown => break self.tell(Ok(Withdrawn::Removed)),
                Ok(withdrawn) => break self.tell(Ok(withdrawn)),
                Err(error) => error,
            };
            unknown |= error.kind() == ErrorKind::Indeterminate;
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
            let is_late = self.report.as_ref().is_some_and(|report| now >= report.until);
            if !error.is_transient() {
                self.tell(Err(error));
            } else if is_late {
                self.tell(Err(unconfirmed(forgotten, error)));
            }
            tokio::time::sleep(pace.backoff()).await;
        }
        if self.ends_session {
            // At worst it lives for one TTL more.
            let _ = shared.limited(shared.driver.end(&self.session), ttl).await;
        }
    }

    fn tell(&mut self, outcome: Result<Withdrawn>) {
        if let Some(report) = self.report.take() {
            // Whoever asked may have gone.
            let _ = report.to.send(outcome);
        }
    }
}

fn unconfirmed(until: BootInstant, source: Error) -> Error {
    Error::indeterminate(until, "the store did not confirm the release; it is tried further")
        .with_source(source)
}
