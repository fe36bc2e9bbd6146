//! A lease of etcd, with those who stand under it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lockcore::{Entry, EntryId, Ttl};

use crate::client::{KeepAlive, Row};
use crate::keys::{self, Keys, Span};
use crate::numbers::Numbers;
use crate::watcher::{Ear, Stand, Subject, Watcher, Watching};

/// A lease.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) lease: i64,
    pub(crate) ttl: Ttl,
    /// The key whose version is the epoch.
    pub(crate) epoch_key: String,
    /// What requests to queue must find there. It rises when the outcome of one is unknown and its
    /// entry is to go: wherever the request is by then, it will find another epoch, and do nothing.
    pub(crate) epoch: AtomicI64,
    pub(crate) stream: Mutex<Option<KeepAlive>>,
    /// An entry of it may not be taken out: it is not renewed, so that its lease takes it out.
    pub(crate) is_stuck: AtomicBool,
    places: Mutex<HashMap<EntryId, Arc<Place>>>,
    numbers: Mutex<Numbers>,
}

/// What is known of one entry.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) keys: Keys,
    pub(crate) own: String,
    number: u64,
    /// How many requests to queue it were sent and not answered.
    pub(crate) unanswered: AtomicU32,
    /// The revision that created its key; 0 while that is unknown.
    pub(crate) created: AtomicI64,
    waiting: Mutex<Waiting>,
}

/// For whom an entry waits.
#[derive(Default)]
struct Waiting {
    ahead: Vec<Row>,
    /// Whether nobody else is before it.
    is_next: bool,
    ear: Arc<Ear>,
    watches: Vec<Watching>,
    since: Option<Instant>,
}

impl Session {
    pub(crate) fn new(prefix: &str, lease: i64, ttl: Ttl) -> Self {
        Self {
            lease,
            ttl,
            epoch_key: keys::epoch(prefix, lease),
            epoch: AtomicI64::new(0),
            stream: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            places: Mutex::default(),
            numbers: Mutex::default(),
        }
    }

    /// The place of an entry; a new one if it has none.
    pub(crate) fn seat(&self, prefix: &str, entry: &Entry) -> Arc<Place> {
        let mut places = self.places();
        let place = places.entry(entry.id()).or_insert_with(|| {
            let keys = Keys::new(prefix, entry.name());
            let number = self.numbers().take(keys.base());
            Arc::new(Place {
                own: keys.own(entry.request().mode(), self.lease, number),
                keys,
                number,
                unanswered: AtomicU32::new(0),
                created: AtomicI64::new(0),
                waiting: Mutex::default(),
            })
        });
        place.clone()
    }

    /// The place of an entry that was asked for and not taken out yet.
    pub(crate) fn place(&self, entry: &Entry) -> Option<Arc<Place>> {
        self.places().get(&entry.id()).cloned()
    }

    /// The entry is surely out of the store.
    pub(crate) fn leave(&self, entry: &Entry) {
        let mut places = self.places();
        // A key that a request to queue may still be under way for is never used again. One that
        // would delete it is of no account: it says which revision it means.
        if let Some(place) = places.remove(&entry.id())
            && place.unanswered.load(SeqCst) == 0
        {
            self.numbers().give_back(place.keys.base(), place.number);
        }
        if places.capacity() > SHRINK_FROM && places.len() < places.capacity() / 8 {
            let room = places.len() * 2;
            places.shrink_to(room);
        }
    }

    /// The stream of renewals, for the one who renews next.
    pub(crate) fn take_stream(&self) -> Option<KeepAlive> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn give_stream(&self, stream: Option<KeepAlive>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<EntryId, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for these from now on. They are watched once somebody listens.
    pub(crate) fn wait_for(&self, ahead: Vec<Row>, is_next: bool) {
        let mut waiting = self.waiting();
        if waiting.ahead != ahead {
            *waiting = Waiting { ahead, is_next, ..Waiting::default() };
        }
    }

    /// What it has heard, and whether it may go: the only one before it has left, and its own key stood
    /// there then. Whoever comes is created later, and so behind it.
    pub(crate) fn heard(&self) -> (Arc<Ear>, bool) {
        let waiting = self.waiting();
        (waiting.ear.clone(), waiting.is_next && waiting.ear.is_sure())
    }

    /// For whom it waits, if nobody of them is known to have left.
    pub(crate) fn ahead(&self) -> Vec<Row> {
        let waiting = self.waiting();
        let has_left = waiting.ear.left.load(SeqCst);
        if has_left { Vec::new() } else { waiting.ahead.clone() }
    }

    /// Watches those it waits for, if that has not begun, and since when.
    pub(crate) fn listen(&self, watcher: &Watcher) -> (Arc<Ear>, Instant) {
        let mut waiting = self.waiting();
        let ear = waiting.ear.clone();
        let since = match waiting.since {
            Some(since) if !ear.is_deaf.load(SeqCst) => since,
            _ => {
                waiting.ear = Arc::default();
                // Others look before they go.
                let own = waiting.is_next.then(|| Stand {
                    key: self.own.clone().into_bytes(),
                    created: self.created.load(SeqCst),
                });
                let watch = |row: &Row| {
                    watcher.watch(Subject { ahead: row.into(), own: own.clone() }, &waiting.ear)
                };
                waiting.watches = waiting.ahead.iter().map(watch).collect();
                *waiting.since.insert(Instant::now())
            }
        };
        (waiting.ear.clone(), since)
    }

    /// It waits no more.
    pub(crate) fn stop_listening(&self) {
        *self.waiting() = Waiting::default();
    }

    pub(crate) fn all(&self) -> Span {
        self.keys.all()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("for", &self.ahead.len()).finish_non_exhaustive()
    }
}

const SHRINK_FROM: usize = 64;
