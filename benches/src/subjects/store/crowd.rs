//! What many that wait for one lock ask of the server until each has had it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, ensure};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::LONG_TTL;
use super::counted::counting;
use crate::counts::Counted;
use crate::harness::Plan;
use crate::subjects::{At, CLIENTS, PLAIN, Subject};

/// A server that nobody else uses, and a way to it on which is seen what passes. It ends when it is
/// dropped.
pub(crate) trait Gate: Sized + 'static {
    fn start() -> impl Future<Output = Result<Self>> + Send;

    fn url(&self) -> String;

    /// What has passed until now.
    fn seen(&self) -> impl Future<Output = Result<Seen>> + Send;
}

/// What clients sent, and what the server told them without being asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) notifications: f64,
}

/// All have the TTL of a holder that need not renew. They share `clients`, of which the last one holds.
pub(crate) fn crowd<G: Gate, S: Subject>(
    subject: &'static str,
    clients: usize,
    connect: impl AsyncFn(&str, Duration) -> Result<S> + 'static,
) -> Box<dyn Counted> {
    let count = move |runtime: &Runtime, plan: Plan| {
        runtime.block_on(async {
            let gate = G::start().await?;
            let subject = Arc::new(connect(&gate.url(), LONG_TTL).await?);
            drained(&gate, &subject, clients, plan.waiters).await
        })
    };
    counting(subject, count)
}

/// What passes from the release of the first holder until the last of those who wait has the lock, for
/// each of them.
async fn drained<G: Gate, S: Subject>(
    gate: &G,
    subject: &Arc<S>,
    clients: usize,
    waiters: usize,
) -> Result<Vec<f64>> {
    // Connections, scripts, sessions: what comes only once is not counted.
    for client in 0..clients.min(CLIENTS) {
        subject.cycle(At { client, name: PLAIN + 1 }, || async {}).await?;
    }
    let turns = Arc::new(Turns::default());
    let holding = subject.cycle(At { client: clients - 1, name: PLAIN }, || async {
        turns.is_held.notify_one();
        turns.begin.notified().await;
    });
    let counting = async {
        turns.is_held.notified().await;
        let before = gate.seen().await?;
        let mut waiting = JoinSet::new();
        for waiter in 0..waiters {
            let at = At { client: waiter % clients, name: PLAIN };
            waiting.spawn(wait(subject.clone(), turns.clone(), at, waiters));
        }
        settled(gate, before, waiters, subject.polls_every()).await?;
        let before = gate.seen().await?;
        ensure!(turns.granted() == 0, "a lock that was held was granted");
        turns.begin.notify_one();
        tokio::select! {
            () = turns.is_last.notified() => {}
            error = failed(&mut waiting) => return Err(error),
            () = sleep(PATIENCE) => return Err(anyhow!("{} were granted", turns.granted())),
        }
        let now = gate.seen().await?;
        turns.end.notify_one();
        while let Some(waiter) = waiting.join_next().await {
            waiter??;
        }
        let passed = [now.requests - before.requests, now.notifications - before.notifications];
        Ok(passed.map(|passed| passed / waiters as f64).to_vec())
    };
    let ((), counts) = tokio::try_join!(holding, counting)?;
    Ok(counts)
}

/// Waits its turn; the last one keeps the lock until all is counted.
async fn wait<S: Subject>(
    subject: Arc<S>,
    turns: Arc<Turns>,
    at: At,
    waiters: usize,
) -> Result<()> {
    let is_alone = AtomicBool::new(true);
    let inside = || async {
        is_alone.store(!turns.is_inside.swap(true, Relaxed), Relaxed);
        if turns.granted.fetch_add(1, Relaxed) + 1 == waiters {
            turns.is_last.notify_one();
            turns.end.notified().await;
        }
        turns.is_inside.store(false, Relaxed);
    };
    subject.cycle(at, inside).await?;
    ensure!(is_alone.into_inner(), "{} let two in at once", subject.name());
    Ok(())
}

/// Each has asked, and those who do not poll ask no more.
async fn settled(
    gate: &impl Gate,
    before: Seen,
    waiters: usize,
    polls_every: Duration,
) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut last = before.requests;
    loop {
        sleep(LOOK.max(polls_every)).await;
        let now = gate.seen().await?.requests;
        let have_asked = now - before.requests >= waiters as f64;
        let is_calm = !polls_every.is_zero() || now - last < waiters as f64 * CALM;
        if have_asked && is_calm {
            return Ok(());
        }
        ensure!(Instant::now() < end, "of {waiters}, not all wait after {PATIENCE:?}");
        last = now;
    }
}

/// Why one does not wait any more.
async fn failed(waiting: &mut JoinSet<Result<()>>) -> Error {
    while let Some(waiter) = waiting.join_next().await {
        match waiter {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return error.into(),
        }
    }
    anyhow!("BUG: the last one does not hold")
}

#[derive(Default)]
struct Turns {
    is_held: Notify,
    begin: Notify,
    granted: AtomicUsize,
    is_inside: AtomicBool,
    is_last: Notify,
    end: Notify,
}

impl Turns {
    fn granted(&self) -> usize {
        self.granted.load(Relaxed)
    }
}

pub(crate) const UNITS: &[&str] = &[REQUESTS, "notifications a grant"];
pub(crate) const REQUESTS: &str = "requests a grant";

const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether all wait.
const LOOK: Duration = Duration::from_millis(250);
/// The share of those who wait that may look now and then whether they were forgotten.
const CALM: f64 = 0.05;
