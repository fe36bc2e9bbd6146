//! What the handles of all kinds do alike.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use crate::rt::timeout;
use crate::telemetry::{Outcome, Telemetry};
use crate::{
    Error, ErrorKind, Guard, Held, Lock, LockName, LossCause, Mode, OwnerLabel, Renewal, Request,
    Result, Ttl,
};

/// A name with options, at a backend.
#[derive(Clone)]
pub(crate) struct Handle {
    lock: Arc<dyn Lock>,
    telemetry: Telemetry,
    /// Without the options that were set here.
    base: Request,
    options: Options,
    /// With them; or what is wrong with them, which the acquisition will say.
    request: Result<Request, Arc<str>>,
}

#[derive(Clone, Debug, Default)]
struct Options {
    ttl: Option<Duration>,
    renewal: Renewal,
    owner: Option<String>,
}

impl Handle {
    pub(crate) fn new(lock: Arc<dyn Lock>, telemetry: Telemetry, base: Request) -> Self {
        let request = Ok(base.clone());
        Self { lock, telemetry, base, options: Options::default(), request }
    }

    pub(crate) fn name(&self) -> &LockName {
        self.base.name()
    }

    pub(crate) fn mode(&self) -> Mode {
        self.base.mode()
    }

    pub(crate) fn set_ttl(&mut self, ttl: Duration) {
        self.options.ttl = Some(ttl);
        self.resolve();
    }

    pub(crate) fn set_renewal(&mut self, renewal: Renewal) {
        self.options.renewal = renewal;
        self.resolve();
    }

    pub(crate) fn set_owner(&mut self, label: &str) {
        self.options.owner = Some(label.to_owned());
        self.resolve();
    }

    /// Whatever the order in which options were set, they are judged together.
    fn resolve(&mut self) {
        let resolved = self.options.apply(self.base.clone()).and_then(|request| {
            self.lock.guarantees().check_ttl(request.ttl())?;
            Ok(request)
        });
        self.request = resolved.map_err(|error| error.message().into());
    }

    fn request(&self, mode: Mode, operation: &'static str) -> Result<Request> {
        match &self.request {
            Ok(request) => Ok(request.clone().with_mode(mode)),
            Err(message) => Err(Error::new(ErrorKind::InvalidConfig, message.to_string())
                .at(self.telemetry.backend(), operation)),
        }
    }

    pub(crate) async fn lock(&self, mode: Mode) -> Result<Guard> {
        let attempt = self.telemetry.attempt(mode, true);
        let result = self.wait(mode).await;
        attempt.ends(if result.is_ok() { Outcome::Granted } else { Outcome::Failed });
        result
    }

    pub(crate) async fn try_lock(&self, mode: Mode) -> Result<Option<Guard>> {
        let attempt = self.telemetry.attempt(mode, false);
        let request = match self.request(mode, "try_lock") {
            Ok(request) => request,
            Err(error) => {
                attempt.ends(Outcome::Failed);
                return Err(error);
            }
        };
        let span = self.span("try_lock", &request);
        let result = self.lock.try_lock(&request).instrument(span).await;
        attempt.ends(match &result {
            Ok(Some(_)) => Outcome::Granted,
            Ok(None) => Outcome::Busy,
            Err(_) => Outcome::Failed,
        });
        Ok(result?.map(|lease| Guard::new(lease, mode, self.telemetry.clone())))
    }

    pub(crate) async fn try_lock_for(&self, mode: Mode, limit: Duration) -> Result<Option<Guard>> {
        if limit.is_zero() {
            return self.try_lock(mode).await;
        }
        let attempt = self.telemetry.attempt(mode, true);
        match timeout(limit, self.wait(mode)).await {
            Ok(result) => {
                attempt.ends(if result.is_ok() { Outcome::Granted } else { Outcome::Failed });
                result.map(Some)
            }
            Err(_) => {
                attempt.ends(Outcome::TimedOut);
                Ok(None)
            }
        }
    }

    pub(crate) async fn run<T>(&self, mode: Mode, work: impl AsyncFnOnce(Held) -> T) -> Result<T> {
        let guard = Arc::new(self.lock(mode).await?);
        // Whichever way this ends, and whoever kept a `Held`.
        let _exit = GiveUp(&guard);
        let value = {
            let held = Held::new(guard.clone());
            tokio::select! {
                // Loss first: work that finished after the loss was not protected to its end.
                biased;
                cause = guard.lost() => return Err(Error::lost(cause).at(self.telemetry.backend(), "run")),
                value = work(held) => value,
            }
        };
        match guard.release_shared().await {
            // Somebody else may have worked at the same time.
            Err(error) if error.kind() == ErrorKind::NotHeld => {
                let cause = error.loss_cause().unwrap_or(LossCause::Revoked);
                Err(Error::lost(cause).with_source(error).at(self.telemetry.backend(), "run"))
            }
            Err(error) => {
                tracing::warn!(name = %self.name(), %error, "work done, release not confirmed");
                Ok(value)
            }
            Ok(_) => Ok(value),
        }
    }

    async fn wait(&self, mode: Mode) -> Result<Guard> {
        let request = self.request(mode, "lock")?;
        let lease = self.lock.lock(&request).instrument(self.span("lock", &request)).await?;
        Ok(Guard::new(lease, mode, self.telemetry.clone()))
    }

    fn span(&self, operation: &'static str, request: &Request) -> tracing::Span {
        tracing::debug_span!(
            "leasehold",
            operation,
            backend = self.telemetry.backend(),
            name = %request.name(),
            mode = request.mode().as_str(),
            owner = request.owner().map(tracing::field::display),
        )
    }
}

impl Options {
    fn apply(&self, request: Request) -> Result<Request> {
        let ttl = self.ttl.map_or(Ok(request.ttl()), Ttl::new)?;
        let owner = match &self.owner {
            Some(label) => Some(OwnerLabel::new(label)?),
            None => request.owner().cloned(),
        };
        request.with_owner(owner).with_ttl(ttl)?.with_renewal(self.renewal)
    }
}

/// Gives a lock up at the end of a scope, unless that was done.
struct GiveUp<'a>(&'a Guard);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("backend", &self.telemetry.backend())
            .field("name", self.base.name())
            .field("mode", &self.base.mode())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The options that every handle has.
macro_rules! options {
    ($handle:ident) => {
        impl $handle {
            /// The same handle with another TTL, see [`Ttl`](crate::Ttl). One that is out of range,
            /// or above the time that the lock is renewed for, is an
            /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) of the acquisition.
            #[must_use]
            pub fn ttl(mut self, ttl: std::time::Duration) -> Self {
                self.handle.set_ttl(ttl);
                self
            }

            /// The same handle with another [`Renewal`](crate::Renewal). A time below the TTL is an
            /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) of the acquisition.
            #[must_use]
            pub fn renewal(mut self, renewal: crate::Renewal) -> Self {
                self.handle.set_renewal(renewal);
                self
            }

            /// The same handle with a label that `inspect` shows, such as the name of the worker. One
            /// that cannot be printed, see [`OwnerLabel`](crate::OwnerLabel), is an
            /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) of the acquisition.
            #[must_use]
            pub fn owner(mut self, label: impl AsRef<str>) -> Self {
                self.handle.set_owner(label.as_ref());
                self
            }

            /// The name of the lock.
            #[must_use]
            pub fn name(&self) -> &crate::LockName {
                self.handle.name()
            }
        }
    };
}

pub(crate) use options;
