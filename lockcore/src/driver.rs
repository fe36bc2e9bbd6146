//! What the author of a backend writes.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::rt::{fill_random, process_id};
use crate::{
    BootInstant, Error, ErrorKind, FencingToken, Guarantees, Inspection, LockName, LossCause,
    Request, Result,
};

/// The commands of a store, without any policy. [`Engine`](crate::Engine) makes a
/// [`Lock`](crate::Lock) of them.
///
/// # Contract
///
/// An [`Entry`] is one acquisition: it stands in the queue of its name from
/// [`enqueue`](Driver::enqueue) to [`withdraw`](Driver::withdraw), first as a waiter, then as a
/// holder. Its id is new for every acquisition and known before the first byte is sent, so every
/// command can be repeated and every clean-up is possible.
///
/// 1. Every command acts on the entry of this id alone, whatever else stands under the name
///    (**R5**).
/// 2. `enqueue`, `check` and `withdraw` are idempotent: the engine repeats them after an answer
///    that did not come.
/// 3. An answer that says [`Granted`](Standing::Granted) means that the store restarted the TTL
///    when it served this very request: the engine counts from before the request was sent.
/// 4. An error of kind [`Indeterminate`](ErrorKind::Indeterminate) may have been applied; one of
///    any other kind was not.
/// 5. The engine may drop the future of any command, also in flight. What was sent may then be
///    applied; nothing that the *next* command relies on may be lost with the future.
/// 6. Who may go is decided by [`queue`](crate::queue), or by a script that says the same.
///
/// The engine bounds every command in time, takes the instants, retries, renews, cleans up, and
/// tells `metrics`.
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// What the store keeps alive as one: an etcd lease, a ZooKeeper session, or a single key.
    type Session: fmt::Debug + Send + Sync + 'static;

    /// What this backend promises, and what not.
    fn guarantees(&self) -> &Guarantees;

    /// How acquisitions share sessions.
    fn sessions(&self) -> Sessions;

    /// Opens a session for this entry and, if sessions are shared, for others of its TTL.
    async fn open(&self, entry: &Entry) -> Result<Self::Session>;

    /// Puts the entry at the end of its queue, or grants at once. An entry that does not
    /// [wait](Entry::waits) is granted or leaves nothing.
    async fn enqueue(&self, session: &Self::Session, entry: &Entry) -> Result<Standing>;

    /// Waits for a notification that concerns the entry, which stands in the queue. It may come
    /// falsely, and it may be lost: the engine checks from time to time.
    async fn wake(&self, session: &Self::Session, entry: &Entry) -> Result<Wake>;

    /// Looks where the entry stands, and keeps its place alive. An entry that is gone is
    /// [`ErrorKind::Lost`].
    async fn check(&self, session: &Self::Session, entry: &Entry) -> Result<Standing>;

    /// Takes the entry out, whether it waits or holds, and lets the next one go.
    async fn withdraw(&self, session: &Self::Session, entry: &Entry) -> Result<Withdrawn>;

    /// Renews sessions, in one trip if the store can. One answer for each, in their order.
    async fn renew(&self, sessions: &[Arc<Self::Session>]) -> Vec<Result<Renewed>>;

    /// Which of these entries, each granted in this session, stand in the store no more, because
    /// somebody else removed them. Asked after a renewal of a [shared](Sessions::are_shared) session,
    /// which does not tell. An entry must not be named for an answer that may be old.
    async fn missing(
        &self,
        session: &Self::Session,
        entries: &[Arc<Entry>],
    ) -> Result<Vec<EntryId>> {
        let _ = (session, entries);
        Ok(Vec::new())
    }

    /// Ends a session, with all that is left under it.
    async fn end(&self, session: &Self::Session) -> Result<()>;

    /// Who holds the name and who waits for it.
    async fn inspect(&self, name: &LockName) -> Result<Inspection>;

    /// Closes connections. Called once all entries are withdrawn, and perhaps more than once.
    async fn close(&self);
}

/// How acquisitions share sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Each has its own, whose TTL begins with the grant.
    PerGrant,
    /// All of one TTL share one, whose TTL begins when it is opened.
    Shared,
    /// The same, and the store's client keeps it alive by itself while it is connected. Nothing in it
    /// ends by itself then, so the engine takes out what is to end by itself once its TTL is over, and
    /// [ends](Driver::end) a session that it has given up.
    Connection,
}

impl Sessions {
    /// Whether one session serves several acquisitions.
    #[must_use]
    pub fn are_shared(self) -> bool {
        self != Self::PerGrant
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds the lock.
    Granted(FencingToken),
    /// It waits.
    Queued {
        /// When it is worth to look again though no notification came, such as the time when the
        /// holder's TTL ends.
        recheck: Option<Duration>,
    },
    /// It did not want to wait, and left nothing.
    Busy,
}

/// What a notification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Look again.
    Check,
    /// The entry was granted, at some time after it was last found waiting.
    Granted(FencingToken),
}

/// What became of an entry that was to be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It was there.
    Removed,
    /// It was not.
    Absent,
}

/// What became of a session that was to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The store restarted its TTL when it served this renewal.
    Kept,
    /// The store has surely restarted its TTL since this instant, and perhaps later.
    KeptSince(BootInstant),
    /// The store does not have it.
    Gone(LossCause),
}

/// One acquisition, as the store sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    id: EntryId,
    request: Request,
    waits: bool,
    since: SystemTime,
}

impl Entry {
    /// An entry with an id of its own.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn new(request: &Request, waits: bool) -> Result<Self> {
        Ok(Self {
            id: EntryId::random()?,
            request: request.clone(),
            waits,
            since: SystemTime::now(),
        })
    }

    /// Whose entry it is.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The name of the lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.request.name()
    }

    /// Whether it waits for its turn.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// When it was made, on this machine's wall clock.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

/// 128 random bits that name one acquisition. Whoever knows them can end it, so `Debug` does not
/// show them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId(u128);

impl EntryId {
    /// A new id, from the system's randomness.
    ///
    /// # Errors
    ///
    /// When the system has none.
    pub fn random() -> Result<Self> {
        POOL.with_borrow_mut(|pool| pool.draw()).map(Self)
    }

    /// The bits, to be written to the store.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Randomness of the system, asked for many ids at once: each question is a call of the kernel.
struct Pool {
    bytes: [u8; 16 * IDS],
    left: usize,
    process: u32,
}

impl Pool {
    fn draw(&mut self) -> Result<u128> {
        // A fork has the same bytes, and must not give the same ids.
        let process = process_id();
        if self.left == 0 || self.process != process {
            fill_random(&mut self.bytes).map_err(|error| {
                Error::new(ErrorKind::Backend, format!("no randomness for an owner id: {error}"))
            })?;
            (self.left, self.process) = (IDS, process);
        }
        self.left -= 1;
        let mut id = [0; 16];
        // What was given is forgotten here.
        id.swap_with_slice(&mut self.bytes[self.left * 16..][..16]);
        Ok(u128::from_ne_bytes(id))
    }
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { bytes: [0; 16 * IDS], left: 0, process: 0 }) };
}

const IDS: usize = 32;

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryId(..)")
    }
}
