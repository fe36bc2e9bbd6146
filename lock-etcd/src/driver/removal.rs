//! Taking an entry out, whatever became of the requests that put it there.

use std::sync::atomic::Ordering::SeqCst;

use lockcore::{BootInstant, Driver, Entry, Error, ErrorKind, Result};

use super::{EtcdDriver, first};
use crate::client::{Look, Transaction};
use crate::error;
use crate::session::{Place, Session};

impl EtcdDriver {
    /// Takes out what must not stay, before its error is told. If that cannot be done the outcome is
    /// unknown, and the engine sees to it.
    pub(super) async fn clean_up(&self, session: &Session, entry: &Entry) -> Result<()> {
        let Some(place) = session.place(entry) else { return Ok(()) };
        if place.unanswered.load(SeqCst) == 0 && place.created.load(SeqCst) == 0 {
            // No request of it was done, and none is under way.
            session.leave(entry);
            return Ok(());
        }
        self.withdraw(session, entry).await.map(drop).map_err(|error| {
            let until = BootInstant::now().saturating_add(session.ttl.as_duration());
            Error::indeterminate(until, "a place in the queue could not be given up yet")
                .with_source(error)
        })
    }

    /// Takes out an entry of which nothing is under way: its key as it was created then, and none that
    /// came after it in the same place.
    pub(super) async fn take_out(&self, session: &Session, place: &Place) -> Result<bool> {
        let created = place.created.load(SeqCst);
        if created == 0 {
            return Ok(false);
        }
        let until = BootInstant::now().saturating_add(session.ttl.as_duration());
        let out = Transaction::default().if_created(&place.own, created).delete(&place.own);
        let mut outcome = self.client.run(out, until).await?;
        if outcome.held { outcome.deleted() } else { Ok(false) }
    }

    /// Takes out an entry of which requests may still be under way, wherever they are.
    pub(super) async fn fence_off(&self, session: &Session, place: &Place) -> Result<bool> {
        let until = BootInstant::now().saturating_add(session.ttl.as_duration());
        loop {
            let epoch = session.epoch.load(SeqCst);
            let fence = Transaction::default()
                .if_version(&session.epoch_key, epoch)
                .put(&session.epoch_key, "", session.lease)
                .delete(&place.own)
                .or_look(&Look::at(session.epoch_key.as_str()));
            let mut outcome = match self.client.run(fence, until).await {
                Ok(outcome) => outcome,
                // With its lease everything is gone, and nothing can come.
                Err(error) if error.kind() == ErrorKind::Lost => return Ok(false),
                Err(error) if error::is_full(&error) => {
                    // A full store takes no fence, and nothing that is under way. When it is not
                    // full any more, the fence will tell.
                    let out = Transaction::default().delete(&place.own);
                    self.client.run(out, until).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            if outcome.held {
                session.epoch.store(epoch + 1, SeqCst);
                outcome.wrote()?;
                return outcome.deleted();
            }
            let now = first(outcome.found()?).map_or(0, |row| row.version);
            session.epoch.store(now, SeqCst);
        }
    }
}
