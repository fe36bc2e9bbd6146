//! Everything that can be asked of a lock, dropped at any time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use lockcore::{BootInstant, ErrorKind, Guard, Locks, Mutex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cancel::UpTo;
use crate::time::{pause, soon};

/// What is asked for, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Work {
    /// A lock that is free.
    Lock,
    /// A lock that somebody holds.
    LockBusy,
    /// A lock that is given back meanwhile.
    LockHandedOver,
    /// A lock that somebody holds, with a limit of its own.
    LockFor,
    /// A lock that is free, without waiting.
    Try,
    /// A lock that somebody holds, without waiting.
    TryBusy,
    /// A table that nobody uses, to read.
    Read,
    /// A table that somebody reads, to write.
    WriteBusy,
    /// A permit of two.
    Permit,
    /// A third permit of two.
    PermitBusy,
    /// Work under a lock.
    Run,
    /// A renewal by hand.
    Renew,
    /// A release.
    Release,
    /// A look at holders and waiters.
    Inspect,
}

const ALL: [Work; 14] = [
    Work::Lock,
    Work::LockBusy,
    Work::LockHandedOver,
    Work::LockFor,
    Work::Try,
    Work::TryBusy,
    Work::Read,
    Work::WriteBusy,
    Work::Permit,
    Work::PermitBusy,
    Work::Run,
    Work::Renew,
    Work::Release,
    Work::Inspect,
];

/// How often each kind of work was done, and how often dropped before its end.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<Work, (usize, usize)>);

impl Counts {
    /// How often something was dropped before its end.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.0.values().map(|(_, dropped)| dropped).sum()
    }

    fn add(&mut self, other: &Self) {
        for (work, (done, dropped)) in &other.0 {
            let counts = self.0.entry(*work).or_default();
            *counts = (counts.0 + done, counts.1 + dropped);
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (work, (done, dropped)) in &self.0 {
            write!(f, "{work:?} {dropped} of {}, ", done + dropped)?;
        }
        write!(f, "{} dropped in all", self.dropped())
    }
}

/// Begins `count` works on `slow`, which may be slow but renews what it holds in time, and
/// drops them: at each of their first await points in turn, and at random times. `holder` is another
/// client of the store, which holds what is busy. Returns when everything that was asked for is done
/// or dropped; what has to be cleaned up may still be on its way.
///
/// # Panics
///
/// If something that must not be granted is, or what is free cannot be had; or if too little was
/// dropped for the sweep to prove anything.
pub async fn drops(slow: &Locks, holder: &Locks, seed: u64, count: usize) -> Counts {
    let table = holder.rw_lock("busy-table").expect("a name");
    let slots = holder.semaphore("busy-slots", 2).expect("a name");
    let held = [
        holder.mutex("busy").expect("a name").lock().await,
        table.read().await,
        slots.acquire().await,
        slots.acquire().await,
    ];
    let longest = longest(slow).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let sweeper = Sweeper {
            slow: slow.clone(),
            holder: holder.clone(),
            rng: Rng::with_seed(seed.wrapping_add(task as u64)),
            task,
            longest,
            counts: Counts::default(),
        };
        tasks.spawn(sweeper.run((task..count).step_by(TASKS)));
    }
    let mut counts = Counts::default();
    while let Some(task) = tasks.join_next().await {
        counts.add(&task.expect("a task of the sweep"));
    }
    for guard in held {
        guard.expect("a free lock").release().await.expect("it is held");
    }
    println!("{counts}");
    let every = ALL.iter().all(|work| counts.0.get(work).is_some_and(|(_, dropped)| *dropped > 0));
    assert!(every || count < ALL.len(), "something was never dropped: {counts}");
    assert!(counts.dropped() > count / 4, "it was no sweep of drops: {counts}");
    counts
}

/// Within what time things are dropped: that of what does not wait, and the half of it more.
async fn longest(slow: &Locks) -> Duration {
    let lock = slow.mutex("free-0").expect("a name");
    let mut took = Duration::ZERO;
    // At the first time a session may be opened.
    for _ in 0..2 {
        let begun = BootInstant::now();
        lock.lock().await.expect("a free lock").release().await.expect("it is held");
        took = begun.elapsed();
    }
    (took * 3 / 2).max(SHORTEST)
}

/// Sees that everything of the sweep can be taken at once.
///
/// # Panics
///
/// If it cannot.
pub async fn all_is_free(locks: &Locks) {
    let mut guards = Vec::new();
    for name in ["busy".to_owned()]
        .into_iter()
        .chain((0..TASKS).flat_map(|task| ["free", "handed"].map(|what| format!("{what}-{task}"))))
    {
        guards.push((locks.mutex(&name).expect("a name").try_lock().await, name));
    }
    for name in ["busy-table".to_owned()].into_iter().chain((0..TASKS).map(table)) {
        guards.push((locks.rw_lock(&name).expect("a name").try_write().await, name));
    }
    for name in ["busy-slots".to_owned()].into_iter().chain((0..TASKS).map(slots)) {
        let semaphore = locks.semaphore(&name, 2).expect("a name");
        for _ in 0..2 {
            guards.push((semaphore.try_acquire().await, name.clone()));
        }
    }
    for (guard, name) in guards {
        let guard = guard.expect("an answer").unwrap_or_else(|| panic!("{name} is not free"));
        guard.release().await.expect("it is held");
    }
}

