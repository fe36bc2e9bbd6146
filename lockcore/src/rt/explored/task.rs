//! Tasks of the execution.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use shuttle::future::{JoinError, JoinHandle, spawn};

thread_local! {
    static TASKS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn begin() {
    TASKS.set(0);
}

/// How many tasks of engines there are.
#[must_use]
pub fn tasks() -> usize {
    TASKS.get()
}

/// The runtime of the execution.
#[derive(Clone, Debug)]
pub(crate) struct Handle;

impl Handle {
    /// It is always there.
    pub(crate) fn current() -> Self {
        Self
    }

    /// It is always there.
    pub(crate) fn try_current() -> Result<Self, Infallible> {
        Ok(Self)
    }

    /// Does nothing: the execution has one runtime.
    pub(crate) fn enter(&self) {}

    /// A task that is counted, until it is over with all that it had.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let counted = Counted::new();
        spawn(async move {
            let _counted = counted;
            future.await
        })
    }
}

/// A task that is not over.
struct Counted;

impl Counted {
    fn new() -> Self {
        TASKS.set(TASKS.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        TASKS.set(TASKS.get() - 1);
    }
}

/// [`tokio::task::JoinSet`] of the execution.
pub(crate) struct JoinSet<T>(Vec<JoinHandle<T>>);

impl<T: Send + 'static> JoinSet<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// One more task.
    pub(crate) fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.0.push(Handle.spawn(future));
    }

    /// Whether all have been joined.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The outcome of one that has ended; `None` if there is no task.
    pub(crate) async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| {
            for (index, task) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(outcome) = Pin::new(task).poll(cx) {
                    self.0.swap_remove(index);
                    return Poll::Ready(Some(outcome));
                }
            }
            if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.0.len()).finish()
    }
}
