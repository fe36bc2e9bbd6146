//! A session of ZooKeeper, with those who stand in it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockcore::{BootInstant, Entry, EntryId, Result, Ttl};
use tokio::sync::watch;

use crate::client::{Connection, Node, Probed};
use crate::contact::Contact;
use crate::ear::{Ear, Listening};
use crate::error::session_gone;
use crate::names::{self, Directory};

/// A session, which is shared by all who have its TTL.
#[derive(Debug)]
pub(crate) struct Session {
    id: i64,
    pub(crate) ttl: Ttl,
    /// Nothing once it was ended.
    connection: Mutex<Option<Arc<Connection>>>,
    contact: Arc<Mutex<Contact>>,
    /// Entries that may not be taken out: it is not renewed then, so that its end takes them out.
    stuck: Mutex<HashSet<EntryId>>,
    places: Mutex<HashMap<EntryId, Arc<Place>>>,
    /// Whether it was ended from here.
    ended: watch::Sender<bool>,
}

/// What is known of one entry.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: Directory,
    /// What all its nodes begin with, in their directory.
    pub(crate) mark: String,
    /// The path of its node, up to the number.
    pub(crate) stem: String,
    /// A request to make a node was sent, and what became of it is not known.
    pub(crate) is_unanswered: AtomicBool,
    node: Mutex<Option<Node>>,
    waiting: Mutex<Waiting>,
}

/// For whom an entry waits.
#[derive(Debug, Default)]
struct Waiting {
    ahead: Vec<String>,
    /// Whether it may go as soon as one of them has left.
    is_next: bool,
    /// Whether it would hear of it if its own node was removed.
    hears_itself: bool,
    ear: Arc<Ear>,
    listening: Option<Listening>,
}

impl Session {
    /// The session of this connection, which was asked for at `opened`.
    pub(crate) fn new(connection: Arc<Connection>, ttl: Ttl, opened: BootInstant) -> Self {
        Self {
            id: connection.id(),
            ttl,
            connection: Mutex::new(Some(connection)),
            contact: Arc::new(Mutex::new(Contact::new(opened, ttl))),
            stuck: Mutex::default(),
            places: Mutex::default(),
            ended: watch::Sender::new(false),
        }
    }

    /// Whether this node ends with this session.
    pub(crate) fn owns(&self, node: &Node) -> bool {
        node.owner == self.id
    }

    /// Its connection, unless the session is over.
    pub(crate) fn connection(&self) -> Result<Arc<Connection>> {
        let connection = lock(&self.connection).clone();
        connection.filter(|connection| !connection.is_over()).ok_or_else(session_gone)
    }

    /// Takes the connection away: the session ends.
    pub(crate) fn take_connection(&self) -> Option<Arc<Connection>> {
        self.ended.send_replace(true);
        lock(&self.connection).take()
    }

    /// A write that was sent at `sent` was answered.
    pub(crate) fn answered(&self, sent: BootInstant) {
        lock(&self.contact).answered(sent);
    }

    /// Asks whether the session is alive; since when it is known to be, if there was an answer.
    pub(crate) async fn probe(&self, connection: Arc<Connection>) -> (Probed, BootInstant) {
        let contact = self.contact.clone();
        let mut ended = self.ended.subscribe();
        // What becomes of it counts, also when nobody waits any more.
        let probing = tokio::spawn(async move {
            let sent = BootInstant::now();
            let probed = tokio::select! {
                probed = connection.probe() => probed,
                // It may never be answered, and must not keep a session alive that is to end.
                _ = ended.wait_for(|ended| *ended) => Probed::Ended,
            };
            let mut contact = lock(&contact);
            match probed {
                Probed::Answered => contact.answered(sent),
                Probed::Broke => contact.broke(sent, BootInstant::now()),
                Probed::Ended | Probed::Silent => {}
            }
            (probed, contact.proven())
        });
        probing.await.unwrap_or((Probed::Silent, BootInstant::from_nanos(0)))
    }

