//! The one error of the workspace.

use std::borrow::Cow;
use std::fmt;

use crate::{BootInstant, LossCause};

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, while doing what.
///
/// A lock that is busy is no error but `None`. No secret and no owner id stands in `Display` or
/// `Debug`.
#[derive(thiserror::Error)]
#[error("{inner}")]
pub struct Error {
    // Boxed: results are returned on paths where nothing goes wrong.
    inner: Box<Inner>,
    source: Option<Source>,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    backend: &'static str,
    operation: &'static str,
    message: Cow<'static, str>,
    loss: Option<LossCause>,
    may_hold_until: Option<BootInstant>,
    is_worth_repeating: bool,
}

/// What kind of failure it is: what the caller can conclude and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store answered something that it should not have, or a rule of the protocol was broken.
    Backend,
    /// The client was shut down.
    Closed,
    /// The request may have been applied; what it left is being cleaned up.
    /// [`Error::may_hold_until`] says until when it may still stand.
    Indeterminate,
    /// An option, a URL or a combination of requests makes no sense; the message names it.
    InvalidConfig,
    /// The name cannot be a lock's name; the message says why.
    InvalidName,
    /// The lock, or the place in the queue, was lost. [`Error::loss_cause`] says how.
    Lost,
    /// The store has no lock of this grant: it expired, was removed, or was released before.
    NotHeld,
    /// As many wait as the configuration allows. Nothing was queued.
    QueueFull,
    /// The store refused the credentials or lacks a permission.
    Unauthorized,
    /// The store cannot be reached or refuses work. The request was surely not applied.
    Unavailable,
    /// The backend cannot do this.
    Unsupported,
}

impl Error {
    /// An error of this kind. `message` says what is wrong and what would mend it; no full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let inner = Inner {
            kind,
            backend: "",
            operation: "",
            message: message.into(),
            loss: None,
            may_hold_until: None,
            is_worth_repeating: kind.is_transient(),
        };
        Self { inner: Box::new(inner), source: None }
    }

    /// The lock, or the place in the queue, was lost in this way.
    #[must_use]
    pub fn lost(cause: LossCause) -> Self {
        Self::new(ErrorKind::Lost, format!("the lock was lost: {cause}")).with_loss(cause)
    }

    /// The same error, saying how the lock was lost.
    #[must_use]
    pub fn with_loss(mut self, cause: LossCause) -> Self {
        self.inner.loss = Some(cause);
        self
    }

    /// The same error, which the same call may not meet again though its kind does not say so.
    #[must_use]
    pub(crate) fn worth_repeating(mut self) -> Self {
        self.inner.is_worth_repeating = true;
        self
    }

    /// The request may have been applied, and what it left stands until `until` at the most.
    #[must_use]
    pub fn indeterminate(until: BootInstant, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorKind::Indeterminate, message);
        error.inner.may_hold_until = Some(until);
        error
    }

    /// The client was shut down before this call.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "this client was shut down; connect again for a new one")
    }

    /// The same error, with the store that it came from and what was being done, where neither is
    /// known yet.
    #[must_use]
    pub fn at(mut self, backend: &'static str, operation: &'static str) -> Self {
        if self.inner.backend.is_empty() {
            self.inner.backend = backend;
        }
        if self.inner.operation.is_empty() {
            self.inner.operation = operation;
        }
        self
    }

    /// The same error, with the error of a lower level that caused it. Drivers give none that
    /// prints a secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The backend it came from, such as `local`; empty when no backend was asked.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.inner.backend
    }

    /// What was being done, such as `lock` or `release`; empty when it was nothing of that sort.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// What is wrong, without backend and operation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// How the lock was lost, for [`ErrorKind::Lost`] and [`ErrorKind::NotHeld`].
    #[must_use]
    pub fn loss_cause(&self) -> Option<LossCause> {
        self.inner.loss
    }

    /// Until when the lock may still stand in the store, for [`ErrorKind::Indeterminate`].
    #[must_use]
    pub fn may_hold_until(&self) -> Option<BootInstant> {
        self.inner.may_hold_until
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.inner.is_worth_repeating
    }
}

impl ErrorKind {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Indeterminate | Self::QueueFull | Self::Unavailable)
    }

    /// The kind in words, as `Display` of an error begins.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend error",
            Self::Closed => "closed",
            Self::Indeterminate => "outcome unknown",
            Self::InvalidConfig => "invalid configuration",
            Self::InvalidName => "invalid name",
            Self::Lost => "lost",
            Self::NotHeld => "not held",
            Self::QueueFull => "queue full",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.backend, self.operation) {
            ("", "") => {}
            ("", place) | (place, "") => write!(f, "{place}: ")?,
            (backend, operation) => write!(f, "{backend}: {operation}: ")?,
        }
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        let mut out = f.debug_struct("Error");
        out.field("kind", &inner.kind)
            .field("backend", &inner.backend)
            .field("operation", &inner.operation)
            .field("message", &inner.message);
        if let Some(source) = &self.source {
            out.field("source", source);
        }
        out.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn says_where_what_and_why() {
        let io = std::io::Error::other("refused");
        let error = Error::new(ErrorKind::Unavailable, "no server at 127.0.0.1:1")
            .with_source(io)
            .at("redis", "lock")
            .at("other", "other");
        assert_eq!(
            error.to_string(),
            "redis: lock: unavailable: no server at 127.0.0.1:1",
            "the first place stays"
        );
        assert_eq!(error.source().map(ToString::to_string), Some("refused".to_owned()));
        assert!(error.is_transient());
        assert_eq!(Error::lost(LossCause::Expired).loss_cause(), Some(LossCause::Expired));
    }
}
