//! Who stands under a name, and whose turn it is.

use std::sync::atomic::Ordering::SeqCst;

use lockcore::record::write_entry;
use lockcore::{BootInstant, Entry, Error, ErrorKind, LossCause, Mode, Result, Standing};

use super::{EtcdDriver, first, token};
use crate::client::{Look, Outcome, Row, Transaction};
use crate::error;
use crate::keys::Keys;
use crate::session::{Place, Session};

impl EtcdDriver {
    /// Asks for a place, or for the lock itself.
    pub(super) async fn ask(
        &self,
        session: &Session,
        place: &Place,
        entry: &Entry,
    ) -> Result<Found> {
        let mode = entry.request().mode();
        // What the conditions of one that does not wait were made of: nobody, or those of then.
        let mut newer_than = 0;
        loop {
            let epoch = session.epoch.load(SeqCst);
            let mut ask = Transaction::default().if_version(&session.epoch_key, epoch);
            if !entry.waits() {
                ask = match mode {
                    Mode::Exclusive | Mode::Permit { .. } => {
                        ask.if_older(place.all(), newer_than + 1)
                    }
                    Mode::Shared => {
                        ask.if_older(place.keys.exclusive(), 1).if_older(place.keys.permits(), 1)
                    }
                };
            }
            let own = Look::at(place.own.as_str());
            ask = ask
                .put(&place.own, &write_entry(entry), session.lease)
                .or_look(&Look::at(session.epoch_key.as_str()));
            // Only a first request knows without asking which revision created the key.
            let is_first = place.unanswered.load(SeqCst) == 0 && place.created.load(SeqCst) == 0;
            if !is_first {
                ask = ask.look(&own);
            }
            ask = ask.or_look(&own);
            for look in looks(&place.keys, mode, None) {
                ask = ask.look(&look).or_look(&look);
            }
            let mut outcome = match self.send(session, place, ask).await {
                Err(error) if error::is_led_anew(&error) => continue,
                outcome => outcome?,
            };
            if outcome.held {
                place.created.store(outcome.revision, SeqCst);
                outcome.wrote()?;
                let created = match is_first {
                    true => outcome.revision,
                    false => first(outcome.found()?).map_or(0, |row| row.created),
                };
                place.created.store(created, SeqCst);
                if created != outcome.revision {
                    return self.look(place, mode).await;
                }
                return Found::read(&mut outcome, mode, true, created);
            }
            let now = first(outcome.found()?).map_or(0, |row| row.version);
            let own = first(outcome.found()?);
            if let Some(own) = own {
                // By an earlier request, whose answer was lost.
                place.created.store(own.created, SeqCst);
                return self.look(place, mode).await;
            }
            let found = Found::read(&mut outcome, mode, false, i64::MAX)?;
            if now != epoch {
                session.epoch.store(now, SeqCst);
                continue;
            }
            match mode {
                // There are permits left if nobody came since these were counted.
                Mode::Permit { of } if !entry.waits() && found.ahead.len() < of.get() as usize => {
                    self.check_ahead(place, mode, &found).await?;
                    newer_than = outcome.revision;
                }
                _ => return Ok(found),
            }
        }
    }

    /// Looks who is before an entry that stands in the queue.
    pub(super) async fn look(&self, place: &Place, mode: Mode) -> Result<Found> {
        let mut ask = Transaction::default().look(&Look::at(place.own.as_str()));
        let created = place.created.load(SeqCst);
        for look in looks(&place.keys, mode, Some(created)) {
            ask = ask.look(&look);
        }
        let mut outcome = self.client.run(ask, BootInstant::now()).await?;
        let is_there = first(outcome.found()?).is_some_and(|own| own.created == created);
        Found::read(&mut outcome, mode, is_there, created)
    }

