//! The in-process store, the crate people would pick instead, and a bare mutex.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lock_local::LocalLock;
use lockable::LockPool;
use lockcore::{Lock, LockName, Mode, Request};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::bars::{Bar, Bound, Cell, Metric};
use crate::harness::{Backend, Question};
use crate::subjects::{At, Subject};
use crate::workload::{Inside, Workload};

pub(super) fn backend(_: &Runtime) -> Result<Backend> {
    let names: Vec<String> = (0..NAMES).map(|name| format!("orders/{name:06}")).collect();
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
        questions: vec![
            question(FREE, Workload::OwnNames { tasks: 1 }),
            question("free lock, another name each time", Workload::ManyNames { names: NAMES }),
            question(OWN_NAMES, Workload::OwnNames { tasks: 64 }),
            question(ONE_NAME, one_name(Inside::Nothing)),
            question("8 contenders, held over a yield", one_name(Inside::Yield)),
            Question {
                name: "hand-off",
                workload: Workload::HandOff { settle: Duration::ZERO },
                batch: 1,
            },
        ],
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
            bar("8 contenders: inherent / lockable", ONE_NAME, INHERENT, 1.5),
            bar("8 contenders: dyn / lockable", ONE_NAME, DYN, 1.0),
        ],
        counts: Vec::new(),
        only: String::new(),
    })
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
struct Floor(Vec<Padded>);

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
}

impl Floor {
    fn new(names: &[String]) -> Self {
        Self(names.iter().map(|_| Padded::default()).collect())
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
        let _held = self.0[at.name].0.lock().await;
        inside().await;
        Ok(())
    }
}

fn requests(names: &[String]) -> Result<Vec<Request>> {
    let request = |name| Ok(Request::new(LockName::new(name)?, Mode::Exclusive));
    names.iter().map(request).collect()
}

fn question(name: &'static str, workload: Workload) -> Question {
    Question { name, workload, batch: BATCH }
}

fn one_name(inside: Inside) -> Workload {
    Workload::OneName { tasks: 8, inside }
}

fn bar(name: &'static str, question: &'static str, subject: &'static str, at_least: f64) -> Bar {
    let cell = |subject| Cell { question, subject };
    let (of, over) = (cell(subject), cell(PEER));
    Bar { name, metric: Metric::Rate, of, over, bound: Bound::AtLeast(at_least) }
}

const FREE: &str = "free lock";
const OWN_NAMES: &str = "64 tasks on own names";
const ONE_NAME: &str = "8 contenders on one name";

const INHERENT: &str = "lock-local inherent";
const DYN: &str = "lock-local dyn";
const PEER: &str = "lockable";
const FLOOR: &str = "tokio mutex";

/// The most that a question asks for.
const NAMES: usize = 4_096;

/// See [`Load::batch`](crate::workload::Load::batch).
const BATCH: u32 = 64;
