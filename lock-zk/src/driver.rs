//! The algorithm, on typed requests.

mod placing;
mod queue;
mod removal;
mod trial;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use futures_util::future::join_all;
use lockcore::queue::Ahead;
use lockcore::record::read_claim;
use lockcore::{
    BootInstant, Driver, Entry, EntryId, Error, ErrorKind, FencingToken, Guarantees, Inspection,
    LockName, LossCause, Renewed, Result, Sessions, Standing, Wake, Withdrawn,
};
use tokio::time::timeout;

use self::queue::{Queue, Turn};
use self::trial::{guarantees, trial};
use crate::HeldNode;
use crate::client::{Cluster, Connection, Node, Probed};
use crate::config::{BACKEND, ZkConfig};
use crate::error;
use crate::names::{self, Directory};
use crate::session::Session;

/// The commands of a ZooKeeper store.
pub(crate) struct ZkDriver {
    cluster: Arc<Cluster>,
    prefix: String,
    max_waiters: usize,
    /// Those of the sessions that were opened, and may be over.
    connections: Mutex<Vec<Weak<Connection>>>,
    /// The nodes of what is held.
    held: Mutex<HashMap<FencingToken, String>>,
    guarantees: Guarantees,
}

impl ZkDriver {
    pub(crate) async fn connect(cluster: Cluster, config: &ZkConfig) -> Result<Self> {
        let cluster = Arc::new(cluster);
        let ttls = trial(&cluster, &config.prefix).await?;
        Ok(Self {
            cluster,
            prefix: config.prefix.clone(),
            max_waiters: config.limits.max_waiters,
            connections: Mutex::default(),
            held: Mutex::default(),
            guarantees: guarantees(ttls),
        })
    }

    /// The check that a node of this grant stands there.
    pub(crate) fn while_held(&self, token: FencingToken) -> Result<HeldNode> {
        let path = self.held().get(&token).cloned();
        path.map(HeldNode::new).ok_or_else(|| {
            let message = "this client holds no lock with this token: it was lost or released, or \
                           another client holds it";
            Error::new(ErrorKind::NotHeld, message).at(BACKEND, "while_held")
        })
    }

    async fn renew_one(&self, session: &Session) -> Result<Renewed> {
        if session.is_stuck() {
            let message = "a lock of this session may not be released, and goes with the session";
            return Err(Error::new(ErrorKind::Unauthorized, message));
        }
        self.probe(session).await
    }

    /// Whether the session is there, and since when it is known to be.
    async fn probe(&self, session: &Session) -> Result<Renewed> {
        let Ok(connection) = session.connection() else {
            return Ok(Renewed::Gone(LossCause::SessionEnded));
        };
        // Less than the keeper waits, so that there is time for another one.
        let limit = self.cluster.limit().min(session.ttl.renewal_period() * 2 / 5);
        let probed = async {
            connection.ready().await?;
            Ok(session.probe(connection.clone()).await)
        };
        let silent = || Error::new(ErrorKind::Unavailable, "the server did not answer in time");
        match timeout(limit, probed).await.map_err(|_| silent())?? {
            (Probed::Answered, since) => Ok(Renewed::KeptSince(since)),
            (Probed::Ended, _) => Ok(Renewed::Gone(LossCause::SessionEnded)),
            (Probed::Broke | Probed::Silent, _) => Err(silent()),
        }
    }

    /// Where an entry stands that was found waiting before.
    async fn look_after(&self, session: &Session, entry: &Entry) -> Result<Standing> {
        let revoked = || Error::lost(LossCause::Revoked);
        let place = session.place(entry).ok_or_else(revoked)?;
        let node = place.node().ok_or_else(revoked)?;
        let (ear, may_go) = place.heard();
        if ear.is_out.load(SeqCst) {
            return Err(revoked());
        }
        if may_go {
            return self.grant(&node);
        }
        let connection = session.connection()?;
        connection.ready().await?;
        if !ear.left.load(SeqCst) && self.has_not_moved(&connection, &place, &node).await? {
            return Ok(Standing::Queued { recheck: None });
        }
        let listed = connection.list(place.directory.path(), false).await?;
        self.judge(&connection, &place, entry, &node, &listed).await
    }

    fn held(&self) -> MutexGuard<'_, HashMap<FencingToken, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Driver for ZkDriver {
    type Session = Session;

    fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    fn sessions(&self) -> Sessions {
        Sessions::Connection
    }

