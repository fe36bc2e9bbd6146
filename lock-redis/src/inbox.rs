//! What the store tells the waiters of one client.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockcore::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::keys::read_token;
use crate::seat::Slot;

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
        let mut first = Some(client.listen(&inbox.channel).await?);
        inbox.state.send_replace(State::Listening);
        let (weak, client) = (Arc::downgrade(&inbox), client.clone());
        let task = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let Some(channel) = weak.upgrade().map(|inbox| inbox.channel.clone()) else {
                    return;
                };
                let listening = match first.take() {
                    Some(listening) => Ok(listening),
                    None => client.listen(&channel).await,
                };
                match listening {
                    Ok(mut listening) => {
                        let Some(inbox) = weak.upgrade() else { return };
                        inbox.state.send_replace(State::Listening);
                        inbox.all_look_again();
                        drop(inbox);
                        pause = FIRST_PAUSE;
                        while let Some(message) = listening.next().await {
                            let Some(inbox) = weak.upgrade() else { return };
                            inbox.deliver(&message);
                        }
                        let Some(inbox) = weak.upgrade() else { return };
                        inbox.state.send_replace(State::Connecting);
                    }
                    Err(error) => {
                        tracing::debug!(backend = "redis", %error, "not listening to the store");
                        let Some(inbox) = weak.upgrade() else { return };
                        inbox.state.send_replace(match error.kind() {
                            ErrorKind::Unauthorized => State::Forbidden(error.message().to_owned()),
                            _ => State::Connecting,
                        });
                        let hurry = inbox.hurry.clone();
                        drop(inbox);
                        tokio::select! {
                            () = sleep(pause) => {}
                            () = hurry.notified() => {}
                        }
                        pause = (pause * 2).min(LAST_PAUSE);
                    }
                }
            }
        });
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

    /// A message has the id of a waiter and its token. One that is not for us, or that nobody
    /// waits for any more, is nothing.
    fn deliver(&self, message: &str) {
        let read = || {
            let (id, token) = message.split_once(' ')?;
            Some((u128::from_str_radix(id, 16).ok()?, read_token(token)?))
        };
        let Some((id, token)) = read() else { return };
        if let Some(slot) = self.slots().get(&id) {
            slot.granted(token);
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
