//! The algorithm, on typed requests.

mod probe;
mod queue;
mod removal;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use lockcore::queue::Ahead;
use lockcore::record::read_claim;
use lockcore::{
    BootInstant, Driver, Entry, EntryId, Error, ErrorKind, FencingToken, Guarantees, Inspection,
    LockName, LossCause, Renewed, Result, Sessions, Standing, Ttl, Wake, Withdrawn,
};

use self::probe::{guarantees, lease_id, probe};
use crate::client::{Client, Compare, Look, Row, Transaction, created_at};
use crate::config::{BACKEND, EtcdConfig};
use crate::error;
use crate::keys::Keys;
use crate::session::Session;
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
            match &least {
                // A member that is silent is not the next one.
                Err(error) if error.kind() == ErrorKind::Indeterminate => {}
                _ => break,
            }
            least = probe(&client, &config.prefix).await;
        }
        let least = least.map_err(|error| error::at_first(error, has_tls))?;
        Ok(Self {
            watcher: Watcher::start(client.clone()),
            client,
            prefix: config.prefix.clone(),
            max_waiters: config.limits.max_waiters,
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
        let (ear, may_go) = place.heard();
        if may_go {
            return self.grant(&place);
        }
        let (ahead, begun) = (place.ahead(), ear.begun.load(SeqCst));
        if !ahead.is_empty() && ahead.len() <= FEW && self.has_not_moved(&place, &ahead).await? {
            ear.looked.store(begun, SeqCst);
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
                holders.push(read_claim(&row.value, token));
            } else {
                waiters.push(read_claim(&row.value, None));
            }
            before.add(mode);
        }
        Ok(Inspection::new(holders, waiters))
    }

    async fn close(&self) {
        self.client.close();
    }
}

fn seconds(ttl: Ttl) -> i64 {
    i64::try_from(ttl.as_duration().as_secs()).unwrap_or(i64::MAX)
}

fn token(created: i64) -> Option<FencingToken> {
    FencingToken::new(u64::try_from(created).ok()?)
}

fn first((rows, _): (Vec<Row>, usize)) -> Option<Row> {
    rows.into_iter().next()
}

/// So many keys are looked for in one transaction: servers take 128 steps unless told otherwise.
const FEW: usize = 100;
