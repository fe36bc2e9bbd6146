//! Work that runs in its caller, and goes on without it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};

use crate::BootInstant;
use crate::rt::{AtomicBool, AtomicU64, Handle, Notify};

/// Work that its caller polls, so that it costs no task of its own; when the caller drops it, it
/// becomes one and runs to its end.
#[derive(Debug)]
pub(crate) struct Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    work: Option<Pin<Box<F>>>,
    departure: Option<Arc<Departure>>,
    runtime: Handle,
}

/// Tells work that its caller has gone, or is taken for one that has.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    happened: AtomicBool,
    /// The caller was there, and did not poll.
    is_given_up: AtomicBool,
    /// When it polled last, in nanoseconds.
    polled: AtomicU64,
    signal: Notify,
}

impl<F> Detached<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// Work that goes on on `runtime`, and is told so by `departure` if it wants to know.
    pub(crate) fn new(work: F, departure: Option<Arc<Departure>>, runtime: Handle) -> Self {
        Self { work: Some(Box::pin(work)), departure, runtime }
    }
}

impl Departure {
    pub(crate) fn has_happened(&self) -> bool {
        self.happened.load(SeqCst)
    }

    fn happen(&self) {
        self.happened.store(true, SeqCst);
        self.signal.notify_waiters();
    }

    /// Takes the caller for one that has gone if it has not polled since `since`; whether it was so.
    pub(crate) fn give_up_unpolled(&self, since: BootInstant) -> bool {
        let is_stuck = !self.has_happened() && self.polled.load(SeqCst) < since.as_nanos();
        if is_stuck {
            self.is_given_up.store(true, SeqCst);
            self.happen();
        }
        is_stuck
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(SeqCst)
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
        if let Some(departure) = &this.departure {
            departure.polled.store(BootInstant::now().as_nanos(), SeqCst);
        }
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
            if let Some(departure) = &self.departure {
                departure.happen();
            }
            self.runtime.spawn(async move { drop(work.await) });
        }
    }
}
