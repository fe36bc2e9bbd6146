//! Who asks, waits, holds or is being released, so that a shutdown and the audit find them.

use std::sync::{Arc, PoisonError, Weak};

use super::Shared;
use crate::BootInstant;
use crate::detached::Departure;
use crate::driver::{Driver, EntryId};
use crate::engine_lease::Grant;
use crate::keeper::Tenure;
use crate::rt::{HashMap, MutexGuard};
use crate::withdrawal::Withdrawal;

/// What stands in the store, or may.
pub(super) struct Active<D: Driver> {
    /// Who asks, waits or is being released, and what takes it out; with those who ask or wait, what
    /// tells them that nobody is interested any more.
    pub(super) asks: HashMap<EntryId, (Option<Arc<Departure>>, Withdrawal<D>)>,
    pub(super) holds: HashMap<EntryId, Weak<Grant<D>>>,
}

impl<D: Driver> Shared<D> {
    /// Remembers how to take an acquisition out; false when the client is shut down.
    pub(crate) fn asks(
        &self,
        id: EntryId,
        departure: &Arc<Departure>,
        withdrawal: Withdrawal<D>,
    ) -> bool {
        let mut active = self.active();
        active.asks.insert(id, (Some(departure.clone()), withdrawal));
        // Under the mutex: the shutdown takes it after it has said so.
        !self.is_closing()
    }

    /// Remembers what came of the acquisition; false when the client is shut down.
    pub(crate) fn holds(&self, id: EntryId, grant: &Arc<Grant<D>>) -> bool {
        let mut active = self.active();
        active.asks.remove(&id);
        active.holds.insert(id, Arc::downgrade(grant));
        !self.is_closing()
    }

    /// Remembers how to take out a hold that is being released.
    pub(crate) fn releases(&self, id: EntryId, withdrawal: Withdrawal<D>) {
        let mut active = self.active();
        remove(&mut active.holds, id);
        active.asks.insert(id, (None, withdrawal));
    }

    /// It asks no more; false when the shutdown takes it out.
    pub(crate) fn asked(&self, id: EntryId) -> bool {
        remove(&mut self.active().asks, id)
    }

    /// Takes out whoever stands in this session and is not polled: the session, which is renewed for
    /// others, would keep its place for ever.
    pub(crate) fn give_up_unpolled(self: &Arc<Self>, tenure: &Tenure<D::Session>) {
        // Whoever waits is polled once a period, but for a request without an answer.
        let patience = tenure.ttl.as_duration() + self.config.request_timeout;
        let since = BootInstant::now().saturating_sub(patience);
        // Under the mutex: what is granted is noted under it, and given up no more.
        let mut active = self.active();
        let stuck = active.asks.extract_if(|_, (departure, withdrawal)| {
            let departure = departure.as_ref().filter(|_| withdrawal.is_in(&tenure.session));
            departure.is_some_and(|departure| departure.give_up_unpolled(since))
        });
        let stuck: Vec<_> = stuck.collect();
        drop(active);
        for (_, (_, withdrawal)) in stuck {
            self.withdraw(withdrawal);
        }
    }

    /// It holds no more.
    pub(crate) fn held(&self, id: EntryId) {
        remove(&mut self.active().holds, id);
    }

    /// What is held in this session.
    pub(crate) fn held_in(&self, tenure: &Arc<Tenure<D::Session>>) -> Vec<Arc<Grant<D>>> {
        let held = self.active().holds.values().filter_map(Weak::upgrade).collect::<Vec<_>>();
        held.into_iter().filter(|grant| grant.is_in(tenure)).collect()
    }

    pub(super) fn active(&self) -> MutexGuard<'_, Active<D>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove<T>(map: &mut HashMap<EntryId, T>, id: EntryId) -> bool {
    let was_there = map.remove(&id).is_some();
    if map.capacity() > SHRINK_FROM && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
    was_there
}

const SHRINK_FROM: usize = 64;
