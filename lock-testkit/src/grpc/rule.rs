//! Faults of single calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::proxy::{DISARMED, Swallow, counts_down};
use crate::wait::scaled;

/// The reply that is to be lost. Dropping this does not call it off.
#[derive(Clone, Debug)]
pub struct ReplySwallow {
    pub(super) rule: Arc<SwallowRule>,
}

impl ReplySwallow {
    /// Whether the reply was lost: the server has answered, and the client will not hear of it.
    pub fn has_landed(&self) -> bool {
        *self.rule.landed.borrow()
    }

    /// Waits until the reply is lost.
    ///
    /// # Panics
    ///
    /// When it is not within `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn landed(&self, deadline: Duration) {
        let mut landed = self.rule.landed.subscribe();
        let lost = timeout(scaled(deadline), landed.wait_for(|landed| *landed)).await;
        assert!(lost.is_ok(), "no reply of {} was swallowed within {deadline:?}", self.rule.path);
    }

    /// Calls it off, if its call has not come yet.
    pub fn disarm(&self) {
        self.rule.left.store(DISARMED, Ordering::SeqCst);
    }
}

/// A fault of all calls of a path, which ends when this is released or dropped.
#[derive(Debug)]
#[must_use = "the fault ends when this is dropped"]
pub struct CallRule {
    pub(super) rule: Arc<Rule>,
}

impl CallRule {
    /// How often it has struck: messages, beginnings or ends of calls that had to wait, where those
    /// behind them in the same call do not count; messages that were dropped; calls that were
    /// refused.
    pub fn hits(&self) -> u64 {
        *self.rule.hits.borrow()
    }

    /// Waits until it has struck so often, counted from its beginning.
    ///
    /// # Panics
    ///
    /// When it has not within `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn hit(&self, times: u64, deadline: Duration) {
        let mut hits = self.rule.hits.subscribe();
        let hit = timeout(scaled(deadline), hits.wait_for(|hits| *hits >= times)).await;
        let Rule { path, kind, .. } = &*self.rule;
        let seen = self.hits();
        assert!(hit.is_ok(), "{kind:?} of {path}: {seen} of {times} hits within {deadline:?}");
    }

    /// Ends the fault; what it held goes on.
    pub fn release(self) {}
}

impl Drop for CallRule {
    fn drop(&mut self) {
        self.rule.over.send_replace(true);
    }
}

/// A fault of all calls of a path.
#[derive(Debug)]
pub(super) struct Rule {
    path: String,
    pub(super) kind: Kind,
    over: watch::Sender<bool>,
    hits: watch::Sender<u64>,
}

/// What happens to the calls.
#[derive(Debug)]
pub(super) enum Kind {
    Hold,
    HoldReplies,
    Stall,
    BlackHole,
    Delay(Duration),
    /// `left` is how many calls are still to come until the one that is refused; all are, if it is
    /// not there.
    Fail {
        left: Option<AtomicU64>,
        status: u32,
        message: String,
    },
}

impl Rule {
    pub(super) fn new(path: &str, kind: Kind) -> Self {
        let path = path.to_owned();
        Self { path, kind, over: watch::Sender::new(false), hits: watch::Sender::new(0) }
    }

    pub(super) fn is_for(&self, path: &str) -> bool {
        !*self.over.borrow() && matches(&self.path, path)
    }

    pub(super) fn strike(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    /// Waits until the handle lets go.
    pub(super) async fn over(&self) {
        // The sender lives as long as this, so waiting cannot fail.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

/// A reply that is to be lost.
pub(super) struct SwallowRule {
    path: String,
    pub(super) then: Swallow,
    left: AtomicU64,
    landed: watch::Sender<bool>,
}

impl SwallowRule {
    pub(super) fn new(path: &str, nth: u64, then: Swallow) -> Self {
        let (path, left) = (path.to_owned(), AtomicU64::new(nth));
        Self { path, then, left, landed: watch::Sender::new(false) }
    }

    /// A call of `path` has come: whether it is the one, unless another rule has it.
    pub(super) fn is_its_turn(&self, path: &str, taken: bool) -> bool {
        matches(&self.path, path) && counts_down(&self.left, taken)
    }

    pub(super) fn is_armed(&self) -> bool {
        self.left.load(Ordering::SeqCst) != DISARMED
    }

    pub(super) fn land(&self) {
        self.landed.send_replace(true);
    }
}

impl fmt::Debug for SwallowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, then, left, landed } = self;
        f.debug_struct("SwallowRule")
            .field("path", path)
            .field("then", then)
            .field("left", left)
            .field("landed", &*landed.borrow())
            .finish()
    }
}

/// `KV/Txn` is the method of a service of any package, `/etcdserverpb.KV/Txn` that of one, and `*`
/// is every call.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    pattern == "*"
        || pattern == path
        || (!pattern.is_empty()
            && path.strip_suffix(pattern).is_some_and(|before| before.ends_with(['.', '/'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_whole_or_without_its_package() {
        for pattern in ["*", "KV/Txn", "etcdserverpb.KV/Txn", "/etcdserverpb.KV/Txn"] {
            assert!(matches(pattern, "/etcdserverpb.KV/Txn"), "{pattern}");
        }
        assert!(matches("KV/Txn", "/KV/Txn"));
        for pattern in ["", "V/Txn", "KV", "KV/Tx", "kv/txn", "/KV/Txn", "etcdserverpb.KV"] {
            assert!(!matches(pattern, "/etcdserverpb.KV/Txn"), "{pattern}");
        }
    }
}
