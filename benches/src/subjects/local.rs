//! The in-process store, the crate people would pick instead, and what tokio has without names.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lock_local::LocalLock;
use lockable::LockPool;
use lockcore::{Lock, LockName, Mode, Request};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock, Semaphore};

use crate::bars::{Bar, Bound, Cell, Metric};
use crate::harness::{Backend, Question};
use crate::subjects::store::{
    FREE, HAND_OFF, ONE_NAME, OWN_NAMES, READERS, SEMAPHORE, TRY_HELD, growth,
};
use crate::subjects::{At, PERMIT, PERMITS, READ, Subject, WRITE};
use crate::workload::{Inside, Workload};

pub(crate) mod leases;

pub(super) fn backend(_: &Runtime) -> Result<Backend> {
    let kinds = ["readers", "readers", "permits"].map(str::to_owned);
    let orders = (0..NAMES).map(|name| format!("orders/{name:06}"));
    let names: Vec<String> = kinds.into_iter().chain(orders).collect();
    Ok(Backend {
        name: "local",
        subjects: vec![
            Box::new(Arc::new(Inherent::new(&names)?)),
            Box::new(Arc::new(Dyn::new(&names)?)),
            Box::new(Arc::new(Peer::new(&names))),
            Box::new(Arc::new(Floor::new(&names))),
        ],
        floor: FLOOR,
        is_in_process: true,
        server: None,
        questions: questions(),
        bars: vec![
            Bar {
                name: "free lock, p50: inherent / lockable",
                metric: Metric::P50,
                of: Cell { question: FREE, subject: INHERENT },
                over: Cell { question: FREE, subject: PEER },
                bound: Bound::AtMost(1.0),
            },
            bar("own names: inherent / lockable", OWN_NAMES, INHERENT, 1.5),
            bar("own names: dyn / lockable", OWN_NAMES, DYN, 1.0),
            bar("8 tasks on one name: inherent / lockable", ONE_NAME, INHERENT, 1.5),
            bar("8 tasks on one name: dyn / lockable", ONE_NAME, DYN, 1.0),
        ],
        counts: vec![leases::count()],
        delays: Vec::new(),
        only: String::new(),
    })
}

fn questions() -> Vec<Question> {
    let mut questions: Vec<_> =
        growth().into_iter().map(|question| Question { batch: BATCH, ..question }).collect();
    questions.extend([
        question("free lock, another name each time", Workload::ManyNames { names: NAMES }),
        question(
            "8 tasks on one name, held over a yield",
            Workload::OneName { tasks: 8, inside: Inside::Yield },
        ),
        question(READERS, Workload::Readers { tasks: 64 }),
        question(SEMAPHORE, Workload::Permits { tasks: 64, permits: PERMITS }),
        question(TRY_HELD, Workload::TryHeld),
        Question {
            name: HAND_OFF,
            workload: Workload::HandOff { settle: Duration::ZERO },
            batch: 1,
            is_point: false,
        },
    ]);
    questions
}

/// The methods that allocate nothing while the lock is free.
struct Inherent {
    locks: LocalLock,
    requests: Vec<Request>,
}

/// The contract that all backends share: a future and a lease in boxes.
struct Dyn {
    locks: Arc<dyn Lock>,
    requests: Vec<Request>,
}

/// [`LockPool`] takes its key by value and keeps it. A shared string is the cheapest key with the
/// text of a name that is known at run time only.
struct Peer {
    pool: LockPool<Arc<str>>,
    names: Vec<Arc<str>>,
}

/// No names, no tokens, no ends: what a lock of one process costs at least.
struct Floor {
    mutexes: Vec<Padded>,
    table: RwLock<()>,
    slots: Semaphore,
}

// Two lines of 64 bytes: neighbours are fetched in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Padded(Mutex<()>);

impl Inherent {
    fn new(names: &[String]) -> Result<Self> {
        Ok(Self { locks: LocalLock::new(), requests: requests(names)? })
    }
}

