//! What a waiter listens with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::Connection;

/// What a waiter has heard of.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    pub(crate) look: Notify,
    /// One of those it waits for has left.
    pub(crate) left: AtomicBool,
    /// Its own node was removed.
    pub(crate) is_out: AtomicBool,
    /// One of those it waits for belongs to no session, and never leaves.
    pub(crate) is_blocked: AtomicBool,
    /// It hears nothing any more.
    pub(crate) is_deaf: AtomicBool,
}

/// Listens for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ear {
    /// Watches those who are ahead, and the waiter's own node if it is named, from now on.
    pub(crate) fn listen(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        ahead: Vec<String>,
        own: Option<String>,
    ) -> Listening {
        let ear = self.clone();
        Listening(tokio::spawn(async move { ear.hear(connection, ahead, own).await }))
    }

    async fn hear(&self, connection: Arc<Connection>, mut paths: Vec<String>, own: Option<String>) {
        let own_place = paths.len();
        paths.extend(own);
        let watched = connection.watch(&paths).await;
        // It must not keep the session alive.
        drop(connection);
        let Ok(watched) = watched else { return self.tell(&self.is_deaf) };
        let mut events = FuturesUnordered::new();
        for (place, watched) in watched.into_iter().enumerate() {
            let is_own = place == own_place;
            match watched {
                Some(watched) => {
                    if !is_own && watched.owner == 0 {
                        self.tell(&self.is_blocked);
                    }
                    events.push(async move { (is_own, watched.until_removed().await) });
                }
                None => self.tell(if is_own { &self.is_out } else { &self.left }),
            }
        }
        while let Some((is_own, is_removed)) = events.next().await {
            self.tell(match (is_removed, is_own) {
                // Its data were changed, or the session is over.
                (false, _) => &self.is_deaf,
                (true, true) => &self.is_out,
                (true, false) => &self.left,
            });
        }
    }

    fn tell(&self, what: &AtomicBool) {
        what.store(true, SeqCst);
        self.look.notify_one();
    }
}