/// Where it is dropped.
#[derive(Clone, Copy)]
struct Cut {
    points: usize,
    limit: Duration,
}

/// One task, with names of its own that nobody else wants for long.
struct Sweeper {
    slow: Locks,
    holder: Locks,
    rng: Rng,
    task: usize,
    longest: Duration,
    counts: Counts,
}

impl Sweeper {
    async fn run(mut self, turns: impl Iterator<Item = usize>) -> Counts {
        for turn in turns {
            let (work, round) = (ALL[turn % ALL.len()], turn / ALL.len());
            // Each await point in turn, and in between any time.
            let points = if round.is_multiple_of(2) { round / 2 % POINTS } else { usize::MAX };
            let cut = Cut { points, limit: self.any_time() };
            let dropped = soon("the work ends", self.does(work, cut)).await;
            let counts = self.counts.0.entry(work).or_default();
            if dropped { counts.1 += 1 } else { counts.0 += 1 }
        }
        self.counts
    }

    /// Whether it was dropped.
    async fn does(&mut self, work: Work, cut: Cut) -> bool {
        let (free, busy) = (self.mutex("free"), self.slow.mutex("busy").expect("a name"));
        // What came in time is dropped, too.
        let outcome = match work {
            Work::Lock => cut.short(free.lock()).await.map(taken),
            Work::Try => {
                cut.short(free.try_lock()).await.map(|guard| drop(guard.expect("an answer")))
            }
            Work::LockBusy => cut.short(busy.lock()).await.map(|guard| refused(guard.map(Some))),
            Work::TryBusy => cut.short(busy.try_lock()).await.map(refused),
            Work::LockFor => {
                let limit = self.any_time();
                cut.short(busy.try_lock_for(limit)).await.map(refused)
            }
            Work::LockHandedOver => self.is_handed_over(cut).await,
            Work::Read => {
                let table = self.slow.rw_lock(table(self.task)).expect("a name");
                cut.short(table.read()).await.map(taken)
            }
            Work::WriteBusy => {
                let table = self.slow.rw_lock("busy-table").expect("a name");
                cut.short(table.write()).await.map(|guard| refused(guard.map(Some)))
            }
            Work::Permit => {
                let slots = self.slow.semaphore(slots(self.task), 2).expect("a name");
                cut.short(slots.acquire()).await.map(taken)
            }
            Work::PermitBusy => {
                let slots = self.slow.semaphore("busy-slots", 2).expect("a name");
                cut.short(slots.acquire()).await.map(|guard| refused(guard.map(Some)))
            }
            Work::Run => {
                let work = free.run(async |held| assert!(held.is_held(), "work without a lock"));
                cut.short(work).await.map(|done| done.expect("it is held"))
            }
            Work::Renew => {
                let guard = free.lock().await.expect("nobody else wants it");
                let renewed = cut.short(guard.renew()).await.map(|done| done.expect("it is held"));
                assert!(guard.is_held(), "lost by a renewal");
                guard.release().await.expect("it is held");
                renewed
            }
            Work::Release => {
                let guard = free.lock().await.expect("nobody else wants it");
                cut.short(guard.release()).await.map(|released| {
                    if let Err(error) = released {
                        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
                    }
                })
            }
            Work::Inspect => {
                let picture = cut.short(self.slow.inspect("busy")).await;
                picture.map(|picture| {
                    assert_eq!(picture.expect("an answer").holders().len(), 1, "who holds it?");
                })
            }
        };
        outcome.is_none()
    }

    /// Waits for what its holder gives back at some time.
    async fn is_handed_over(&mut self, cut: Cut) -> Option<()> {
        let name = format!("handed-{}", self.task);
        let held = self.holder.mutex(&name).expect("a name").lock().await.expect("its turn");
        let lock = self.slow.mutex(&name).expect("a name");
        let time = self.any_time();
        let gives_back = async {
            pause(time).await;
            held.release().await.expect("it is held");
        };
        let waits = async { cut.short(lock.lock()).await.map(taken) };
        tokio::join!(gives_back, waits).1
    }

    fn any_time(&mut self) -> Duration {
        self.longest.mul_f64(self.rng.f64())
    }

    fn mutex(&self, what: &str) -> Mutex {
        self.slow.mutex(format!("{what}-{}", self.task)).expect("a name")
    }
}

impl Cut {
    /// Drops `work`, wherever it stands then.
    async fn short<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout(self.limit, UpTo::new(work, self.points)).await.ok().flatten()
    }
}

fn taken(guard: lockcore::Result<Guard>) {
    assert!(guard.expect("nobody else wants it").is_held(), "granted, and not held");
}

fn refused(guard: lockcore::Result<Option<Guard>>) {
    assert!(guard.expect("an answer").is_none(), "granted beside the holder");
}

fn table(task: usize) -> String {
    format!("table-{task}")
}

fn slots(task: usize) -> String {
    format!("slots-{task}")
}

const TASKS: usize = 10;
/// More await points than an acquisition that does not wait has.
const POINTS: usize = 8;
/// Also where nothing takes time.
const SHORTEST: Duration = Duration::from_millis(5);