impl Subject for Inherent {
    fn name(&self) -> &'static str {
        INHERENT
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let _held = self.locks.acquire(&self.requests[at.name]).await?;
        inside().await;
        Ok(())
    }

    async fn is_taken(&self, at: At) -> Result<bool> {
        Ok(self.locks.try_acquire(&self.requests[at.name])?.is_some())
    }

    fn does(&self, workload: Workload) -> bool {
        !matches!(workload, Workload::Command { .. })
    }
}

impl Dyn {
    fn new(names: &[String]) -> Result<Self> {
        Ok(Self { locks: Arc::new(LocalLock::new()), requests: requests(names)? })
    }
}

impl Subject for Dyn {
    fn name(&self) -> &'static str {
        DYN
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let _held = self.locks.lock(&self.requests[at.name]).await?;
        inside().await;
        Ok(())
    }

    async fn is_taken(&self, at: At) -> Result<bool> {
        Ok(self.locks.try_lock(&self.requests[at.name]).await?.is_some())
    }

    fn does(&self, workload: Workload) -> bool {
        !matches!(workload, Workload::Command { .. })
    }
}

impl Peer {
    fn new(names: &[String]) -> Self {
        let names = names.iter().map(|name| name.as_str().into()).collect();
        Self { pool: LockPool::new(), names }
    }
}

impl Subject for Peer {
    fn name(&self) -> &'static str {
        PEER
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let _held = self.pool.async_lock(self.names[at.name].clone()).await;
        inside().await;
        Ok(())
    }

    async fn is_taken(&self, at: At) -> Result<bool> {
        Ok(self.pool.try_lock(self.names[at.name].clone()).is_some())
    }

    /// It has no readers and no permits.
    fn does(&self, workload: Workload) -> bool {
        match workload {
            Workload::ManyNames { .. }
            | Workload::OwnNames { .. }
            | Workload::OneName { .. }
            | Workload::HandOff { .. }
            | Workload::TryHeld => true,
            Workload::Readers { .. } | Workload::Permits { .. } | Workload::Command { .. } => false,
        }
    }
}

impl Floor {
    fn new(names: &[String]) -> Self {
        let mutexes = names.iter().map(|_| Padded::default()).collect();
        Self { mutexes, table: RwLock::default(), slots: Semaphore::new(PERMITS) }
    }
}

impl Subject for Floor {
    fn name(&self) -> &'static str {
        FLOOR
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        match at.name {
            READ => {
                let _held = self.table.read().await;
                inside().await;
            }
            WRITE => {
                let _held = self.table.write().await;
                inside().await;
            }
            PERMIT => {
                let _held = self.slots.acquire().await?;
                inside().await;
            }
            name => {
                let _held = self.mutexes[name].0.lock().await;
                inside().await;
            }
        }
        Ok(())
    }

    async fn is_taken(&self, at: At) -> Result<bool> {
        Ok(self.mutexes[at.name].0.try_lock().is_ok())
    }

    fn does(&self, workload: Workload) -> bool {
        !matches!(workload, Workload::Command { .. })
    }
}

fn requests(names: &[String]) -> Result<Vec<Request>> {
    let of = NonZeroU32::new(PERMITS as u32).context("BUG: no permits")?;
    let mode = |at| match at {
        READ => Mode::Shared,
        PERMIT => Mode::Permit { of },
        _ => Mode::Exclusive,
    };
    let request = |(at, name): (usize, &String)| Ok(Request::new(LockName::new(name)?, mode(at)));
    names.iter().enumerate().map(request).collect()
}

fn question(name: &'static str, workload: Workload) -> Question {
    Question { name, workload, batch: BATCH, is_point: false }
}

fn bar(name: &'static str, question: &'static str, subject: &'static str, at_least: f64) -> Bar {
    let cell = |subject| Cell { question, subject };
    let (of, over) = (cell(subject), cell(PEER));
    Bar { name, metric: Metric::Rate, of, over, bound: Bound::AtLeast(at_least) }
}

const INHERENT: &str = "lock-local inherent";
const DYN: &str = "lock-local dyn";
const PEER: &str = "lockable";
const FLOOR: &str = "bare tokio";

/// The most that a question asks for.
const NAMES: usize = 4_096;

/// See [`Load::batch`](crate::workload::Load::batch).
const BATCH: u32 = 64;