    /// The place of an entry; a new one if it has none.
    pub(crate) fn seat(&self, prefix: &str, entry: &Entry) -> Arc<Place> {
        let mut places = lock(&self.places);
        let place = places.entry(entry.id()).or_insert_with(|| {
            let directory = Directory::new(prefix, entry.name());
            let mark = names::mark(entry.id());
            Arc::new(Place {
                stem: directory.at(&names::stem(&mark, entry.request().mode())),
                mark,
                directory,
                is_unanswered: AtomicBool::new(false),
                node: Mutex::default(),
                waiting: Mutex::default(),
            })
        });
        place.clone()
    }

    /// The place of an entry that was asked for and not taken out yet.
    pub(crate) fn place(&self, entry: &Entry) -> Option<Arc<Place>> {
        lock(&self.places).get(&entry.id()).cloned()
    }

    /// The entry may not be taken out.
    pub(crate) fn refused(&self, entry: &Entry) {
        lock(&self.stuck).insert(entry.id());
    }

    /// Whether there is an entry that only the end of the session takes out.
    pub(crate) fn is_stuck(&self) -> bool {
        !lock(&self.stuck).is_empty()
    }

    /// The entry is surely out of the store.
    pub(crate) fn leave(&self, entry: &Entry) {
        lock(&self.stuck).remove(&entry.id());
        let mut places = lock(&self.places);
        places.remove(&entry.id());
        if places.capacity() > SHRINK_FROM && places.len() < places.capacity() / 8 {
            let room = places.len() * 2;
            places.shrink_to(room);
        }
    }
}

impl Place {
    /// Its node, once that is known.
    pub(crate) fn node(&self) -> Option<Node> {
        lock(&self.node).clone()
    }

    /// It has this node, or none.
    pub(crate) fn found(&self, node: Option<Node>) {
        *lock(&self.node) = node;
        self.is_unanswered.store(false, SeqCst);
    }

    /// Waits for these from now on. They are watched once somebody listens.
    pub(crate) fn wait_for(&self, ahead: Vec<String>, is_next: bool) {
        let mut waiting = lock(&self.waiting);
        if waiting.ahead != ahead || waiting.ear.left.load(SeqCst) {
            *waiting = Waiting { ahead, is_next, ..Waiting::default() };
        }
        // Whoever has left behind the first of them does not matter to the watches.
        waiting.is_next = is_next;
    }

    /// For whom it waits.
    pub(crate) fn ahead(&self) -> Vec<String> {
        lock(&self.waiting).ahead.clone()
    }

    /// Watches those it waits for, if that has not begun.
    pub(crate) fn listen(&self, session: &Session) -> Result<Arc<Ear>> {
        let connection = session.connection()?;
        let own = self.node().map(|node| node.path);
        let mut waiting = lock(&self.waiting);
        if waiting.listening.is_none() || waiting.ear.is_deaf.load(SeqCst) {
            let ear = Arc::<Ear>::default();
            // Others list before they go, and see themselves there.
            let own = own.filter(|_| waiting.is_next);
            waiting.hears_itself = own.is_some();
            waiting.listening = Some(ear.listen(connection, waiting.ahead.clone(), own));
            waiting.ear = ear;
        }
        Ok(waiting.ear.clone())
    }

    /// What it has heard, and whether it may go now.
    pub(crate) fn heard(&self) -> (Arc<Ear>, bool) {
        let waiting = lock(&self.waiting);
        let left = waiting.ear.left.load(SeqCst);
        let stays = waiting.hears_itself && !waiting.ear.is_out.load(SeqCst);
        (waiting.ear.clone(), waiting.is_next && left && stays)
    }

    /// It waits no more.
    pub(crate) fn stop_listening(&self) {
        *lock(&self.waiting) = Waiting::default();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHRINK_FROM: usize = 64;
