//! A grant of the engine.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_trait::async_trait;

use crate::audit;
use crate::clock::sleep_until;
use crate::detached::Detached;
use crate::driver::{Driver, Entry, Renewed, Withdrawn};
use crate::engine::Shared;
use crate::keeper::Tenure;
use crate::rt::AtomicBool;
use crate::withdrawal::Withdrawal;
use crate::{
    BootInstant, Error, ErrorKind, FencingToken, Lease, LockName, LossCause, Released, Renewal,
    Result, Term, term,
};

/// What the engine knows of a grant. It ends with its own term or with that of its session.
pub(crate) struct Grant<D: Driver> {
    shared: Arc<Shared<D>>,
    pub(crate) entry: Arc<Entry>,
    token: FencingToken,
    own: Arc<Term>,
    tenure: Arc<Tenure<D::Session>>,
    /// Whether the session is that of this grant alone, opened for it.
    ends_session: bool,
    withdrawn: AtomicBool,
}

impl<D: Driver> Grant<D> {
    /// A grant whose request was sent at `sent`.
    pub(crate) fn new(
        shared: &Arc<Shared<D>>,
        entry: &Arc<Entry>,
        token: FencingToken,
        sent: BootInstant,
        tenure: Arc<Tenure<D::Session>>,
        ends_session: bool,
    ) -> Arc<Self> {
        let request = entry.request();
        let own = Arc::new(match request.renewal() {
            Renewal::AutoUntil(max_hold) => {
                let limit = term::hold_limit(sent, max_hold, request.ttl());
                Term::with_cause(limit, LossCause::MaxHold)
            }
            Renewal::Never if shared.ends_holds() => Term::new(term::deadline(sent, request.ttl())),
            Renewal::Auto | Renewal::Never => Term::new(BootInstant::FAR),
        });
        let grant = Arc::new(Self {
            shared: shared.clone(),
            entry: entry.clone(),
            token,
            own,
            tenure,
            ends_session,
            withdrawn: AtomicBool::new(false),
        });
        // A shutdown that finds it asking no more waits for it.
        let _job = shared.jobs.start();
        if !shared.holds(entry.id(), &grant) {
            grant.lose(LossCause::Shutdown);
        }
        match request.renewal() {
            Renewal::AutoUntil(_) => grant.end_in_time(Duration::ZERO),
            // Not before its TTL is over, as in a store that does so itself.
            Renewal::Never if shared.ends_holds() => {
                let ttl = request.ttl();
                grant.end_in_time(ttl.as_duration().saturating_sub(ttl.belief()));
            }
            Renewal::Auto | Renewal::Never => {}
        }
        grant
    }

    /// How it ended, if it did.
    fn loss(&self) -> Option<LossCause> {
        let now = BootInstant::now();
        if let Some(cause) = self.own.end_at(now) {
            return Some(cause);
        }
        let cause = self.tenure.term.end_at(now)?;
        self.own.end(cause);
        self.own.end_at(now)
    }

    pub(crate) fn is_in(&self, tenure: &Arc<Tenure<D::Session>>) -> bool {
        Arc::ptr_eq(&self.tenure, tenure)
    }

    /// Ends it from this side, and takes it out of the store; unless its holder does so already,
    /// who is to be told the outcome.
    pub(crate) fn lose(&self, cause: LossCause) {
        self.own.end(cause);
        if self.own.end_at(BootInstant::now()) != Some(LossCause::Released) {
            self.withdraw();
        }
    }

    /// Takes it out of the store, in the background, unless that was begun before.
    fn withdraw(&self) {
        // A shutdown that finds it held no more waits for it.
        let _job = self.shared.jobs.start();
        if self.is_first_withdrawal() {
            self.shared.held(self.entry.id());
            self.shared.withdraw(self.withdrawal());
        }
    }

    /// Whether nobody has begun to take it out before.
    fn is_first_withdrawal(&self) -> bool {
        if self.withdrawn.swap(true, SeqCst) {
            return false;
        }
        if self.is_alone() {
            self.shared.keeper.stop(&self.tenure);
        }
        true
    }

    /// What takes it out of the store.
    fn withdrawal(&self) -> Withdrawal<D> {
        Withdrawal::new(
            self.entry.clone(),
            self.tenure.session.clone(),
            (!self.is_alone()).then(|| self.tenure.clone()),
            self.ends_session,
        )
    }

    /// Whether nothing else is in its session.
    fn is_alone(&self) -> bool {
        self.ends_session || !self.shared.sessions_are_shared()
    }

    /// Takes it out of the store when it was held for as long as it may be, though the holder does
    /// nothing; and `later` than it was believed.
    fn end_in_time(self: &Arc<Self>, later: Duration) {
        let (own, grant) = (self.own.clone(), Arc::downgrade(self));
        self.shared.runtime.spawn(async move {
            if matches!(own.ended().await, LossCause::MaxHold | LossCause::Expired) {
                sleep_until(BootInstant::now().saturating_add(later)).await;
                if let Some(grant) = grant.upgrade() {
                    grant.withdraw();
                }
            }
        });
    }
}

/// A lock that is held. Dropping it has it withdrawn.
pub(crate) struct EngineLease<D: Driver> {
    grant: Arc<Grant<D>>,
}

