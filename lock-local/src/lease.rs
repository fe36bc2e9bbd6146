//! A grant of the in-process store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lockcore::{
    BootInstant, Error, ErrorKind, FencingToken, Lease, LockName, LossCause, Mode, Released,
    Renewal, Request, Result, Term, Ttl, term,
};

use crate::lock::{BACKEND, Lane};
use crate::queue::Grant;
use crate::sync::Clock;
use crate::table::Key;

/// A lock that is held. Dropping it gives the lock back, there and then.
#[must_use = "dropping a lease gives the lock back at once"]
pub struct LocalLease {
    client: Arc<Lane>,
    key: Key,
    mode: Mode,
    ttl: Ttl,
    renewal: Renewal,
    token: FencingToken,
    term: Term,
}

impl LocalLease {
    pub(crate) fn new(client: Arc<Lane>, key: Key, request: &Request, grant: Grant) -> Self {
        let on_deadline = match request.renewal() {
            Renewal::AutoUntil(_) => LossCause::MaxHold,
            Renewal::Auto | Renewal::Never => LossCause::Expired,
        };
        Self {
            client,
            key,
            mode: request.mode(),
            ttl: request.ttl(),
            renewal: request.renewal(),
            token: grant.token,
            term: Term::with_cause(grant.deadline, on_deadline),
        }
    }

    /// In which company the lock is held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Gives the lock back; like [`Lease::release`], without a future.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotHeld`] when it was lost or released before.
    pub fn give_back(&self) -> Result<Released> {
        let was_held = self.end() == LossCause::Released;
        let stood = self.client.table.release(&self.key, self.token);
        // A shutdown at the same moment took it out for us.
        if was_held && (stood || self.client.is_closed()) {
            return Ok(Released::new(self.token));
        }
        let cause = self.loss().unwrap_or(LossCause::Revoked);
        Err(Error::new(ErrorKind::NotHeld, format!("this grant is over: {cause}"))
            .with_loss(cause)
            .at(BACKEND, "release"))
    }

    /// Ends the belief. [`LossCause::Released`] if that was us; otherwise how it had ended.
    fn end(&self) -> LossCause {
        if let Some(cause) = self.loss() {
            // A release that was made before is no release now.
            return if cause == LossCause::Released { LossCause::Revoked } else { cause };
        }
        if self.term.end(LossCause::Released) { LossCause::Released } else { LossCause::Revoked }
    }

    fn loss(&self) -> Option<LossCause> {
        if self.client.is_closed() {
            self.term.end(LossCause::Shutdown);
        }
        // A hold without an end needs no clock to be held.
        let now = if self.term.deadline() == BootInstant::FAR {
            BootInstant::from_nanos(0)
        } else {
            Clock::now()
        };
        self.term.end_at(now)
    }
}

#[async_trait]
impl Lease for LocalLease {
    fn name(&self) -> &LockName {
        self.key.name()
    }

    fn token(&self) -> FencingToken {
        self.token
    }

    fn deadline(&self) -> BootInstant {
        match (self.loss(), self.term.deadline()) {
            (Some(_), _) => BootInstant::from_nanos(0),
            // Renewing costs nothing in one process, and cannot fail: as if it was done just now.
            (None, BootInstant::FAR) => term::deadline(Clock::now(), self.ttl),
            (None, deadline) => deadline,
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
                _ = self.term.ended() => {}
                () = self.client.closed() => {}
            }
        }
    }

    async fn renew(&self) -> Result<()> {
        let lost = |cause| Err(Error::lost(cause).at(BACKEND, "renew"));
        if let Some(cause) = self.loss() {
            return lost(cause);
        }
        // Only a hold that nobody renews has an end that moves.
        if self.renewal != Renewal::Never {
            return Ok(());
        }
        let now = Clock::now();
        let expires = now.saturating_add(self.ttl.as_duration());
        if !self.client.table.renew(&self.key, self.token, expires) {
            self.term.end(LossCause::Expired);
        }
        self.term.extend(term::deadline(now, self.ttl), Clock::now()).or_else(lost)
    }

    async fn release(&self) -> Result<Released> {
        self.give_back()
    }

    fn give_up(&self) {
        self.end();
        self.client.table.release(&self.key, self.token);
    }
}

impl Drop for LocalLease {
    fn drop(&mut self) {
        // Nobody waits for the end of a term that is being dropped: it need not be ended.
        if self.term.end_at(BootInstant::from_nanos(0)) != Some(LossCause::Released) {
            self.client.table.release(&self.key, self.token);
        }
    }
}

impl fmt::Debug for LocalLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLease")
            .field("name", self.key.name())
            .field("mode", &self.mode)
            .field("token", &self.token)
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}
