//! All names that are in use, in shards.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::task::Waker;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use lockcore::{BootInstant, Error, FencingToken, Inspection, LockName, Request, Result};

use crate::expiry::Expiries;
use crate::queue::{ClientId, Grant, Queue, Turn, Wakes};
use crate::sync::{Clock, Mutex, lock};
use crate::token::Tokens;

/// The store: every name that is in use, with its queue.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[Padded]>,
    hasher: RandomState,
    expiries: Expiries,
}

/// A name with its hash, which is computed once for each acquisition.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    name: LockName,
    hash: u64,
}

impl Key {
    pub(crate) fn name(&self) -> &LockName {
        &self.name
    }

    /// One of `count`, a power of two.
    pub(crate) fn pick(&self, count: usize) -> usize {
        // The hash table uses the low and the topmost bits.
        (self.hash >> 32) as usize & (count - 1)
    }

    fn is_of(&self, (hash, queue): &(u64, Queue)) -> bool {
        let (mine, theirs) = (self.name.as_str(), queue.name().as_str());
        // Often it is the very same text: that of the request which made the queue.
        self.hash == *hash && (std::ptr::eq(mine, theirs) || mine == theirs)
    }
}

/// What became of a request.
pub(crate) enum Asked {
    Granted(Grant),
    Busy,
    Queued(FencingToken),
}

/// How a request is asked.
pub(crate) struct Terms<'a> {
    pub(crate) client: ClientId,
    /// Whom to wake, and how many others may wait before it; `None` for one that does not wait.
    pub(crate) waits: Option<(&'a Waker, usize)>,
    /// Whether the client is still there; asked under the shard's lock, so that a shutdown misses
    /// nobody.
    pub(crate) is_open: &'a dyn Fn() -> bool,
}

// Two lines of 64 bytes: neighbours are fetched in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded(Mutex<Shard>);

#[derive(Debug, Default)]
struct Shard {
    /// The name that is in use alone or was the last to be: it costs no place in the table. This
    /// one stays when nobody uses it, one for each shard, until another one takes its place.
    first: Option<(u64, Queue)>,
    others: HashTable<(u64, Queue)>,
    tokens: Tokens,
}

impl Table {
    pub(crate) fn new() -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(4, usize::from);
        let shards = (cores * SHARDS_PER_CORE).next_power_of_two();
        Arc::new_cyclic(|table| Self {
            shards: (0..shards).map(|_| Padded::default()).collect(),
            hasher: RandomState::default(),
            expiries: Expiries::new(table.clone()),
        })
    }

    pub(crate) fn key(&self, name: &LockName) -> Key {
        Key { name: name.clone(), hash: self.hasher.hash_one(name.as_str()) }
    }

    #[cfg(shuttle)]
    pub(crate) fn expiries(&self) -> &Expiries {
        &self.expiries
    }

    /// Grants `request` if it is its turn; otherwise queues it if it waits.
    pub(crate) fn ask(&self, key: &Key, request: &Request, terms: &Terms<'_>) -> Result<Asked> {
        let mut shard = lock(self.shard(key));
        if !(terms.is_open)() {
            return Err(Error::closed());
        }
        let (queue, tokens) = shard.queue(key);
        let mut wakes = Wakes::default();
        if queue.expire(Clock::now) {
            queue.promote(&mut wakes);
        }
        let result = (|| {
            if let Some(grant) = queue.try_grant(request, terms.client, tokens)? {
                return Ok(Asked::Granted(grant));
            }
            let Some((waker, max_waiters)) = terms.waits else { return Ok(Asked::Busy) };
            let token = queue.enqueue(request, terms.client, tokens, waker, max_waiters)?;
            Ok(Asked::Queued(token))
        })();
        drop(shard);
        if let Ok(Asked::Granted(grant)) = &result {
            self.expiries.add(grant.expires, grant.token, key);
        }
        self.wake(key, wakes);
        result
    }

    /// What became of a waiter.
    pub(crate) fn turn(&self, key: &Key, token: FencingToken, waker: &Waker) -> Turn {
        let mut shard = lock(self.shard(key));
        shard.find(key).map_or(Turn::Gone, |queue| queue.turn(token, waker))
    }

    /// Takes a waiter out, or the holder that it became.
    pub(crate) fn give_up(&self, key: &Key, token: FencingToken) {
        let expires = self.change(key, |queue, wakes| queue.give_up(token, wakes)).flatten();
        if let Some(expires) = expires {
            self.expiries.remove(expires, token);
        }
    }

    /// Takes a holder out; false when it was none any more.
    pub(crate) fn release(&self, key: &Key, token: FencingToken) -> bool {
        let expires = self.change(key, |queue, _| queue.release(token)).flatten();
        if let Some(expires) = expires {
            self.expiries.remove(expires, token);
        }
        expires.is_some()
    }

    /// Lets a hold end at `expires`; false when there is no such hold.
    pub(crate) fn renew(&self, key: &Key, token: FencingToken, expires: BootInstant) -> bool {
        let former = self.change(key, |queue, _| queue.renew(token, expires)).flatten();
        if let Some(former) = former {
            self.expiries.remove(former, token);
            self.expiries.add(expires, token, key);
        }
        former.is_some()
    }

    /// Lets the queue of a name go on past holds that have ended.
    pub(crate) fn expire(&self, key: &Key) {
        self.change(key, |_, _| ());
    }

    /// Takes out all that belongs to `client`.
    pub(crate) fn evict(&self, client: ClientId) {
        for shard in &self.shards {
            let keys: Vec<Key> = {
                let shard = lock(&shard.0);
                let key =
                    |(hash, queue): &(u64, Queue)| Key { name: queue.name().clone(), hash: *hash };
                shard.queues().map(key).collect()
            };
            for key in keys {
                let ends = self
                    .change(&key, |queue, wakes| queue.evict(client, wakes))
                    .unwrap_or_default();
                for (expires, token) in ends {
                    self.expiries.remove(expires, token);
                }
            }
        }
    }

    pub(crate) fn inspect(&self, key: &Key) -> Inspection {
        self.change(key, |queue, _| queue.inspect()).unwrap_or_default()
    }

    /// How many hold or wait.
    pub(crate) fn claims(&self) -> usize {
        let claims = |shard: &Padded| {
            lock(&shard.0).queues().map(|(_, queue)| queue.claims()).sum::<usize>()
        };
        self.shards.iter().map(claims).sum()
    }

    fn wake(&self, key: &Key, wakes: Wakes) {
        drop(wakes.spent);
        for (expires, token) in wakes.ends {
            self.expiries.add(expires, token, key);
        }
        for waker in wakes.wakers {
            waker.wake();
        }
    }

    /// Applies `change` to the queue of `key`, if there is one, after ended holds were taken out;
    /// then grants whatever the change made possible, and forgets a name that nobody uses.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Queue, &mut Wakes) -> T) -> Option<T> {
        let mut shard = lock(self.shard(key));
        let queue = shard.find(key)?;
        queue.expire(Clock::now);
        let mut wakes = Wakes::default();
        let value = change(queue, &mut wakes);
        queue.promote(&mut wakes);
        if queue.is_unused() {
            shard.forget(key);
        }
        drop(shard);
        self.wake(key, wakes);
        Some(value)
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[key.pick(self.shards.len())].0
    }
}