    async fn open(&self, entry: &Entry) -> Result<Session> {
        let ttl = entry.request().ttl();
        let opened = BootInstant::now();
        let connection = self.cluster.open(ttl.as_duration()).await?;
        let given = connection.session_timeout();
        if given != ttl.as_duration() {
            let message = format!("the server gives a session of {given:?}, and not of {ttl}");
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        let mut connections = self.connections();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        Ok(Session::new(connection, ttl, opened))
    }

    async fn enqueue(&self, session: &Session, entry: &Entry) -> Result<Standing> {
        let place = session.seat(&self.prefix, entry);
        let mode = entry.request().mode();
        let connection = session.connection()?;
        connection.ready().await?;
        if place.is_unanswered.load(SeqCst) {
            // By an earlier request, whose answer was lost. One of another session is not ours to use.
            let found = self.find(&connection, &place).await?;
            place.found(found.into_iter().find(|node| session.owns(node)));
        }
        let standing = async {
            if let Some(node) = place.node() {
                let listed = connection.list(place.directory.path(), false).await?;
                return self.judge(&connection, &place, entry, &node, &listed).await;
            }
            if !entry.waits() {
                let listed = connection.list(place.directory.path(), true).await?;
                let queue = Queue::read(&place.directory, &listed)?;
                queue::check(&connection, &place.directory, queue.all(), mode, false).await?;
                if queue::turn(queue.all(), mode) != Turn::Granted {
                    return Ok(Standing::Busy);
                }
            }
            let (node, listed) = self.line_up(session, &place, entry).await?;
            if !session.owns(&node) {
                return Err(Error::new(ErrorKind::Backend, "the node belongs to another session"));
            }
            let standing = self.judge(&connection, &place, entry, &node, &listed).await?;
            match standing {
                Standing::Queued { .. }
                    if entry.waits() && queue::waiters(&listed, mode) > self.max_waiters =>
                {
                    let message =
                        "as many wait for this name as `max_waiters` allows; nothing was queued";
                    Err(Error::new(ErrorKind::QueueFull, message))
                }
                standing => Ok(standing),
            }
        };
        let standing = match standing.await {
            // Also one whose node was made by an earlier request.
            Ok(Standing::Queued { .. }) if !entry.waits() => Ok(Standing::Busy),
            standing => standing,
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
        let ear = place.listen(session)?;
        ear.look.notified().await;
        if ear.is_deaf.load(SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the server does not notify"));
        }
        match (place.heard(), place.node()) {
            ((_, true), Some(node)) => match self.grant(&node)? {
                Standing::Granted(token) => Ok(Wake::Granted(token)),
                _ => Ok(Wake::Check),
            },
            _ => Ok(Wake::Check),
        }
    }

    async fn check(&self, session: &Session, entry: &Entry) -> Result<Standing> {
        match self.look_after(session, entry).await {
            // The end of a session takes its nodes out as well, and a watch may be told of that first.
            Err(error) if error.loss_cause() == Some(LossCause::Revoked) => {
                match self.probe(session).await? {
                    Renewed::Gone(cause) => Err(Error::lost(cause)),
                    _ => Err(error),
                }
            }
            looked => looked,
        }
    }

    async fn withdraw(&self, session: &Session, entry: &Entry) -> Result<Withdrawn> {
        let Some(place) = session.place(entry) else { return Ok(Withdrawn::Absent) };
        let is_anywhere = place.is_unanswered.load(SeqCst) || place.node().is_some();
        let mut was_there = false;
        if is_anywhere {
            let mut taken = self.take_out_of(session, &place).await;
            if taken.as_ref().is_err_and(|error| error.kind() == ErrorKind::Lost) {
                // It ended meanwhile, as far as we know: whether the node did is seen by another one.
                taken = self.take_out_of(session, &place).await.map_err(error::of_another);
            }
            was_there = taken.inspect_err(|error| {
                if error.kind() == ErrorKind::Unauthorized {
                    session.refused(entry);
                }
            })?;
        }
        // Not before: the watch of its own node was used up by that, and needs not be removed.
        place.stop_listening();
        session.leave(entry);
        Ok(if was_there { Withdrawn::Removed } else { Withdrawn::Absent })
    }

    async fn renew(&self, sessions: &[Arc<Session>]) -> Vec<Result<Renewed>> {
        join_all(sessions.iter().map(|session| self.renew_one(session))).await
    }

    async fn missing(&self, session: &Session, entries: &[Arc<Entry>]) -> Result<Vec<EntryId>> {
        let placed = |entry: &Arc<Entry>| Some((entry.id(), session.place(entry)?.node()?.path));
        let nodes: Vec<_> = entries.iter().filter_map(placed).collect();
        let connection = session.connection()?;
        // Where the server does not tell, all are looked for.
        let owned = connection.owned(&names::top(&self.prefix)).await.unwrap_or_default();
        let owned: HashSet<_> = owned.into_iter().collect();
        let doubtful: Vec<_> =
            nodes.into_iter().filter(|(_, path)| !owned.contains(path)).collect();
        let paths: Vec<_> = doubtful.iter().map(|(_, path)| path.clone()).collect();
        let found = connection.look(&paths).await?;
        let missing = doubtful.iter().zip(found).filter(|(_, found)| found.is_none());
        Ok(missing.map(|((id, _), _)| *id).collect())
    }

    async fn end(&self, session: &Session) -> Result<()> {
        match session.take_connection() {
            Some(connection) => self.cluster.end(connection).await,
            None => Ok(()),
        }
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        let directory = Directory::new(&self.prefix, name);
        let (connection, is_own) = self.hand(None).await?;
        let read = async {
            let listed = connection.list(directory.path(), true).await?;
            let queue = Queue::read(&directory, &listed)?;
            let paths: Vec<_> = queue.all().iter().map(|who| directory.at(who.node)).collect();
            let read = connection.read(&paths).await?;
            let mut before = Ahead::default();
            let (mut holders, mut waiters) = (Vec::new(), Vec::new());
            for (who, read) in queue.all().iter().zip(read) {
                // Gone meanwhile.
                let Some((node, value)) = read else { continue };
                if before.admits(who.mode) {
                    holders.push(read_claim(&value, token(&node).ok()));
                } else {
                    waiters.push(read_claim(&value, None));
                }
                before.add(who.mode);
            }
            Ok(Inspection::new(holders, waiters))
        };
        let inspection = read.await;
        if is_own {
            // It ends with its connection at the latest.
            let _ = self.cluster.end(connection).await;
        }
        inspection
    }

    async fn close(&self) {
        // Each session was ended, with its connection.
    }
}

impl fmt::Debug for ZkDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkDriver").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn token(node: &Node) -> Result<FencingToken> {
    let created = u64::try_from(node.created).ok().and_then(FencingToken::new);
    created.ok_or_else(|| Error::new(ErrorKind::Backend, "a node that no transaction has made"))
}
