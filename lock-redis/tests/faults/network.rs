//! Links that break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use lock_conformance::history::History;
use lock_conformance::time::{pause, soon};
use lock_testkit::{Proxy, Redis};
use lockcore::{ErrorKind, Locks, Mutex, Released, Result};
use tokio::task::JoinHandle;

use crate::link::Fault;
use crate::stage::{
    believe, connect, hasty, hold, ms, only_fences, redis, take, until_waiting, waiting,
};

/// What one of two clients does when its link breaks.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Acquire,
    Wait,
    Renew,
    Release,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// A renewal fits in after it.
    Short,
    /// The TTL is over before.
    Long,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_link_does_one_holds_the_lock_and_all_get_it_afterwards() {
    let server = Arc::new(redis().await);
    let mut cells = Vec::new();
    for fault in Fault::ALL {
        for phase in [Phase::Acquire, Phase::Wait, Phase::Renew, Phase::Release] {
            for length in [Length::Short, Length::Long] {
                let cell = Cell::new(server.clone(), fault, phase, length).await;
                cells.push((cell.name.clone(), tokio::spawn(cell.run())));
            }
        }
    }
    let mut failed = Vec::new();
    for (name, cell) in cells {
        if cell.await.is_err() {
            failed.push(name);
        }
    }
    assert_eq!(failed, [""; 0], "why stands above");
}

/// A client whose link breaks, and one whose link never does, on one name.
struct Cell {
    server: Arc<Redis>,
    proxy: Proxy,
    fault: Fault,
    phase: Phase,
    length: Length,
    name: String,
    victim: Locks,
    other: Locks,
    history: Arc<History>,
}

impl Cell {
    async fn new(server: Arc<Redis>, fault: Fault, phase: Phase, length: Length) -> Self {
        let proxy = Proxy::start(server.addr()).await;
        let victim = connect(hasty(proxy.addr()), ms(TTL_MS)).await;
        let other = connect(hasty(server.addr()), ms(TTL_MS)).await;
        let name = format!("{phase:?}-{fault:?}-{length:?}");
        let history = Arc::default();
        Self { server, proxy, fault, phase, length, name, victim, other, history }
    }

    async fn run(self) {
        let lock = self.victim.mutex(&self.name).unwrap();
        match self.phase {
            Phase::Acquire => self.acquire(&lock).await,
            Phase::Wait => self.wait(&lock).await,
            Phase::Renew => self.renew(&lock).await,
            Phase::Release => self.release(&lock).await,
        }
        // The fault is over.
        let both = async {
            for lock in [&lock, &self.other.mutex(&self.name).unwrap()] {
                let guard = take(lock).await;
                self.within("release", hold(guard, &self.history, ms(20))).await.unwrap();
            }
        };
        self.within("both get the lock again", both).await;
        only_fences(&self.server, &self.name).await;
        if let Err(contradiction) = self.history.check() {
            panic!("{}: {contradiction}", self.name);
        }
    }

    /// The other one takes and gives all the time; its link is sound, so it never sees an error.
    async fn acquire(&self, lock: &Mutex) {
        let rival = self.rival();
        self.begin();
        let cycle = self.cycle(lock);
        pause(self.time()).await;
        assert!(!cycle.is_finished(), "{}: the fault has not landed", self.name);
        self.end();
        self.within("the victim gets the lock", cycle).await.unwrap();
        rival.ends().await;
    }

    /// The lock is handed over while the first in the queue cannot hear it.
    async fn wait(&self, lock: &Mutex) {
        let held = self.other.mutex(&self.name).unwrap().lock().await.unwrap();
        let cycle = self.cycle(lock);
        until_waiting(&self.server, &self.name, 1).await;
        self.begin();
        hold(held, &self.history, self.time() / 3).await.unwrap();
        let rival = self.rival();
        pause(self.time() * 2 / 3).await;
        self.landed(&cycle);
        self.end();
        self.within("the victim gets the lock", cycle).await.unwrap();
        rival.ends().await;
    }

