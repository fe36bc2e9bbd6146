//! tokio's own signals, with a point before each use where another task may go on.

use std::sync::atomic::Ordering::SeqCst;

use shuttle::sync::atomic::AtomicBool;
use tokio::sync::futures::Notified;

/// A point where another task may go on, and nothing else. Yielding is something else: it wakes up
/// who should sleep.
#[derive(Debug)]
struct Point(AtomicBool);

impl Point {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn pass(&self) {
        self.0.load(SeqCst);
    }
}

/// [`tokio::sync::Notify`].
#[derive(Debug)]
pub(crate) struct Notify {
    point: Point,
    inner: tokio::sync::Notify,
}

impl Notify {
    /// Without a permit.
    pub(crate) const fn const_new() -> Self {
        Self { point: Point::new(), inner: tokio::sync::Notify::const_new() }
    }

    /// Without a permit.
    pub(crate) fn new() -> Self {
        Self::const_new()
    }

    /// Waits for a notification from here on.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.point.pass();
        self.inner.notified()
    }

    /// Notifies one that waits, or the next.
    pub(crate) fn notify_one(&self) {
        self.point.pass();
        self.inner.notify_one();
    }

    /// Notifies all who wait.
    pub(crate) fn notify_waiters(&self) {
        self.point.pass();
        self.inner.notify_waiters();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::const_new()
    }
}

/// [`tokio::sync::watch`].
pub(crate) mod watch {
    use tokio::sync::watch;
    pub(crate) use tokio::sync::watch::{Receiver, Ref};

    use super::Point;

    /// [`tokio::sync::watch::Sender`].
    #[derive(Debug)]
    pub(crate) struct Sender<T> {
        point: Point,
        inner: watch::Sender<T>,
    }

    /// A sender and its first receiver.
    pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(value);
        let receiver = sender.inner.subscribe();
        (sender, receiver)
    }

    impl<T> Sender<T> {
        /// Without a receiver.
        pub(crate) fn new(value: T) -> Self {
            Self { point: Point::new(), inner: watch::Sender::new(value) }
        }

        /// The value as it is.
        pub(crate) fn borrow(&self) -> Ref<'_, T> {
            self.point.pass();
            self.inner.borrow()
        }

        /// One more receiver.
        pub(crate) fn subscribe(&self) -> Receiver<T> {
            self.point.pass();
            self.inner.subscribe()
        }

        /// Another value.
        pub(crate) fn send_replace(&self, value: T) -> T {
            self.point.pass();
            self.inner.send_replace(value)
        }
    }
}
