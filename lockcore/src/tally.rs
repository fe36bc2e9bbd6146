//! Work that somebody may wait for.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use crate::rt::{AtomicUsize, Notify};

/// Counts jobs that are under way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    idle: Notify,
}

impl Tally {
    /// One more is under way, until what this returns is dropped.
    pub(crate) fn start(&self) -> Job {
        self.inner.count.fetch_add(1, SeqCst);
        Job(self.inner.clone())
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        self.inner.count.load(SeqCst)
    }

    /// Waits until none is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.inner.idle.notified();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A job that is under way.
#[derive(Debug)]
pub(crate) struct Job(Arc<Inner>);

impl Drop for Job {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
