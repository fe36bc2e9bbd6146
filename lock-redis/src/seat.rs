//! What the driver knows of one acquisition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use lockcore::{Entry, FencingToken, Mode, Wake};
use tokio::sync::Notify;

use crate::inbox::Inbox;
use crate::keys::{Keys, OWNER_LEN, value};

/// One acquisition: what it is called in the store, and what was heard of it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) keys: Keys,
    value: String,
    pub(crate) ttl_ms: u64,
    pub(crate) mode: Mode,
    /// Whether the lock was granted at once, so that perhaps nobody else stands there.
    pub(crate) was_free: AtomicBool,
    listens: Option<Listens>,
}

/// A place in the inbox, given up with the seat.
#[derive(Debug)]
struct Listens {
    inbox: Arc<Inbox>,
    id: u128,
    slot: Arc<Slot>,
}

/// What was heard of a waiter, and not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// 0 for nothing, [`LOOK`], or a token: tokens are microseconds.
    news: AtomicU64,
    arrived: Notify,
}

impl Seat {
    pub(crate) fn new(prefix: &str, entry: &Entry, inbox: &Arc<Inbox>) -> Self {
        let request = entry.request();
        let listens = entry.waits().then(|| {
            let (id, slot) = (entry.id().as_u128(), Arc::<Slot>::default());
            inbox.add(id, slot.clone());
            Listens { inbox: inbox.clone(), id, slot }
        });
        Self {
            keys: Keys::new(prefix, entry.name()),
            value: value(entry.id(), entry.since(), request.owner()),
            ttl_ms: u64::try_from(request.ttl().as_duration().as_millis()).unwrap_or(u64::MAX),
            mode: request.mode(),
            was_free: AtomicBool::new(false),
            listens,
        }
    }

    /// The value of the lock while this one holds it alone, as long as nobody waits.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// The beginning of that value, which is nobody else's.
    pub(crate) fn owner(&self) -> &str {
        &self.value[..OWNER_LEN]
    }

    pub(crate) fn id(&self) -> &str {
        &self.value["lh x ".len()..OWNER_LEN]
    }

    /// Waits for news.
    pub(crate) async fn wake(&self) -> Wake {
        let Some(listens) = &self.listens else { return std::future::pending().await };
        loop {
            match listens.slot.news.swap(0, SeqCst) {
                0 => listens.slot.arrived.notified().await,
                LOOK => return Wake::Check,
                token => return FencingToken::new(token).map_or(Wake::Check, Wake::Granted),
            }
        }
    }
}

impl Slot {
    /// The store says that the lock was granted.
    pub(crate) fn granted(&self, token: FencingToken) {
        self.news.store(token.as_u64(), SeqCst);
        self.arrived.notify_one();
    }

    /// Something may have been missed.
    pub(crate) fn look_again(&self) {
        // A grant that was not taken yet is better news.
        let _ = self.news.compare_exchange(0, LOOK, SeqCst, SeqCst);
        self.arrived.notify_one();
    }
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.inbox.remove(self.id);
    }
}

/// In the place of a token: look where you stand.
pub(crate) const LOOK: u64 = 1;
