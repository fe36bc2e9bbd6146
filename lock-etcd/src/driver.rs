//! The algorithm, on typed requests.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lockcore::queue::Ahead;
use lockcore::{
    BootInstant, Driver, Entry, EntryId, Error, ErrorKind, FencingToken, Guarantees, Inspection,
    LockName, LossCause, Mode, Renewed, Result, Rule, Sessions, Standing, Ttl, Wake, Withdrawn,
};

use crate::client::{Client, Compare, Look, Outcome, Row, Transaction, created_at};
use crate::config::{BACKEND, EtcdConfig};
use crate::error;
use crate::keys::{Keys, claim, value};
use crate::session::{Place, Session};
use crate::watcher::Watcher;

/// The commands of an etcd store.
#[derive(Debug)]
pub(crate) struct EtcdDriver {
    client: Arc<Client>,
    watcher: Watcher,
    prefix: String,
    max_waiters: usize,
    /// The keys of what is held, by the revision that created them.
    held: Mutex<HashMap<FencingToken, String>>,
    guarantees: Guarantees,
}

impl EtcdDriver {
    pub(crate) async fn connect(client: Client, config: &EtcdConfig) -> Result<Self> {
        let client = Arc::new(client);
        let has_tls = config.tls.is_some();
        let mut least = probe(&client, &config.prefix).await;
        for _ in 1..client.members() {
            // A member that is silent is not the next one.
            let is_unknown = |error: &Error| error.kind() == ErrorKind::Indeterminate;
            if least.as_ref().err().is_none_or(|error| !is_unknown(error)) {
                break;
            }
            least = probe(&client, &config.prefix).await;
        }
        let least = least.map_err(|error| error::at_first(error, has_tls))?;
        Ok(Self {
            watcher: Watcher::start(client.clone()),
            client,
            prefix: config.prefix.clone(),
            max_waiters: config.max_waiters,
            held: Mutex::default(),
            guarantees: guarantees(least),
        })
    }

    /// The compare that is true while the grant of this token stands.
    pub(crate) fn while_held(&self, token: FencingToken) -> Result<Compare> {
        let key = self.held().get(&token).cloned();
        let key = key.ok_or_else(|| {
            let message = "this client holds no lock with this token: it was lost or released, or \
                           another client holds it";
            Error::new(ErrorKind::NotHeld, message).at(BACKEND, "while_held")
        })?;
        Ok(created_at(key, token))
    }

