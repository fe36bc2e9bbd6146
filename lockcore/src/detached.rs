//! Work that runs in its caller, and goes on without it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};

use crate::rt::{AtomicBool, Handle, Notify};

/// Work that its caller polls, so that it costs no task of its own; when the caller drops it, it
/// becomes one and runs to its end.
#[derive(Debug)]
pub(crate) struct Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    work: Option<Pin<Box<F>>>,
    departure: Arc<Departure>,
    runtime: Handle,
}

/// Tells work that its caller has gone.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    happened: AtomicBool,
    signal: Notify,
}

impl<F> Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// Work that goes on on `runtime`, and is told so by `departure`.
    pub(crate) fn new(work: F, departure: Arc<Departure>, runtime: Handle) -> Self {
        Self { work: Some(Box::pin(work)), departure, runtime }
    }
}

impl Departure {
    pub(crate) fn has_happened(&self) -> bool {
        self.happened.load(SeqCst)
    }

    /// Waits until the caller has gone.
    pub(crate) async fn happens(&self) {
        loop {
            let signal = self.signal.notified();
            if self.has_happened() {
                return;
            }
            signal.await;
        }
    }
}

impl<F> Future for Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // It has timers, and the caller may be outside any runtime.
        let _context = Handle::try_current().is_err().then(|| this.runtime.enter());
        let work = this.work.as_mut().expect("BUG: a future is not polled after its end");
        let output = ready!(work.as_mut().poll(cx));
        this.work = None;
        Poll::Ready(output)
    }
}

impl<F> Drop for Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.departure.happened.store(true, SeqCst);
            self.departure.signal.notify_waiters();
            self.runtime.spawn(async move { drop(work.await) });
        }
    }
}
