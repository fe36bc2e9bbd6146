//! Holds that end by themselves, and the thread that lets the others go on when they do.
//!
//! A thread and not a task: the store of `local:` lives as long as the process, and outlives the
//! runtime of whoever took a lock first. It runs only while some hold has an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use lockcore::{BootInstant, FencingToken};

use crate::sync::{Mutex, lock};
use crate::table::{Key, Table};

/// The ends of holds, the earliest first.
#[derive(Debug)]
pub(crate) struct Expiries(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Weak<Table>,
    state: Mutex<State>,
    #[cfg(not(shuttle))]
    changed: std::sync::Condvar,
}

#[derive(Debug, Default)]
struct State {
    ends: BTreeMap<(BootInstant, FencingToken), Key>,
    #[cfg(not(shuttle))]
    runs: bool,
}

impl Expiries {
    pub(crate) fn new(table: Weak<Table>) -> Self {
        Self(Arc::new(Shared {
            table,
            state: Mutex::default(),
            #[cfg(not(shuttle))]
            changed: std::sync::Condvar::new(),
        }))
    }

    /// The hold of `token` ends at `at`, unless that is never.
    pub(crate) fn add(&self, at: BootInstant, token: FencingToken, key: &Key) {
        if at == BootInstant::FAR {
            return;
        }
        let mut state = lock(&self.0.state);
        state.ends.insert((at, token), key.clone());
        #[cfg(not(shuttle))]
        if state.runs {
            self.0.changed.notify_one();
        } else {
            state.runs = spawn(self.0.clone());
        }
    }

    /// The hold of `token`, which was to end at `at`, ended before or goes on.
    pub(crate) fn remove(&self, at: BootInstant, token: FencingToken) {
        if at != BootInstant::FAR {
            lock(&self.0.state).ends.remove(&(at, token));
        }
    }
}

impl Shared {
    /// Takes out the names of holds that have ended at `now`.
    fn due(state: &mut State, now: BootInstant) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some(first) = state.ends.first_entry() {
            if first.key().0 > now {
                break;
            }
            due.push(first.remove());
        }
        due
    }

    fn expire(&self, due: Vec<Key>) {
        if let Some(table) = self.table.upgrade() {
            for key in due {
                table.expire(&key);
            }
        }
    }
}

#[cfg(not(shuttle))]
fn spawn(shared: Arc<Shared>) -> bool {
    let thread = std::thread::Builder::new().name("leasehold-expiry".to_owned());
    match thread.spawn(move || shared.run()) {
        Ok(_) => true,
        Err(error) => {
            // Whoever asks for a name takes out its ended holds as well.
            tracing::error!(%error, "no thread for the ends of holds: waiters may wait longer");
            false
        }
    }
}

#[cfg(not(shuttle))]
impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let due = Self::due(&mut state, BootInstant::now());
            if !due.is_empty() {
                drop(state);
                self.expire(due);
                state = lock(&self.state);
                continue;
            }
            let Some(((next, _), _)) = state.ends.first_key_value() else { break };
            if self.table.strong_count() == 0 {
                break;
            }
            // Timers stand still in suspend: a slice bounds how late that makes us.
            let wait = next.remaining().min(SLICE);
            state = match self.changed.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.runs = false;
    }
}

#[cfg(shuttle)]
impl Expiries {
    /// Does what the thread does.
    pub(crate) fn expire_due(&self, now: BootInstant) {
        let due = Shared::due(&mut lock(&self.0.state), now);
        self.0.expire(due);
    }
}

#[cfg(not(shuttle))]
const SLICE: std::time::Duration = std::time::Duration::from_secs(1);