    async fn renew(&self, lock: &Mutex) {
        let guard = lock.lock().await.unwrap();
        // Before the next renewal, so that it is the one that does not come through.
        pause(ms(TTL_MS / 4)).await;
        self.begin();
        let rival = self.rival();
        let over = async {
            pause(self.time()).await;
            self.end();
            // Who was not heard of for a TTL would be lost by now.
            pause(ms(TTL_MS)).await;
        };
        let lost = believe(&guard, &self.history, over).await;
        match self.length {
            Length::Short => assert_eq!(lost, None, "{}: lost in no time", self.name),
            Length::Long => assert!(lost.is_some(), "{}: held without a renewal", self.name),
        }
        if lost.is_some() {
            pause(self.time().saturating_sub(ms(TTL_MS))).await;
            self.end();
        }
        let released = self.within("the release returns", guard.release()).await;
        assert_eq!(released.is_ok(), lost.is_none(), "{}: {released:?}", self.name);
        rival.ends().await;
    }

    async fn release(&self, lock: &Mutex) {
        let guard = lock.lock().await.unwrap();
        let rival = self.rival();
        believe(&guard, &self.history, async {
            let mut server = self.server.resp().await;
            while waiting(&mut server, &self.name).await == 0 {
                pause(ms(2)).await;
            }
        })
        .await;
        self.begin();
        let released = tokio::spawn(async move { guard.release().await });
        pause(self.time()).await;
        self.landed(&released);
        self.end();
        let released = self.within("the release returns", released).await.unwrap();
        confirmed(&self.name, released);
        rival.ends().await;
    }

    /// The victim takes the lock and gives it back, perhaps while its link is broken.
    fn cycle(&self, lock: &Mutex) -> JoinHandle<()> {
        let (name, lock, history) = (self.name.clone(), lock.clone(), self.history.clone());
        tokio::spawn(async move {
            let guard = take(&lock).await;
            confirmed(&name, hold(guard, &history, ms(20)).await);
        })
    }

    /// A release that is not confirmed returns at its deadline, and not before.
    fn landed<T>(&self, task: &JoinHandle<T>) {
        let is_short = matches!(self.length, Length::Short);
        assert!(!is_short || !task.is_finished(), "{}: the fault has not landed", self.name);
    }

    fn begin(&self) {
        self.fault.begins(&self.proxy);
    }

    fn end(&self) {
        self.fault.ends(&self.proxy);
    }

    fn time(&self) -> Duration {
        match self.length {
            Length::Short => ms(300),
            Length::Long => ms(TTL_MS * 3 / 2),
        }
    }

    async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        soon(&format!("{}: {what}", self.name), future).await
    }

    fn rival(&self) -> Rival {
        let lock = self.other.mutex(&self.name).unwrap();
        let (history, name) = (self.history.clone(), self.name.clone());
        let stops = Arc::new(AtomicBool::new(false));
        let (stop, mut cycles) = (stops.clone(), 0);
        let task = tokio::spawn(async move {
            while !stop.load(SeqCst) {
                let guard = soon(&format!("{name}: the rival gets the lock"), lock.lock()).await;
                hold(guard.unwrap(), &history, ms(30)).await.unwrap();
                cycles += 1;
                pause(ms(30)).await;
            }
            cycles
        });
        Rival { task, stops }
    }
}

/// It was held when the release began, so nobody may say that it was not.
fn confirmed(name: &str, released: Result<Released>) {
    if let Err(error) = released {
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{name}: {error}");
    }
}

/// The other one, which takes the lock again and again.
struct Rival {
    task: JoinHandle<u32>,
    stops: Arc<AtomicBool>,
}

impl Rival {
    async fn ends(self) {
        self.stops.store(true, SeqCst);
        let cycles = self.task.await.unwrap();
        assert!(cycles > 0, "the rival was never granted");
    }
}

const TTL_MS: u64 = 1_500;
