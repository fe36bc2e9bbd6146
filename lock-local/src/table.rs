//! All names that are in use, in shards.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use lockcore::{BootInstant, Error, FencingToken, Inspection, LockName, Request, Result};
use tokio::sync::oneshot;

use crate::expiry::Expiries;
use crate::queue::{ClientId, Deliveries, Grant, Queue, Ticket};
use crate::sync::{Clock, Mutex, lock};

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
}

/// What became of a request.
pub(crate) enum Asked {
    Granted(Grant),
    Busy,
    Queued(Ticket, oneshot::Receiver<Grant>),
}

/// How a request is asked.
pub(crate) struct Terms<'a> {
    pub(crate) client: ClientId,
    /// How many others may wait before it; `None` for one that does not wait.
    pub(crate) max_waiters: Option<usize>,
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
    queues: HashTable<(u64, Queue)>,
    next_ticket: Ticket,
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
        let now = Clock::now();
        let mut shard = lock(self.shard(key));
        if !(terms.is_open)() {
            return Err(Error::closed());
        }
        let (queue, next_ticket) = shard.queue(key);
        let deliveries =
            if queue.expire(|| now) { queue.promote(|| now) } else { Deliveries::new() };
        let result = (|| {
            if let Some(grant) = queue.try_grant(request, terms.client, now)? {
                return Ok(Asked::Granted(grant));
            }
            let Some(max_waiters) = terms.max_waiters else { return Ok(Asked::Busy) };
            *next_ticket += 1;
            let ticket = *next_ticket;
            let receiver = queue.enqueue(request, terms.client, ticket, max_waiters, now)?;
            Ok(Asked::Queued(ticket, receiver))
        })();
        drop(shard);
        if let Ok(Asked::Granted(grant)) = &result {
            self.watch(key, grant);
        }
        self.deliver(key, deliveries);
        result
    }

    /// Takes a waiter out; false when it was granted meanwhile.
    pub(crate) fn give_up(&self, key: &Key, ticket: Ticket) -> bool {
        self.change(key, |queue| queue.give_up(ticket)).unwrap_or(false)
    }

    /// Takes a holder out; false when it was none any more.
    pub(crate) fn release(&self, key: &Key, token: FencingToken) -> bool {
        let expires = self.change(key, |queue| queue.release(token)).flatten();
        if let Some(expires) = expires {
            self.expiries.remove(expires, token);
        }
        expires.is_some()
    }

    /// Lets a hold end at `expires`; false when there is no such hold.
    pub(crate) fn renew(&self, key: &Key, token: FencingToken, expires: BootInstant) -> bool {
        let former = self.change(key, |queue| queue.renew(token, expires)).flatten();
        if let Some(former) = former {
            self.expiries.remove(former, token);
            self.expiries.add(expires, token, key);
        }
        former.is_some()
    }

    /// Lets the queue of a name go on past holds that have ended.
    pub(crate) fn expire(&self, key: &Key) {
        self.change(key, |_| ());
    }

    /// Takes out all that belongs to `client`.
    pub(crate) fn evict(&self, client: ClientId) {
        for shard in &self.shards {
            let keys: Vec<Key> = {
                let shard = lock(&shard.0);
                let key =
                    |(hash, queue): &(u64, Queue)| Key { name: queue.name().clone(), hash: *hash };
                shard.queues.iter().map(key).collect()
            };
            for key in keys {
                let ends = self.change(&key, |queue| queue.evict(client)).unwrap_or_default();
                for (expires, token) in ends {
                    self.expiries.remove(expires, token);
                }
            }
        }
    }

    pub(crate) fn inspect(&self, key: &Key) -> Inspection {
        self.change(key, |queue| queue.inspect()).unwrap_or_default()
    }

    /// How many hold or wait.
    pub(crate) fn claims(&self) -> usize {
        let claims = |shard: &Padded| {
            lock(&shard.0).queues.iter().map(|(_, queue)| queue.claims()).sum::<usize>()
        };
        self.shards.iter().map(claims).sum()
    }

    /// Hands out grants. One whose waiter has gone goes on to the next.
    pub(crate) fn deliver(&self, key: &Key, deliveries: Deliveries) {
        for (sender, grant) in deliveries {
            self.watch(key, &grant);
            if let Err(refused) = sender.send(grant) {
                self.release(key, refused.token);
            }
        }
    }

    /// Applies `change` to the queue of `key`, if there is one, after ended holds were taken out;
    /// then grants whatever the change made possible, and forgets a name that nobody uses.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let mut shard = lock(self.shard(key));
        let is_key = |(_, queue): &(u64, Queue)| queue.name() == key.name();
        let mut entry = shard.queues.find_entry(key.hash, is_key).ok()?;
        let queue = &mut entry.get_mut().1;
        queue.expire(Clock::now);
        let value = change(queue);
        let deliveries = queue.promote(Clock::now);
        if queue.is_unused() {
            entry.remove();
            shard.shrink();
        }
        drop(shard);
        self.deliver(key, deliveries);
        Some(value)
    }

    fn watch(&self, key: &Key, grant: &Grant) {
        self.expiries.add(grant.expires, grant.token, key);
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        // The table inside uses the low and the topmost bits.
        let index = (key.hash >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index].0
    }
}

impl Shard {
    fn queue(&mut self, key: &Key) -> (&mut Queue, &mut Ticket) {
        let is_key = |(_, queue): &(u64, Queue)| queue.name() == key.name();
        let entry = match self.queues.entry(key.hash, is_key, |(hash, _)| *hash) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert((key.hash, Queue::new(key.name.clone()))),
        };
        (&mut entry.into_mut().1, &mut self.next_ticket)
    }

    /// Gives memory back once most of it is unused.
    fn shrink(&mut self) {
        let (len, capacity) = (self.queues.len(), self.queues.capacity());
        if capacity > SHRINK_FROM && len < capacity / 8 {
            self.queues.shrink_to(len * 2, |(hash, _)| *hash);
        }
    }
}

const SHARDS_PER_CORE: usize = 16;
const SHRINK_FROM: usize = 64;

#[cfg(all(test, not(shuttle)))]
mod tests {
    use lockcore::Mode;

    use super::*;

    #[test]
    fn memory_is_given_back_with_the_names() {
        let table = Table::new();
        let terms = Terms { client: 0, max_waiters: None, is_open: &|| true };
        let held: Vec<_> = (0..20_000)
            .map(|number| {
                let request =
                    Request::new(LockName::new(number.to_string()).unwrap(), Mode::Exclusive);
                let key = table.key(request.name());
                let Ok(Asked::Granted(grant)) = table.ask(&key, &request, &terms) else {
                    panic!("{number} is not free")
                };
                (key, grant.token)
            })
            .collect();
        let capacity =
            || -> usize { table.shards.iter().map(|shard| lock(&shard.0).queues.capacity()).sum() };
        assert!(capacity() >= held.len());
        for (key, token) in held {
            assert!(table.release(&key, token));
        }
        assert!(capacity() <= table.shards.len() * SHRINK_FROM * 2, "{} are kept", capacity());
    }
}
