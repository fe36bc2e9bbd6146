//! Taking an entry out, whatever became of the requests that put it there.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};

use lockcore::{BootInstant, Driver, Entry, Error, Result};

use super::{ZkDriver, token};
use crate::client::Connection;
use crate::session::{Place, Session};

impl ZkDriver {
    /// Takes out what was made for an entry that is not to stay. What cannot be taken out now may
    /// stand there as long as the session.
    pub(super) async fn clean_up(&self, session: &Session, entry: &Entry) -> Result<()> {
        self.withdraw(session, entry).await.map(|_| ()).map_err(|error| {
            let until = BootInstant::now().saturating_add(session.ttl.as_duration());
            Error::indeterminate(until, "what was queued is being withdrawn").with_source(error)
        })
    }

    /// A connection that works: that of the session, or of another one if that is over. The second
    /// says whether it is to be ended after use.
    pub(super) async fn hand(&self, session: Option<&Session>) -> Result<(Arc<Connection>, bool)> {
        let own = session.and_then(|session| session.connection().ok());
        let any = || {
            let connections = self.connections();
            connections.iter().filter_map(Weak::upgrade).find(|connection| !connection.is_over())
        };
        if let Some(connection) = own.or_else(any) {
            connection.ready().await?;
            return Ok((connection, false));
        }
        let ttl = *self.guarantees.ttl().start();
        Ok((self.cluster.open(ttl.as_duration()).await?, true))
    }

    /// Takes it out by a connection that works; whether it was there.
    pub(super) async fn take_out_of(&self, session: &Session, place: &Place) -> Result<bool> {
        let (connection, is_own) = self.hand(Some(session)).await?;
        let was_there = self.take_out(&connection, place).await;
        if is_own {
            // It ends with its connection at the latest.
            let _ = self.cluster.end(connection).await;
        }
        was_there
    }

    async fn take_out(&self, connection: &Connection, place: &Place) -> Result<bool> {
        let nodes = if place.is_unanswered.load(SeqCst) {
            self.find(connection, place).await?
        } else {
            place.node().into_iter().collect()
        };
        let mut was_there = false;
        for node in &nodes {
            was_there |= connection.remove(&node.path).await?;
            if let Ok(token) = token(node) {
                self.held().remove(&token);
            }
        }
        Ok(was_there)
    }
}