    /// Asks for a place, or for the lock itself.
    async fn ask(&self, session: &Session, place: &Place, entry: &Entry) -> Result<Found> {
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
                .put(&place.own, &value(entry), session.lease)
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
            let mut outcome = self.send(session, place, ask).await?;
            if outcome.held {
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
    async fn look(&self, place: &Place, mode: Mode) -> Result<Found> {
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
    async fn send(&self, session: &Session, place: &Place, ask: Transaction) -> Result<Outcome> {
        place.unanswered.fetch_add(1, SeqCst);
        let until = BootInstant::now().saturating_add(session.ttl.as_duration());
        let outcome = self.client.run(ask, until).await;
        if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Indeterminate) {
            place.unanswered.fetch_sub(1, SeqCst);
        }
        outcome
    }

    /// That those before us want what we want, and that clients of another kind will go one day.
    async fn check_ahead(&self, place: &Place, mode: Mode, found: &Found) -> Result<()> {
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
    async fn judge(&self, place: &Place, entry: &Entry, found: Found) -> Result<Standing> {
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
            place.stop_listening();
            let token = token(place.created.load(SeqCst));
            let token =
                token.ok_or_else(|| Error::new(ErrorKind::Backend, "a key without revision"))?;
            self.held().insert(token, place.own.clone());
            return Ok(Standing::Granted(token));
        }
        place.wait_for(found.ahead);
        Ok(Standing::Queued { recheck: None })
    }

    /// Takes out what must not stay, before its error is told. If that cannot be done the outcome is
    /// unknown, and the engine sees to it.
    async fn clean_up(&self, session: &Session, entry: &Entry) -> Result<()> {
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
    async fn take_out(&self, session: &Session, place: &Place) -> Result<bool> {
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
    async fn fence_off(&self, session: &Session, place: &Place) -> Result<bool> {
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

    /// Whether those for whom the entry waits are all there, and the entry itself; all of them go one
    /// day.
    async fn has_not_moved(&self, place: &Place, ahead: &[Row]) -> Result<bool> {
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

    async fn renew_one(&self, session: &Session) -> Result<Renewed> {
        if session.is_stuck.load(SeqCst) {
            // Renewals need no permission, so it would be kept as long as this client is.
            let message = "a lock of this session may not be released, and goes with its lease";
            return Err(Error::new(ErrorKind::Unauthorized, message));
        }
        // Less than the keeper waits, so that a silent connection is noticed here.
        let limit = self.client.request_timeout().min(session.ttl.renewal_period() * 2 / 5);
        let stream = session.take_stream();
        let (is_kept, stream) = self.client.keep_alive(session.lease, stream, limit).await?;
        session.give_stream(stream);
        Ok(if is_kept { Renewed::Kept } else { Renewed::Gone(LossCause::SessionEnded) })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<FencingToken, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Driver for EtcdDriver {
    type Session = Session;

    fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    fn sessions(&self) -> Sessions {
        Sessions::Shared
    }

    async fn open(&self, entry: &Entry) -> Result<Session> {
        let ttl = entry.request().ttl();
        let lease = lease_id()?;
        let granted = self.client.grant(lease, seconds(ttl)).await?;
        if granted < seconds(ttl) {
            let message = format!("the server gives leases of {granted} s and no longer ones");
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        Ok(Session::new(&self.prefix, lease, ttl))
    }

    async fn enqueue(&self, session: &Session, entry: &Entry) -> Result<Standing> {
        let place = session.seat(&self.prefix, entry);
        let standing = match self.ask(session, &place, entry).await {
            Ok(found) if entry.waits() && self.is_full(entry.request().mode(), &found) => {
                Err(Error::new(
                    ErrorKind::QueueFull,
                    "as many wait for this name as `max_waiters` allows; nothing was queued",
                ))
            }
            Ok(found) => self.judge(&place, entry, found).await,
            Err(error) => Err(error),
        };
        match &standing {
            Ok(Standing::Granted(_) | Standing::Queued { .. }) => {}
            Err(error) if error.kind() == ErrorKind::Indeterminate => {}
            Ok(Standing::Busy) | Err(_) => self.clean_up(session, entry).await?,
        }
        standing
    }

    async fn wake(&self, session: &Session, entry: &Entry) -> Result<Wake> {
        let Some(place) = session.place(entry) else { return Ok(Wake::Check) };
        let (ear, since) = place.listen(&self.watcher);
        if !ear.has_heard.load(SeqCst) {
            let limit = self.client.request_timeout().saturating_sub(since.elapsed());
            if tokio::time::timeout(limit, ear.look.notified()).await.is_err() {
                ear.has_heard.store(true, SeqCst);
                self.watcher.reopen();
                ear.look.notified().await;
            }
        } else {
            ear.look.notified().await;
        }
        if ear.is_deaf.load(SeqCst) {
            // A stream keeps the login that it was opened with.
            self.watcher.reopen();
            return Err(Error::new(ErrorKind::Unavailable, "the server does not notify"));
        }
        Ok(Wake::Check)
    }

    async fn check(&self, session: &Session, entry: &Entry) -> Result<Standing> {
        let place = session.place(entry).ok_or_else(|| Error::lost(LossCause::Revoked))?;
        let ahead = place.ahead();
        if !ahead.is_empty() && ahead.len() <= FEW && self.has_not_moved(&place, &ahead).await? {
            return Ok(Standing::Queued { recheck: None });
        }
        let found = self.look(&place, entry.request().mode()).await?;
        self.judge(&place, entry, found).await
    }

    async fn withdraw(&self, session: &Session, entry: &Entry) -> Result<Withdrawn> {
        let Some(place) = session.place(entry) else { return Ok(Withdrawn::Absent) };
        place.stop_listening();
        // Also in a session that ends with the entry: its end is asked for once, and may get lost.
        let removed = if place.unanswered.load(SeqCst) == 0 {
            self.take_out(session, &place).await
        } else {
            self.fence_off(session, &place).await
        };
        match &removed {
            Ok(_) => session.is_stuck.store(false, SeqCst),
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                session.is_stuck.store(true, SeqCst);
            }
            Err(_) => {}
        }
        let removed = removed?;
        if let Some(token) = token(place.created.load(SeqCst)) {
            self.held().remove(&token);
        }
        session.leave(entry);
        Ok(if removed { Withdrawn::Removed } else { Withdrawn::Absent })
    }

    async fn renew(&self, sessions: &[Arc<Session>]) -> Vec<Result<Renewed>> {
        join_all(sessions.iter().map(|session| self.renew_one(session))).await
    }

    async fn missing(&self, session: &Session, entries: &[Arc<Entry>]) -> Result<Vec<EntryId>> {
        let places: Vec<_> =
            entries.iter().filter_map(|entry| Some((entry.id(), session.place(entry)?))).collect();
        // Too many for one answer are all looked for.
        let listed = self.client.keys_of(session.lease).await.unwrap_or_default();
        let listed: HashSet<_> = listed.iter().map(Vec::as_slice).collect();
        let doubtful: Vec<_> =
            places.iter().filter(|(_, place)| !listed.contains(place.own.as_bytes())).collect();
        let mut missing = Vec::new();
        for some in doubtful.chunks(FEW) {
            let mut ask = Transaction::default();
            for (_, place) in some {
                ask = ask.look(&Look::at(place.own.as_str()));
            }
            let mut outcome = self.client.run(ask, BootInstant::now()).await?;
            for (id, place) in some {
                let created = place.created.load(SeqCst);
                if first(outcome.found()?).is_none_or(|row| row.created != created) {
                    missing.push(*id);
                }
            }
        }
        Ok(missing)
    }

    async fn end(&self, session: &Session) -> Result<()> {
        session.give_stream(None);
        self.client.revoke(session.lease).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        let keys = Keys::new(&self.prefix, name);
        let ask = Transaction::default().look(&Look::all(keys.all()));
        let (rows, _) = self.client.run(ask, BootInstant::now()).await?.found()?;
        let mut before = Ahead::default();
        let (mut holders, mut waiters) = (Vec::new(), Vec::new());
        for row in rows {
            let mode = keys.mode(&row.key);
            let token = token(row.created);
            if before.admits(mode) {
                holders.push(claim(&row.value, token));
            } else {
                waiters.push(claim(&row.value, None));
            }
            before.add(mode);
        }
        Ok(Inspection::new(holders, waiters))
    }

    async fn close(&self) {
        self.client.close();
    }
}

impl EtcdDriver {
    /// Whether more wait than may, this one included.
    fn is_full(&self, mode: Mode, found: &Found) -> bool {
        let hold = match mode {
            Mode::Exclusive | Mode::Shared => 1,
            Mode::Permit { of } => of.get() as usize,
        };
        !found.ahead.is_empty() && found.count.saturating_sub(hold) > self.max_waiters
    }
}

/// What a look at the queue has shown.
#[derive(Debug)]
struct Found {
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

/// Learns the shortest TTL that the server grants, and sees that we may do what locks need.
async fn probe(client: &Client, prefix: &str) -> Result<Ttl> {
    let lease = lease_id()?;
    let least = client.grant(lease, 1).await?;
    let session = Session::new(prefix, lease, Ttl::DEFAULT);
    let until = BootInstant::now().saturating_add(Duration::from_secs(least.unsigned_abs()));
    let trial = Transaction::default()
        .if_version(&session.epoch_key, 0)
        .put(&session.epoch_key, "", lease)
        .look(&Look::all(Keys::new(prefix, &LockName::new("probe")?).all()))
        .or_look(&Look::at(session.epoch_key.as_str()));
    let tried = async {
        client.run(trial, until).await?;
        client.run(Transaction::default().delete(&session.epoch_key), until).await
    };
    let tried = tried.await;
    // It is short, and goes by itself if this fails.
    let revoked = client.revoke(lease).await;
    tried?;
    revoked?;
    Ttl::new(Duration::from_secs(least.unsigned_abs()))
}

/// A number that no other lease has.
fn lease_id() -> Result<i64> {
    let bits = EntryId::random()?.as_u128() as i64 & i64::MAX;
    Ok(bits.max(1))
}

fn token(created: i64) -> Option<FencingToken> {
    FencingToken::new(u64::try_from(created).ok()?)
}

fn first((rows, _): (Vec<Row>, usize)) -> Option<Row> {
    rows.into_iter().next()
}

fn seconds(ttl: Ttl) -> i64 {
    i64::try_from(ttl.as_duration().as_secs()).unwrap_or(i64::MAX)
}

fn guarantees(least: Ttl) -> Guarantees {
    Guarantees::all(BACKEND)
        .with_ttl(least..=Ttl::MAX)
        .with_ttl_step(Duration::from_secs(1))
        .except(
            Rule::R1,
            "a lock may be granted twice when somebody deletes its key or revokes its lease; the \
             holder learns it with its next renewal. Servers may do so by themselves when a leader \
             goes on that had stood still for a TTL, and those of 3.4 before 3.4.31 after any \
             change of leader",
        )
        .except(
            Rule::R2,
            "tokens fall if the cluster is restored from a backup without `--bump-revision`",
        )
}

/// So many keys are looked for in one transaction: servers take 128 steps unless told otherwise.
const FEW: usize = 100;
