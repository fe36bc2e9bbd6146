//! Work in the background that somebody may wait for.

use tokio::sync::watch;

/// Counts jobs that are under way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: watch::Sender<usize>,
}

impl Tally {
    /// One more is under way, until what this returns is dropped.
    pub(crate) fn start(&self) -> Job {
        self.count.send_modify(|count| *count += 1);
        Job(self.count.clone())
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until none is under way.
    pub(crate) async fn idle(&self) {
        // The sender lives as long as we do.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// A job that is under way.
#[derive(Debug)]
pub(crate) struct Job(watch::Sender<usize>);

impl Drop for Job {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