impl Shard {
    fn queues(&self) -> impl Iterator<Item = &(u64, Queue)> {
        self.first.iter().chain(&self.others)
    }

    fn find(&mut self, key: &Key) -> Option<&mut Queue> {
        let slot = match &mut self.first {
            Some(slot) if key.is_of(slot) => Some(slot),
            _ => self.others.find_mut(key.hash, |slot| key.is_of(slot)),
        };
        slot.map(|(_, queue)| queue)
    }

    fn queue(&mut self, key: &Key) -> (&mut Queue, &mut Tokens) {
        let Self { first, others, tokens } = self;
        let is_first = first.as_ref().is_some_and(|slot| key.is_of(slot));
        let is_free = first.as_ref().is_none_or(|(_, queue)| queue.is_unused());
        let is_new =
            || others.is_empty() || others.find(key.hash, |slot| key.is_of(slot)).is_none();
        if !is_first && is_free && is_new() {
            match first {
                Some(slot) => {
                    slot.0 = key.hash;
                    slot.1.rename(key.name.clone());
                }
                None => *first = Some((key.hash, Queue::new(key.name.clone()))),
            }
        }
        let slot = match first {
            Some(slot) if key.is_of(slot) => slot,
            _ => match others.entry(key.hash, |slot| key.is_of(slot), |(hash, _)| *hash) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert((key.hash, Queue::new(key.name.clone()))).into_mut()
                }
            },
        };
        (&mut slot.1, tokens)
    }

    fn forget(&mut self, key: &Key) {
        if let Some((_, queue)) = self.first.as_mut().filter(|slot| key.is_of(slot)) {
            queue.give_memory_back();
        } else if let Ok(entry) = self.others.find_entry(key.hash, |slot| key.is_of(slot)) {
            entry.remove();
            self.shrink();
        }
    }

    /// Gives memory back once most of it is unused.
    fn shrink(&mut self) {
        let (len, capacity) = (self.others.len(), self.others.capacity());
        if capacity > SHRINK_FROM && len < capacity / 8 {
            self.others.shrink_to(len * 2, |(hash, _)| *hash);
        }
    }
}

const SHARDS_PER_CORE: usize = 64;
const SHRINK_FROM: usize = 64;

#[cfg(all(test, not(shuttle)))]
mod tests {
    use lockcore::Mode;

    use super::*;

    #[test]
    fn memory_is_given_back_with_the_names() {
        let table = Table::new();
        let terms = Terms { client: 0, waits: None, is_open: &|| true };
        let ask = |number: usize| {
            let request = Request::new(LockName::new(number.to_string()).unwrap(), Mode::Exclusive);
            let key = table.key(request.name());
            let Ok(Asked::Granted(grant)) = table.ask(&key, &request, &terms) else {
                panic!("{number} is not free")
            };
            (key, grant.token)
        };
        let held: Vec<_> = (0..20_000).map(ask).collect();
        let names =
            || -> usize { table.shards.iter().map(|shard| lock(&shard.0).queues().count()).sum() };
        let capacity =
            || -> usize { table.shards.iter().map(|shard| lock(&shard.0).others.capacity()).sum() };
        assert_eq!(names(), held.len());
        assert!(capacity() >= held.len() - table.shards.len());
        for (key, token) in held {
            assert!(table.release(&key, token));
        }
        assert_eq!(table.claims(), 0);
        assert!(names() <= table.shards.len(), "{} names are kept", names());
        assert!(capacity() <= table.shards.len() * SHRINK_FROM * 2, "room for {}", capacity());
    }
}