impl<D: Driver> EngineLease<D> {
    pub(crate) fn new(grant: Arc<Grant<D>>) -> Self {
        Self { grant }
    }

    pub(crate) fn loss(&self) -> Option<LossCause> {
        self.grant.loss()
    }

    fn at(&self, error: Error, operation: &'static str) -> Error {
        error.at(self.grant.shared.driver.guarantees().backend(), operation)
    }
}

#[async_trait]
impl<D: Driver> Lease for EngineLease<D> {
    fn name(&self) -> &LockName {
        self.grant.entry.name()
    }

    fn token(&self) -> FencingToken {
        self.grant.token
    }

    fn deadline(&self) -> BootInstant {
        match self.loss() {
            None => self.grant.own.deadline().min(self.grant.tenure.term.deadline()),
            Some(_) => BootInstant::from_nanos(0),
        }
    }

    fn is_held(&self) -> bool {
        self.loss().is_none()
    }

    async fn lost(&self) -> LossCause {
        loop {
            if let Some(cause) = self.loss() {
                return cause;
            }
            tokio::select! {
                biased;
                _ = self.grant.own.ended() => {}
                _ = self.grant.tenure.term.ended() => {}
            }
        }
    }

    async fn renew(&self) -> Result<()> {
        let lost = |cause| self.at(Error::lost(cause), "renew");
        if let Some(cause) = self.loss() {
            return Err(lost(cause));
        }
        let (shared, tenure) = (&self.grant.shared, &self.grant.tenure);
        let sent = BootInstant::now();
        let command = shared.driver.renew(std::slice::from_ref(&tenure.session));
        // A session is kept though nothing stands in it any more: both have to be true.
        let (answer, missing) = tokio::join!(
            shared.limited(async { Ok(command.await) }, tenure.ttl),
            audit::is_missing(shared, tenure, &self.grant.entry),
        );
        let answer = answer.and_then(|mut answers| {
            let none = || Error::new(ErrorKind::Backend, "the driver did not answer for a session");
            answers.pop().ok_or_else(none)?
        });
        let answer = match (answer, missing) {
            (Ok(Renewed::Gone(cause)), _) => Ok(Renewed::Gone(cause)),
            (_, Ok(true)) => {
                self.grant.lose(LossCause::Revoked);
                return Err(lost(self.loss().unwrap_or(LossCause::Revoked)));
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
            (answer, Ok(false)) => answer,
        };
        let answer = answer.map_err(|error| self.at(error, "renew"))?;
        tenure.renewed(sent, answer).map_err(lost)?;
        let request = self.grant.entry.request();
        if request.renewal() == Renewal::Never && shared.ends_holds() {
            let deadline = term::deadline(sent, request.ttl());
            self.grant.own.extend(deadline, BootInstant::now()).map_err(lost)?;
        }
        self.loss().map_or(Ok(()), |cause| Err(lost(cause)))
    }

    async fn release(&self) -> Result<Released> {
        let grant = &self.grant;
        let not_held = |message| {
            let cause = self.loss().unwrap_or(LossCause::Released);
            let error = Error::new(ErrorKind::NotHeld, format!("{message}: {cause}"));
            Err(self.at(error.with_loss(cause), "release"))
        };
        // A shutdown waits for it from before the belief ends; until it knows what to take out, for
        // as long as it takes.
        let begins = grant.shared.jobs.start();
        let job = grant.shared.asking.start();
        let until = self.deadline();
        let was_held = self.loss().is_none() && grant.own.end(LossCause::Released);
        if !grant.is_first_withdrawal() {
            return not_held("this grant was lost or released before");
        }
        let (shared, id, withdrawal) = (grant.shared.clone(), grant.entry.id(), grant.withdrawal());
        if !was_held {
            // What is left of it goes without us: the answer is known.
            shared.held(id);
            shared.withdraw(withdrawal);
            return not_held("this grant was lost before it was released");
        }
        shared.releases(id, grant.withdrawal());
        drop(begins);
        let work = async move {
            let outcome = withdrawal.confirmed(&shared, until).await;
            let is_ours = shared.asked(id);
            drop(job);
            match outcome {
                // A shutdown has taken it out meanwhile.
                Ok(Withdrawn::Absent) if !is_ours => Ok(Withdrawn::Removed),
                outcome => outcome,
            }
        };
        let outcome = Detached::new(work, None, grant.shared.runtime.clone()).await;
        match outcome {
            Ok(Withdrawn::Removed) => Ok(Released::new(grant.token)),
            Ok(Withdrawn::Absent) => {
                let error = Error::new(ErrorKind::NotHeld, "the store had no such grant any more");
                Err(self.at(error.with_loss(LossCause::Revoked), "release"))
            }
            Err(error) => Err(self.at(error, "release")),
        }
    }

    fn give_up(&self) {
        // A shutdown waits for it from before the belief ends.
        let _job = self.grant.shared.jobs.start();
        self.grant.own.end(LossCause::Released);
        self.grant.withdraw();
    }
}

impl<D: Driver> Drop for EngineLease<D> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<D: Driver> fmt::Debug for EngineLease<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineLease")
            .field("name", self.name())
            .field("token", &self.grant.token)
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}
