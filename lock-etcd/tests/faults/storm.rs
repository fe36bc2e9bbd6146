//! Faults of all kinds at random, while locks of all kinds are taken and dropped at random.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::history::History;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{GrpcProxy, Swallow};
use lockcore::{ErrorKind, Guard, Locks, Renewal, Result};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{
    LONG, believe, config, connect, etcd, ms, nothing_left, ttl, until_watched, via,
};

const CLIENTS: usize = 2;
const TASKS: usize = 4;
const LASTS_MS: u64 = 4_000;
const NAMES: [&str; 4] = ["mutex", "other", "table", "slots"];

type Histories = Arc<HashMap<&'static str, History>>;

#[tokio::test]
async fn a_storm_of_faults_leaves_nothing_and_breaks_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let server = etcd().await;
    let leases = server.leases().await.len();
    let histories: Histories = Arc::new(NAMES.map(|name| (name, History::new())).into());
    let (over, grants) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut clients = Vec::new();
    let mut tasks = JoinSet::new();
    let mut faults = JoinSet::new();
    for _ in 0..CLIENTS {
        let proxy = GrpcProxy::start(server.addr()).await;
        let locks = connect(via(&proxy).recheck(ms(500)).unwrap(), LONG).await;
        locks.mutex("mutex").unwrap().lock().await.unwrap().release().await.unwrap();
        for _ in 0..TASKS {
            let actor = Actor {
                locks: locks.clone(),
                histories: histories.clone(),
                rng: rng.fork(),
                over: over.clone(),
                grants: grants.clone(),
            };
            tasks.spawn(actor.acts());
        }
        faults.spawn(storms(proxy, rng.fork(), over.clone()));
        clients.push(locks);
    }
    pause(ms(LASTS_MS)).await;
    over.store(true, SeqCst);
    let (mut proxies, mut count) = (Vec::new(), 0);
    while let Some(fault) = faults.join_next().await {
        let (proxy, faults) = fault.unwrap();
        proxies.push(proxy);
        count += faults;
    }
    while let Some(task) = soon("all come to an end", tasks.join_next()).await {
        task.unwrap();
    }
    let grants = grants.load(SeqCst);
    println!("{grants} grants in {count} faults");
    assert!(grants > 50 && count > 20, "{grants} grants in {count} faults");
    for (name, history) in &*histories {
        println!("{name}: {} beliefs", history.len());
        history.assert_sound();
    }
    nothing_left(&server).await;
    until_watched(&server, 0).await;
    // Those of holds that end by themselves are short, and end if nothing is heard of them.
    eventually("one lease for each client", || async {
        server.leases().await.len() == leases + CLIENTS
    })
    .await;
    let other = connect(config(server.port()), LONG).await;
    for name in NAMES {
        let guard = other.mutex(name).unwrap().try_lock().await.unwrap();
        guard.unwrap_or_else(|| panic!("{name} is not free")).release().await.unwrap();
    }
    for client in clients {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    assert_eq!(server.leases().await.len(), leases + 1);
}

/// Breaks the way of one client again and again, and returns how often.
async fn storms(proxy: GrpcProxy, mut rng: Rng, over: Arc<AtomicBool>) -> (GrpcProxy, usize) {
    let mut count = 0;
    let paths = ["KV/Txn", "Watch/Watch", "Lease/LeaseKeepAlive"];
    let mut swallowed = Vec::new();
    while !over.load(SeqCst) {
        let path = *rng.choice(&paths).unwrap();
        let time = ms(rng.u64(10..600));
        let unary = ["KV/Txn", "Lease/LeaseRevoke", "Lease/LeaseGrant"];
        match rng.u8(..8) {
            0 => proxy.reset(),
            1 => drop(proxy.reset_streams(path)),
            2 | 3 => {
                let then = *rng.choice(&[Swallow::ThenCut, Swallow::ThenSilence]).unwrap();
                let path = *rng.choice(&unary).unwrap();
                swallowed.push(proxy.swallow_reply_then(then, path, rng.u64(1..4)));
            }
            4 => {
                let held = proxy.hold_requests(path);
                pause(time).await;
                held.release();
            }
            5 => {
                let stall = proxy.stall("*");
                pause(time).await;
                stall.release();
            }
            6 => {
                let lost = proxy.black_hole_replies("Watch/Watch");
                pause(time).await;
                lost.release();
            }
            _ => {
                let late = proxy.delay("*", ms(rng.u64(1..30)));
                pause(time).await;
                late.release();
            }
        }
        count += 1;
        pause(ms(rng.u64(20..150))).await;
    }
    swallowed.iter().for_each(lock_testkit::grpc::ReplySwallow::disarm);
    (proxy, count)
}

struct Actor {
    locks: Locks,
    histories: Histories,
    rng: Rng,
    over: Arc<AtomicBool>,
    grants: Arc<AtomicUsize>,
}

impl Actor {
    async fn acts(mut self) {
        while !self.over.load(SeqCst) {
            let name = *self.rng.choice(&NAMES).unwrap();
            let limit = ms(self.rng.u64(1..800));
            let Ok(outcome) = timeout(limit, self.asks(name)).await else { continue };
            match outcome {
                Ok(Some(guard)) => self.has(name, guard).await,
                Ok(None) => pause(ms(1)).await,
                // A hold of its own that ends by itself may be over before it is known.
                Err(error) => {
                    let kind = error.kind();
                    assert!(error.is_transient() || kind == ErrorKind::Lost, "{name}: {error}");
                    pause(ms(5)).await;
                }
            }
        }
    }

    async fn asks(&mut self, name: &str) -> Result<Option<Guard>> {
        let waits = self.rng.bool();
        let (time, renewal) = match self.rng.u8(..6) {
            0 => (ttl(2), Renewal::Never),
            1 => (ttl(1), Renewal::AutoUntil(ttl(1))),
            _ => (LONG, Renewal::Auto),
        };
        match name {
            "table" => {
                let table = self.locks.rw_lock(name)?.ttl(time).renewal(renewal);
                match (waits, self.rng.u8(..3)) {
                    (true, 0) => table.write().await.map(Some),
                    (true, _) => table.read().await.map(Some),
                    (false, 0) => table.try_write().await,
                    (false, _) => table.try_read().await,
                }
            }
            "slots" => {
                let slots = self.locks.semaphore(name, 2)?.ttl(time).renewal(renewal);
                if waits { slots.acquire().await.map(Some) } else { slots.try_acquire().await }
            }
            _ => {
                let mutex = self.locks.mutex(name)?.ttl(time).renewal(renewal);
                if waits { mutex.lock().await.map(Some) } else { mutex.try_lock().await }
            }
        }
    }

    async fn has(&mut self, name: &str, guard: Guard) {
        self.grants.fetch_add(1, SeqCst);
        let time = Duration::from_micros(self.rng.u64(..10_000));
        let lost = believe(&guard, &self.histories[name], pause(time)).await;
        if self.rng.bool() {
            return;
        }
        match guard.release().await {
            Err(error) if lost.is_none() => {
                assert_eq!(error.kind(), ErrorKind::Indeterminate, "{name}: {error}");
            }
            _ => {}
        }
    }
}
