//! Futures that are dropped at any time.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::time::{eventually, soon};
use lock_testkit::{Proxy, Zk};
use lockcore::{ErrorKind, Guard, Locks, Mutex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{
    LONG, config, connect, is_idle, left, ms, nothing_left, sessions, until_watched,
};

const DROPS: usize = 300;
const TASKS: usize = 10;

#[tokio::test]
async fn hundreds_of_drops_leave_nothing_but_the_session() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    // No TTL hides what was left: it is longer than the test.
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let busy = connect(config(server.port()), LONG).await;
    let held = busy.mutex("busy").unwrap().lock().await.unwrap();
    proxy.delay(ms(1), ms(1));
    proxy.jitter(ms(4));

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
    is_idle(&locks).await;
    assert_eq!(left(&server).await, [""; 0]);
    until_watched(&server, 0).await;
    assert_eq!(sessions(&server).await, 2, "one for each client");
    nobody_holds(&server, &busy).await;
    for client in [locks, busy] {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    eventually("no session is left", || async { sessions(&server).await == 0 }).await;
}

/// Every name can be taken at once by anybody.
async fn nobody_holds(server: &Zk, other: &Locks) {
    for task in 0..TASKS {
        let name = format!("free-{task}");
        let guard = other.mutex(&name).unwrap().try_lock().await.unwrap();
        guard.unwrap_or_else(|| panic!("{name} is not free")).release().await.unwrap();
    }
    nothing_left(server).await;
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
            let (free, busy) = (self.free.clone(), self.busy.clone());
            match self.rng.u8(..6) {
                // A guard that came in time is dropped.
                0 => drop(self.cut_short(async move { free.lock().await.unwrap() }).await),
                1 => {
                    let got = self.cut_short(async move { busy.lock().await.unwrap() }).await;
                    assert!(got.is_none(), "granted beside the holder");
                }
                2 => drop(self.cut_short(async move { free.try_lock().await.unwrap() }).await),
                3 => {
                    let got = self.cut_short(async move { busy.try_lock().await.unwrap() }).await;
                    assert!(got.flatten().is_none(), "granted beside the holder");
                }
                4 => {
                    let guard = Arc::new(self.take().await);
                    let renewed = guard.clone();
                    self.cut_short(async move { renewed.renew().await.unwrap() }).await;
                    assert!(guard.is_held());
                    let guard = Arc::into_inner(guard).expect("the renewal is over or dropped");
                    guard.release().await.unwrap();
                }
                _ => {
                    let guard = self.take().await;
                    if let Some(Err(error)) = self.cut_short(guard.release()).await {
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

    /// Drops `work` after at most 30 ms, wherever it stands.
    async fn cut_short<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let limit = Duration::from_micros(self.rng.u64(..30_000));
        let outcome = timeout(limit, work).await.ok();
        self.cancelled += usize::from(outcome.is_none());
        outcome
    }
}