    /// Sends a request to queue, and remembers until it is answered that it may be under way.
    pub(super) async fn send(
        &self,
        session: &Session,
        place: &Place,
        ask: Transaction,
    ) -> Result<Outcome> {
        place.unanswered.fetch_add(1, SeqCst);
        let until = BootInstant::now().saturating_add(session.ttl.as_duration());
        let outcome = self.client.run(ask, until).await;
        // An answer that makes no sense says nothing either.
        let says_nothing =
            |error: &Error| matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Backend);
        if !outcome.as_ref().is_err_and(says_nothing) {
            place.unanswered.fetch_sub(1, SeqCst);
        }
        outcome
    }

    /// That those before us want what we want, and that clients of another kind will go one day.
    pub(super) async fn check_ahead(&self, place: &Place, mode: Mode, found: &Found) -> Result<()> {
        for row in found.ahead.iter().filter(|row| !place.keys.is_ours(&row.key)) {
            let ask = Transaction::default().look(&Look::whole(row.key.as_slice()));
            let found = self.client.run(ask, BootInstant::now()).await?.found()?;
            if first(found).is_some_and(|row| row.lease == 0) {
                return Err(in_the_way(row));
            }
        }
        check_kind(&place.keys, mode, found)
    }

    /// What a look at the queue says of the entry.
    pub(super) async fn judge(
        &self,
        place: &Place,
        entry: &Entry,
        found: Found,
    ) -> Result<Standing> {
        let mode = entry.request().mode();
        self.check_ahead(place, mode, &found).await?;
        if !found.is_there {
            return match entry.waits() {
                true => Err(Error::lost(LossCause::Revoked)),
                false => Ok(Standing::Busy),
            };
        }
        let is_admitted = match mode {
            Mode::Exclusive | Mode::Shared => found.ahead.is_empty(),
            Mode::Permit { of } => found.ahead.len() < of.get() as usize,
        };
        if is_admitted {
            return self.grant(place);
        }
        // Too many if some are behind it: then it looks.
        let is_next = found.ahead.len() == 1 && found.count == 2;
        place.wait_for(found.ahead, is_next);
        Ok(Standing::Queued { recheck: None })
    }

    /// It is the turn of the entry, whose key is there.
    pub(super) fn grant(&self, place: &Place) -> Result<Standing> {
        place.stop_listening();
        let token = token(place.created.load(SeqCst));
        let token =
            token.ok_or_else(|| Error::new(ErrorKind::Backend, "a key without revision"))?;
        self.held().insert(token, place.own.clone());
        Ok(Standing::Granted(token))
    }

    /// Whether those for whom the entry waits are all there, and the entry itself; all of them go one
    /// day.
    pub(super) async fn has_not_moved(&self, place: &Place, ahead: &[Row]) -> Result<bool> {
        let mut ask = Transaction::default().look(&Look::at(place.own.as_str()));
        for row in ahead {
            ask = ask.look(&Look::whole(row.key.as_slice()));
        }
        let mut outcome = self.client.run(ask, BootInstant::now()).await?;
        let mut still = |created| -> Result<Option<Row>> {
            Ok(first(outcome.found()?).filter(|row| row.created == created))
        };
        if still(place.created.load(SeqCst))?.is_none() {
            return Err(Error::lost(LossCause::Revoked));
        }
        for row in ahead {
            match still(row.created)? {
                None => return Ok(false),
                Some(row) if row.lease == 0 => return Err(in_the_way(&row)),
                Some(_) => {}
            }
        }
        Ok(true)
    }

    /// Whether more wait than may, this one included.
    pub(super) fn is_full(&self, mode: Mode, found: &Found) -> bool {
        let hold = match mode {
            Mode::Exclusive | Mode::Shared => 1,
            Mode::Permit { of } => of.get() as usize,
        };
        !found.ahead.is_empty() && found.count.saturating_sub(hold) > self.max_waiters
    }
}

/// What a look at the queue has shown.
#[derive(Debug)]
pub(super) struct Found {
    /// Whether our own key is there.
    is_there: bool,
    /// Those before us for whom we would wait, or may have to.
    ahead: Vec<Row>,
    /// How many stand under the name.
    count: usize,
}

impl Found {
    /// Reads what was asked for by [`looks`], and leaves ourselves out, whose key was `created` then.
    fn read(outcome: &mut Outcome, mode: Mode, is_there: bool, created: i64) -> Result<Self> {
        let (mut ahead, mut count) = outcome.found()?;
        if mode == Mode::Shared {
            ahead.append(&mut outcome.found()?.0);
            count = outcome.found()?.1;
        }
        ahead.retain(|row| row.created < created);
        if let Mode::Permit { of } = mode {
            ahead.truncate(of.get() as usize);
        }
        Ok(Self { is_there, ahead, count })
    }
}

/// What to ask to see whose turn it is: not for all who are there, only for those that matter.
///
/// For whoever wants it alone that is the one before; for a reader, the last writer, and whether
/// somebody has a permit; for a permit, as many as there are permits. `until` is the revision of our
/// key; without it nobody can be behind us yet.
fn looks(keys: &Keys, mode: Mode, until: Option<i64>) -> Vec<Look> {
    let looks = match mode {
        Mode::Exclusive => vec![Look::newest(keys.all(), 2)],
        Mode::Permit { of } => vec![Look::newest(keys.all(), i64::from(of.get()) + 1)],
        Mode::Shared => vec![
            Look::newest(keys.exclusive(), 1),
            Look::newest(keys.permits(), 1),
            Look::count(keys.all()),
        ],
    };
    let at = |look: Look| until.map_or(look.clone(), |until| look.until(until));
    let counted = matches!(mode, Mode::Shared);
    let last = looks.len() - 1;
    let at_place = |(place, look)| if counted && place == last { look } else { at(look) };
    looks.into_iter().enumerate().map(at_place).collect()
}

/// That all before us want what we want.
fn check_kind(keys: &Keys, mode: Mode, found: &Found) -> Result<()> {
    for row in &found.ahead {
        let present = keys.mode(&row.key);
        let is_other = match (mode, present) {
            (Mode::Permit { of }, Mode::Permit { of: theirs }) => of != theirs,
            (Mode::Permit { .. }, _) | (_, Mode::Permit { .. }) => true,
            _ => false,
        };
        if is_other {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "this name is in use as {present} and cannot be taken as {mode} meanwhile: all \
                     who use a name want the same kind of lock, and the same count of permits"
                ),
            ));
        }
    }
    Ok(())
}

/// Nobody's end takes this key away.
fn in_the_way(row: &Row) -> Error {
    let message = format!(
        "the key `{}` has no lease and would be in the way for ever: another program wrote it; \
         remove it, or choose another name or `prefix`",
        String::from_utf8_lossy(&row.key).escape_debug()
    );
    Error::new(ErrorKind::Backend, message)
}
