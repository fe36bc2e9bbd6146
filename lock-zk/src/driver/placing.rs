//! Getting a place in the queue, and seeing where it is.

use std::sync::atomic::Ordering::SeqCst;

use lockcore::record::write_entry;
use lockcore::{BootInstant, Entry, Error, ErrorKind, LossCause, Result, Standing};

use super::queue::{self, Queue, Turn};
use super::{ZkDriver, token};
use crate::client::{Connection, LinedUp, Node};
use crate::session::{Place, Session};

impl ZkDriver {
    /// Makes a node for the entry, and its directory if need be; and who stands there then.
    pub(super) async fn line_up(
        &self,
        session: &Session,
        place: &Place,
        entry: &Entry,
    ) -> Result<(Node, Vec<String>)> {
        let connection = session.connection()?;
        connection.ready().await?;
        let (path, value) = (place.directory.path(), write_entry(entry));
        // Directories go by themselves when they are empty, so also between two requests.
        for parents in [false, true, true] {
            let sent = BootInstant::now();
            let until = sent.saturating_add(session.ttl.as_duration());
            place.is_unanswered.store(true, SeqCst);
            let lined_up = connection.line_up(path, &place.stem, &value, parents, until).await;
            match lined_up {
                Ok(LinedUp::Done(node, listed)) => {
                    session.answered(sent);
                    // It stands there, whatever is said of the list.
                    place.found(Some(node.clone()));
                    return Ok((node, listed?));
                }
                Ok(LinedUp::Nowhere) => place.is_unanswered.store(false, SeqCst),
                Err(error) => {
                    if error.kind() != ErrorKind::Indeterminate {
                        place.is_unanswered.store(false, SeqCst);
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the directory of the name goes as often as it is made",
        ))
    }

    /// Looks for nodes of this acquisition, once all that was asked for before is decided.
    pub(super) async fn find(&self, connection: &Connection, place: &Place) -> Result<Vec<Node>> {
        let listed = connection.list(place.directory.path(), true).await?;
        let ours = listed.iter().filter(|node| node.starts_with(&place.mark));
        let paths: Vec<_> = ours.map(|node| place.directory.at(node)).collect();
        let found = connection.look(&paths).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// What a look at the directory says of the entry.
    pub(super) async fn judge(
        &self,
        connection: &Connection,
        place: &Place,
        entry: &Entry,
        node: &Node,
        listed: &[String],
    ) -> Result<Standing> {
        let queue = Queue::read(&place.directory, listed)?;
        let Some(before) = queue.before(&node.path) else {
            return Err(Error::lost(LossCause::Revoked));
        };
        let suspected = place.heard().0.is_blocked.load(SeqCst);
        let mode = entry.request().mode();
        queue::check(connection, &place.directory, before, mode, suspected).await?;
        Ok(match queue::turn(before, mode) {
            Turn::Granted => self.grant(node)?,
            Turn::Wait { ahead, is_next } => {
                let ahead = ahead.into_iter().map(|node| place.directory.at(node)).collect();
                place.wait_for(ahead, is_next);
                Standing::Queued { recheck: None }
            }
        })
    }

    pub(super) fn grant(&self, node: &Node) -> Result<Standing> {
        let token = token(node)?;
        self.held().insert(token, node.path.clone());
        Ok(Standing::Granted(token))
    }

    /// Whether the entry still stands there, and everybody whom it waits for: then nothing has changed
    /// for it, and nobody has to be listed.
    pub(super) async fn has_not_moved(
        &self,
        connection: &Connection,
        place: &Place,
        node: &Node,
    ) -> Result<bool> {
        let mut paths = place.ahead();
        if paths.is_empty() || paths.len() > FEW {
            return Ok(false);
        }
        paths.push(node.path.clone());
        let mut found = connection.look(&paths).await?;
        let own = found.pop().flatten();
        own.ok_or_else(|| Error::lost(LossCause::Revoked))?;
        // One that ends with no session is looked at more closely.
        Ok(found.iter().all(|found| found.as_ref().is_some_and(|node| node.owner != 0)))
    }
}

/// Of more than so many it is cheaper to list all.
const FEW: usize = 8;
