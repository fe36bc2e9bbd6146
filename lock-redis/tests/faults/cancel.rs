//! Futures that are dropped at any time.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::time::soon;
use lock_testkit::{Proxy, Redis};
use lockcore::{ErrorKind, Guard, Locks, Mutex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{config, connect, ms, only_fences, redis};

const DROPS: usize = 1_000;
const TASKS: usize = 10;

#[tokio::test]
async fn a_thousand_drops_leave_nothing_but_fences_that_expire() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let server = redis().await;
    let proxy = Proxy::resp(server.addr()).await;
    proxy.delay(ms(1), ms(1));
    proxy.jitter(ms(4));
    // No TTL hides what was left: it is longer than the test.
    let locks = connect(config(proxy.addr()), ms(120_000)).await;
    let busy = connect(config(server.addr()), ms(120_000)).await;
    let held = busy.mutex("busy").unwrap().lock().await.unwrap();

    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let sweep = Sweep::new(&locks, task, Rng::with_seed(seed.wrapping_add(task as u64)));
        tasks.spawn(sweep.run());
    }
    let mut cancelled = 0;
    while let Some(task) = tasks.join_next().await {
        cancelled += task.unwrap();
    }
    // Otherwise it was no sweep of cancellations.
    assert!(cancelled > DROPS / 4, "{cancelled} of {DROPS} were dropped before their end");
    held.release().await.unwrap();
    only_fences(&server, "").await;
    nobody_holds(&server, &locks).await;
}

/// Every name can be taken at once by anybody.
async fn nobody_holds(server: &Redis, locks: &Locks) {
    let other = connect(config(server.addr()), ms(120_000)).await;
    for task in 0..TASKS {
        let name = format!("free-{task}");
        let lock = other.mutex(&name).unwrap();
        assert!(lock.try_lock().await.unwrap().is_some(), "{name} is not free");
    }
    soon("the shutdown", locks.shutdown()).await.unwrap();
    only_fences(server, "").await;
}

/// One task with a lock of its own and one that another client holds.
struct Sweep {
    free: Mutex,
    busy: Mutex,
    rng: Rng,
    cancelled: usize,
}

impl Sweep {
    fn new(locks: &Locks, task: usize, rng: Rng) -> Self {
        let free = locks.mutex(format!("free-{task}")).unwrap();
        Self { free, busy: locks.mutex("busy").unwrap(), rng, cancelled: 0 }
    }

    async fn run(mut self) -> usize {
        for _ in 0..DROPS / TASKS {
            match self.rng.u8(..6) {
                0 => {
                    let lock = self.free.clone();
                    // A guard that came in time is dropped.
                    drop(self.cut_short(async move { lock.lock().await.unwrap() }).await);
                }
                1 => {
                    let lock = self.busy.clone();
                    let got = self.cut_short(async move { lock.lock().await.unwrap() }).await;
                    assert!(got.is_none(), "granted beside the holder");
                }
                2 => {
                    let lock = self.free.clone();
                    drop(self.cut_short(async move { lock.try_lock().await.unwrap() }).await);
                }
                3 => {
                    let lock = self.busy.clone();
                    let got = self.cut_short(async move { lock.try_lock().await.unwrap() }).await;
                    assert!(got.flatten().is_none(), "granted beside the holder");
                }
                4 => {
                    let guard = Arc::new(self.take().await);
                    let renewed = guard.clone();
                    let renew = async move { renewed.renew().await.unwrap() };
                    self.cut_short(renew).await;
                    assert!(guard.is_held());
                    let guard = Arc::into_inner(guard).expect("the renewal is over or dropped");
                    guard.release().await.unwrap();
                }
                _ => {
                    let guard = self.take().await;
                    let released = self.cut_short(guard.release()).await;
                    if let Some(Err(error)) = released {
                        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
                    }
                }
            }
        }
        self.cancelled
    }

    /// Nobody else wants it, so only what a drop has left could stand in the way.
    async fn take(&self) -> Guard {
        soon("a lock that nobody else wants", self.free.lock()).await.unwrap()
    }

    /// Drops `work` after at most 20 ms, wherever it stands.
    async fn cut_short<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let limit = Duration::from_micros(self.rng.u64(..20_000));
        let outcome = timeout(limit, work).await.ok();
        self.cancelled += usize::from(outcome.is_none());
        outcome
    }
}
