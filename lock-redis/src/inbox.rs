//! What the store tells the waiters of one client.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lockcore::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::{Client, Heard, Listening};
use crate::keys::read_token;
use crate::seat::{LOOK, Slot};

/// One channel for all waiters of a client, on a connection of its own that is made anew whenever
/// it ends.
pub(crate) struct Inbox {
    channel: String,
    slots: Mutex<HashMap<u128, Arc<Slot>>>,
    state: watch::Sender<State>,
    /// Somebody wants to know whether we may listen again.
    hurry: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Whether we listen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Listening,
    /// The server does not let us; why.
    Forbidden(String),
}

impl Inbox {
    /// An inbox that listens from now on.
    ///
    /// # Errors
    ///
    /// When the first attempt fails.
    pub(crate) async fn open(client: &Arc<Client>, channel: String) -> Result<Arc<Self>> {
        let inbox = Arc::new(Self {
            channel,
            slots: Mutex::default(),
            state: watch::Sender::new(State::Connecting),
            hurry: Arc::default(),
            task: Mutex::default(),
        });
        let first = client.listen(&inbox.channel).await?;
        inbox.state.send_replace(State::Listening);
        let ear = Ear { inbox: Arc::downgrade(&inbox), current: Some(first) };
        let task = tokio::spawn(ear.listens(client.clone()));
        *inbox.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(inbox)
    }

    /// Waits until the store can reach us, though not for long: a waiter that it cannot reach looks
    /// from time to time.
    ///
    /// # Errors
    ///
    /// When the store does not let us listen.
    pub(crate) async fn ready(&self) -> Result<()> {
        if *self.state.borrow() == State::Listening {
            return Ok(());
        }
        let mut state = self.state.subscribe();
        // What was forbidden a while ago may be allowed again.
        if matches!(*state.borrow(), State::Forbidden(_)) {
            self.state.send_replace(State::Connecting);
            self.hurry.notify_one();
        }
        // The sender is ours.
        let _ = timeout(PATIENCE, state.wait_for(|state| *state != State::Connecting)).await;
        if let State::Forbidden(why) = &*state.borrow() {
            return Err(Error::new(ErrorKind::Unauthorized, why.clone()));
        }
        Ok(())
    }

    pub(crate) fn add(&self, id: u128, slot: Arc<Slot>) {
        self.slots().insert(id, slot);
    }

    pub(crate) fn remove(&self, id: u128) {
        let mut slots = self.slots();
        slots.remove(&id);
        if slots.capacity() > SHRINK_FROM && slots.len() < slots.capacity() / 8 {
            let len = slots.len();
            slots.shrink_to(len * 2);
        }
    }

    /// Listens no more.
    pub(crate) fn close(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// A message has the id of a waiter and its token, or a 1 if it should look. One that is not for
    /// us, or that nobody waits for any more, is nothing.
    fn deliver(&self, message: &str) {
        let read = || {
            let (id, token) = message.split_once(' ')?;
            Some((u128::from_str_radix(id, 16).ok()?, read_token(token)?))
        };
        let Some((id, token)) = read() else { return };
        if let Some(slot) = self.slots().get(&id) {
            if token.as_u64() == LOOK { slot.look_again() } else { slot.granted(token) }
        }
    }

    fn all_look_again(&self) {
        for slot in self.slots().values() {
            slot.look_again();
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u128, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who listens for an inbox.
struct Ear {
    inbox: Weak<Inbox>,
    current: Option<Listening>,
}

impl Ear {
    /// Listens as long as there is an inbox. The old connection is heard until there is a new one:
    /// whoever cannot be reached keeps a turn, and others wait.
    async fn listens(mut self, client: Arc<Client>) {
        loop {
            self.hears().await;
            let mut pause = FIRST_PAUSE;
            let new = loop {
                let Some(inbox) = self.inbox.upgrade() else { return };
                let (channel, hurry) = (inbox.channel.clone(), inbox.hurry.clone());
                drop(inbox);
                match self.meanwhile(client.listen(&channel)).await {
                    Ok(new) => break new,
                    Err(error) => self.is_told(&error),
                }
                self.meanwhile(timeout(pause, hurry.notified())).await.ok();
                pause = (pause * 2).min(LAST_PAUSE);
            };
            self.current = Some(new);
            let Some(inbox) = self.inbox.upgrade() else { return };
            inbox.state.send_replace(State::Listening);
            // The old one may have been silent for a while.
            inbox.all_look_again();
        }
    }

    /// Delivers what is heard, until there should be another connection.
    async fn hears(&mut self) {
        while let Some(listening) = &mut self.current {
            let heard = listening.next().await;
            let inbox = self.inbox.upgrade();
            match (heard, inbox) {
                (Heard::Message(message), Some(inbox)) => inbox.deliver(&message),
                (Heard::Moved, Some(_)) => return,
                (_, inbox) => {
                    self.current = None;
                    if let Some(inbox) = inbox {
                        inbox.state.send_replace(State::Connecting);
                    }
                }
            }
        }
    }

    /// Delivers what is heard while something is done.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        while self.current.is_some() {
            tokio::select! {
                done = &mut work => return done,
                () = self.hears() => {}
            }
        }
        work.await
    }

    /// There is no new connection.
    fn is_told(&self, error: &Error) {
        tracing::debug!(backend = "redis", %error, "not listening to the store");
        if let (None, Some(inbox)) = (&self.current, self.inbox.upgrade()) {
            inbox.state.send_replace(match error.kind() {
                ErrorKind::Unauthorized => State::Forbidden(error.message().to_owned()),
                _ => State::Connecting,
            });
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("waiters", &self.slots().len()).finish_non_exhaustive()
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(250);
const SHRINK_FROM: usize = 64;
