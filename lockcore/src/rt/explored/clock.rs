//! Time that goes on in leaps, from the end of one timer to that of the next.
//!
//! A task makes the leaps. The explorer runs it when nothing else can go on, and now and then before
//! that: then things take long.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::current::{TaskId, me};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<Timers> = const { RefCell::new(Timers::new()) };
    static CLOCK: Cell<Option<TaskId>> = const { Cell::new(None) };
}

struct Timers {
    /// By when they end, and by their number.
    running: BTreeMap<(u64, u64), Waker>,
    started: u64,
    clock: Option<Waker>,
}

impl Timers {
    const fn new() -> Self {
        Self { running: BTreeMap::new(), started: 0, clock: None }
    }
}

pub(super) fn begin() {
    NOW.set(START);
    TIMERS.set(Timers::new());
    CLOCK.set(None);
    drop(shuttle::future::spawn(async {
        CLOCK.set(Some(me()));
        // Until here the explorer took it for any task.
        shuttle::future::yield_now().await;
        poll_fn(leap).await;
    }));
}

/// The task that moves the time on.
#[must_use]
pub fn clock_task() -> Option<TaskId> {
    CLOCK.get()
}

/// The time of the execution.
pub(crate) fn boot_nanos() -> u64 {
    NOW.get()
}

/// [`tokio::time::sleep`] on that time.
pub fn sleep(duration: Duration) -> Sleep {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let number = TIMERS.with_borrow_mut(|timers| {
        timers.started += 1;
        timers.started
    });
    Sleep { end: (NOW.get().saturating_add(nanos), number) }
}

/// [`tokio::time::timeout`] on that time.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep(limit) => Err(Elapsed),
    }
}

/// It was not done in time.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// A timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless you poll them"]
pub struct Sleep {
    end: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.0 <= NOW.get() {
            return Poll::Ready(());
        }
        TIMERS.with_borrow_mut(|timers| {
            timers.running.insert(self.end, cx.waker().clone());
            if let Some(clock) = timers.clock.take() {
                clock.wake();
            }
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        TIMERS.with_borrow_mut(|timers| timers.running.remove(&self.end));
    }
}

/// Lets the next timer end, with those that end at the same time; waits for one if there is none.
fn leap(cx: &mut Context<'_>) -> Poll<()> {
    TIMERS.with_borrow_mut(|timers| match timers.running.first_key_value() {
        Some((&(at, _), _)) => {
            NOW.set(at.max(NOW.get()));
            let later = timers.running.split_off(&(NOW.get() + 1, 0));
            let ended = std::mem::replace(&mut timers.running, later);
            ended.into_values().for_each(Waker::wake);
            cx.waker().wake_by_ref();
        }
        None => timers.clock = Some(cx.waker().clone()),
    });
    Poll::Pending
}

/// Away from the boot, so that instants before it can be expressed.
const START: u64 = 1 << 50;
