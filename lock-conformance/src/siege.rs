//! Clients of a store that answers what no store should.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lockcore::{Locks, Result};
use tokio::sync;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::load::times;
use crate::time::{patience, scaled};

/// Many clients, which do all that people do with locks, and count what comes of it. Whatever the
/// store answers, each call ends in time, with a value or an error.
///
/// What they hold, and in what order, means nothing then: a store that lies can lie about that too.
pub struct Siege {
    since: Instant,
    counts: Mutex<Counts>,
}

/// What came of a [`Siege`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// How many clients were to be.
    pub clients: usize,
    /// How many of them came to be.
    pub connected: usize,
    /// How many calls succeeded.
    pub done: usize,
    /// How many failed, by what they said.
    pub failed: BTreeMap<String, usize>,
    /// For how long it has gone on.
    pub elapsed: Duration,
    /// The call that took longest, and how long.
    pub longest: (Duration, &'static str),
}

impl Siege {
    /// Lets `width` clients at a time try, one after the other, until `is_over` says so.
    ///
    /// # Panics
    ///
    /// When a call does not end within [`patience`].
    async fn run<C, F>(
        width: usize,
        is_over: impl Fn(&Counts) -> bool + Send + Sync + 'static,
        connect: C,
    ) -> Counts
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Locks>> + Send,
    {
        let siege = Self { since: Instant::now(), counts: Mutex::default() };
        let shared = std::sync::Arc::new((siege, is_over, connect));
        let mut clients = JoinSet::new();
        for _ in 0..width {
            let shared = shared.clone();
            clients.spawn(async move {
                let (siege, is_over, connect) = &*shared;
                while !siege.count(|counts| is_over(counts)) {
                    siege.count(|counts| counts.clients += 1);
                    if let Some(locks) = siege.call("connect", connect()).await {
                        siege.count(|counts| counts.connected += 1);
                        siege.use_all(&locks).await;
                        siege.call("shutdown", locks.shutdown()).await;
                    }
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        let counts = shared.0.counts.lock().expect("nobody panicked");
        counts.clone()
    }

    /// Holds out for some seconds or until so many answers were `spoiled`, and longer if the machine is
    /// so slow that not even so many clients have `connected`. One of a process at a time: each takes
    /// all the time that there is.
    ///
    /// # Panics
    ///
    /// When a call does not end, or when too few clients connected.
    pub async fn hold_out<C, F>(
        width: usize,
        spoiled: impl Fn() -> u64 + Send + Sync + 'static,
        connected: usize,
        connect: C,
    ) where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Locks>> + Send,
    {
        static ALONE: sync::Mutex<()> = sync::Mutex::const_new(());
        let _alone = ALONE.lock().await;
        let long = Duration::from_secs(times(7, 3_600) as u64);
        let enough = times(6_000, 1_000_000) as u64;
        let is_over = move |counts: &Counts| {
            let is_enough = counts.elapsed >= long || spoiled() >= enough;
            is_enough && counts.connected >= connected || counts.elapsed >= scaled(long * 9)
        };
        let counts = Self::run(width, is_over, connect).await;
        println!("{counts:#?}");
        assert!(counts.connected >= connected, "hardly anybody came through");
    }

    async fn use_all(&self, locks: &Locks) {
        let name = format!("siege/{:016x}", fastrand::u64(..));
        let (Ok(mutex), Ok(table), Ok(slots)) =
            (locks.mutex(&name), locks.rw_lock(&name), locks.semaphore(format!("{name}/slots"), 2))
        else {
            return;
        };
        if let Some(Some(guard)) = self.call("try_lock", mutex.try_lock()).await {
            self.call("try_lock_for", mutex.try_lock_for(BRIEF)).await;
            self.call("inspect", locks.inspect(&name)).await;
            self.call("renew", guard.renew()).await;
            self.call("release", guard.release()).await;
        }
        if let Some(Some(guard)) = self.call("try_read", table.try_read()).await {
            let waits = self.call("try_lock_for", mutex.try_lock_for(BRIEF));
            let (waited, _) = tokio::join!(waits, self.call("release", guard.release()));
            // By dropping.
            drop(waited);
        }
        // One who gives up at any point.
        let _ = timeout(BRIEF / 2, mutex.lock()).await;
        if let Some(Some(guard)) = self.call("try_acquire", slots.try_acquire()).await {
            self.call("release", guard.release()).await;
        }
        self.call("inspect", locks.inspect(&name)).await;
    }

    async fn call<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        let start = Instant::now();
        let Ok(outcome) = timeout(patience(), call).await else {
            panic!("{what} does not end within {:?}", patience());
        };
        self.count(|counts| {
            let took = start.elapsed();
            if took > counts.longest.0 {
                counts.longest = (took, what);
            }
            match &outcome {
                Ok(_) => counts.done += 1,
                Err(error) => {
                    *counts.failed.entry(format!("{what}: {:?}", error.kind())).or_default() += 1;
                }
            }
        });
        outcome.ok()
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let mut counts = self.counts.lock().expect("nobody panicked");
        counts.elapsed = self.since.elapsed();
        change(&mut counts)
    }
}

impl fmt::Debug for Siege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Siege").finish_non_exhaustive()
    }
}

const BRIEF: Duration = Duration::from_millis(20);
