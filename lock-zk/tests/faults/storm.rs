//! Faults of all kinds at random, while many read and few write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fastrand::Rng;
use lock_conformance::history::History;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Proxy, Swallow, Zk, zk_request};
use lockcore::{ErrorKind, Guard, Locks, Result};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{
    LONG, NAME, believe, config, connect, is_idle, left, ms, sessions, ttl, until_watched, via,
};

const CLIENTS: usize = 4;
const READERS: usize = 32;
const WRITERS: usize = 2;
const LASTS_MS: u64 = 4_000;

#[tokio::test]
async fn a_storm_without_faults_starves_no_writer() {
    let clients = [Weather::Fine; CLIENTS];
    let (reads, writes) = storm(&clients, LONG).await;
    assert!(reads > 100 && writes > 20, "{reads} reads, {writes} writes");
}

/// Sessions are long, so that nothing is made good by their end.
#[tokio::test]
async fn a_storm_of_faults_leaves_nothing_and_breaks_nothing() {
    storm(&[Weather::Stormy; CLIENTS], LONG).await;
}

/// Sessions are short, and end at any time.
#[tokio::test]
async fn a_storm_that_ends_sessions_breaks_nothing() {
    storm(&[Weather::Deadly; CLIENTS], ttl(1_000)).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fine,
    Stormy,
    Deadly,
}

/// How many reads and writes there were.
async fn storm(weather: &[Weather], ttl: std::time::Duration) -> (usize, usize) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let server = Arc::new(Zk::start().await);
    let history = Arc::new(History::new());
    let over = Arc::<AtomicBool>::default();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (mut clients, mut tasks, mut faults) = (Vec::new(), JoinSet::new(), JoinSet::new());
    for (number, weather) in weather.iter().enumerate() {
        let proxy = Proxy::zk(server.addr()).await;
        let locks = connect(via(&proxy).recheck(ms(500)).unwrap(), ttl).await;
        for task in (0..READERS + WRITERS).filter(|task| task % CLIENTS == number) {
            let actor = Actor {
                locks: locks.clone(),
                writes: task < WRITERS,
                history: history.clone(),
                rng: rng.fork(),
                over: over.clone(),
                counts: counts.clone(),
            };
            tasks.spawn(actor.acts());
        }
        faults.spawn(storms(proxy, server.clone(), *weather, rng.fork(), over.clone()));
        clients.push(locks);
    }
    pause(ms(LASTS_MS)).await;
    let counted = || async { counts.iter().all(|count| count.load(SeqCst) > 2) };
    eventually("both are granted", counted).await;
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
    let [reads, writes] = [&counts[0], &counts[1]].map(|count| count.load(SeqCst));
    println!("{weather:?}: {reads} reads, {writes} writes in {count} faults");
    assert!(count > 20 || weather[0] == Weather::Fine, "{count} faults");
    history.assert_sound();
    for locks in &clients {
        is_idle(locks).await;
    }
    assert_eq!(left(&server).await, [""; 0]);
    until_watched(&server, 0).await;
    eventually("one session for each client", || async { sessions(&server).await <= CLIENTS })
        .await;
    let other = connect(config(server.port()), LONG).await;
    let guard = other.rw_lock(NAME).unwrap().try_write().await.unwrap();
    guard.expect("nobody has it").release().await.unwrap();
    for client in clients {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    eventually("no session is left", || async { sessions(&server).await == 1 }).await;
    (reads, writes)
}

/// Breaks the way of one client again and again, and returns how often.
async fn storms(
    proxy: Proxy,
    server: Arc<Zk>,
    weather: Weather,
    mut rng: Rng,
    over: Arc<AtomicBool>,
) -> (Proxy, usize) {
    let mut count = 0;
    let requests = ["create", "getChildren", "exists", "delete", "sync", "multi"];
    let mut swallowed = Vec::new();
    while weather != Weather::Fine && !over.load(SeqCst) {
        let time = ms(rng.u64(10..600));
        let request = *rng.choice(&requests).unwrap();
        let faults = if weather == Weather::Deadly { 10 } else { 8 };
        match rng.u8(..faults) {
            0 => proxy.reset(),
            1 => proxy.close(),
            2 | 3 => {
                let ways = [Swallow::ThenCut, Swallow::ThenReset, Swallow::ThenSilence];
                let then = *rng.choice(&ways).unwrap();
                swallowed.push(proxy.swallow_nth_reply(
                    rng.u64(1..4),
                    then,
                    zk_request(request, ""),
                ));
            }
            4 => {
                let held = proxy.hold_requests(zk_request(request, ""));
                pause(time).await;
                match rng.u8(..3) {
                    0 => held.release(),
                    1 => held.close(),
                    _ => held.reset(),
                }
            }
            5 => {
                proxy.stall(rng.bool(), true);
                pause(time).await;
                proxy.restore();
            }
            6 => {
                proxy.drop_notifications(true);
                pause(time).await;
                proxy.drop_notifications(false);
            }
            7 => {
                proxy.delay(ms(rng.u64(1..30)), ms(rng.u64(1..30)));
                pause(time).await;
                proxy.delay(ms(0), ms(0));
            }
            8 => {
                proxy.only_pings(true);
                pause(time).await;
                proxy.only_pings(false);
            }
            _ => {
                let sessions = proxy.sessions();
                if let Some(session) = sessions.last() {
                    server.expire_session(*session).await;
                }
            }
        }
        count += 1;
        pause(ms(rng.u64(20..150))).await;
    }
    swallowed.iter().for_each(lock_testkit::SwallowHandle::disarm);
    (proxy, count)
}

struct Actor {
    locks: Locks,
    writes: bool,
    history: Arc<History>,
    rng: Rng,
    over: Arc<AtomicBool>,
    counts: Arc<[AtomicUsize; 2]>,
}

impl Actor {
    async fn acts(mut self) {
        while !self.over.load(SeqCst) {
            let limit = ms(self.rng.u64(1..1_500));
            let Ok(outcome) = timeout(limit, self.asks()).await else { continue };
            match outcome {
                Ok(Some(guard)) => self.has(guard).await,
                Ok(None) => pause(ms(1)).await,
                Err(error) => {
                    let kind = error.kind();
                    assert!(error.is_transient() || kind == ErrorKind::Lost, "{error}");
                    pause(ms(5)).await;
                }
            }
        }
    }

    async fn asks(&mut self) -> Result<Option<Guard>> {
        let table = self.locks.rw_lock(NAME)?;
        match (self.rng.u8(..8) > 0, self.writes) {
            (true, true) => table.write().await.map(Some),
            (true, false) => table.read().await.map(Some),
            (false, true) => table.try_write().await,
            (false, false) => table.try_read().await,
        }
    }

    async fn has(&mut self, guard: Guard) {
        self.counts[usize::from(self.writes)].fetch_add(1, SeqCst);
        let time = std::time::Duration::from_micros(self.rng.u64(..10_000));
        let lost = believe(&guard, &self.history, pause(time)).await;
        if self.rng.bool() {
            return;
        }
        match guard.release().await {
            Err(error) if lost.is_none() => {
                let kind = error.kind();
                let known = [ErrorKind::Indeterminate, ErrorKind::NotHeld];
                assert!(known.contains(&kind), "{error}");
            }
            _ => {}
        }
    }
}
