//! What breaks, for clients in other languages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use super::process::Process;
use super::{Foreign, address, number};
use crate::delays::Delayed;
use crate::subjects::store::broken::{
    Event, Ground, PATIENCE, Stand, TTL, between_renewals, name_once, settle,
};

/// One event for one of them.
struct Broken<S> {
    of: &'static Foreign,
    event: Event,
    ground: Ground<S>,
    sure: Mutex<Option<Duration>>,
}

/// How long it took until it was sure of its loss, where it had told before that it may be lost.
struct Sure<S>(&'static str, Arc<Broken<S>>);

impl<S: Stand> Ground<S> {
    /// A client in another language to whom this happens.
    pub(crate) fn foreign(&self, of: &'static Foreign, event: Event) -> Box<dyn Delayed> {
        Box::new(Broken::new(of, event, self))
    }

    /// One to whom the link goes silent, and who tells twice what that means.
    pub(crate) fn silenced(&self, of: &'static Foreign) -> Vec<Box<dyn Delayed>> {
        let broken = Broken::new(of, Event::Silence, self);
        let mut all: Vec<Box<dyn Delayed>> = vec![Box::new(broken.clone())];
        if let Some((name, _)) = of.sure {
            all.push(Box::new(Sure(name, broken)));
        }
        all
    }
}

impl<S: Stand> Delayed for Sure<S> {
    fn name(&self) -> &'static str {
        self.0
    }

    /// Of the silence that was just now, if that was asked about.
    fn once(&self, runtime: &Runtime) -> Result<Duration> {
        let kept = || self.1.sure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sure) = kept() {
            return Ok(sure);
        }
        self.1.once(runtime)?;
        kept().context("BUG: it was not sure")
    }
}

impl<S: Stand> Delayed for Arc<Broken<S>> {
    fn name(&self) -> &'static str {
        self.of.name
    }

    fn once(&self, runtime: &Runtime) -> Result<Duration> {
        runtime.block_on(async {
            let stand = self.ground.stand().await;
            let happens = async {
                match self.event {
                    Event::Death => self.death(stand).await,
                    Event::Silence => self.silence(stand).await,
                    Event::Restart => self.restart(stand).await,
                    Event::Failover => self.failover(stand).await,
                }
            };
            timeout(PATIENCE, happens).await.context("it does not go on")?
        })
    }
}

impl<S: Stand> Broken<S> {
    fn new(of: &'static Foreign, event: Event, ground: &Ground<S>) -> Arc<Self> {
        Arc::new(Self { of, event, ground: ground.clone(), sure: Mutex::default() })
    }

    async fn death(&self, stand: &S) -> Result<Duration> {
        let url = stand.url(None);
        let (mut holder, mut waiter) = (self.start(&url)?, self.start(&url)?);
        waiter.ready().await?;
        self.cycle(&mut waiter).await?;
        holder.ready().await?;
        holder.ask(0, LOCK)?;
        holder.answer(0, "granted").await?;
        waiter.ask(0, LOCK)?;
        waiter.answer(0, "asks").await?;
        sleep(settle()).await;
        let killed = now();
        holder.kill();
        let granted = number(&waiter.answer(0, "granted").await?)?;
        waiter.ask(0, UNLOCK)?;
        waiter.answer(0, "free").await?;
        Ok(between(killed, granted))
    }

    /// The time until it is sure, if it tells that, is kept for [`Sure`].
    async fn silence(&self, stand: &S) -> Result<Duration> {
        let link = stand.link().await;
        let mut process = self.start(&stand.url(Some(&link)))?;
        process.ready().await?;
        process.ask(0, &format!("lock {}", name_once("silent")))?;
        process.answer(0, "granted").await?;
        sleep(between_renewals()).await;
        link.black_hole(true, true);
        let silent = now();
        let told = number(&process.answer(0, self.of.says).await?)?;
        if let Some((_, says)) = self.of.sure {
            let sure = between(silent, number(&process.answer(0, says).await?)?);
            *self.sure.lock().unwrap_or_else(PoisonError::into_inner) = Some(sure);
        }
        Ok(between(silent, told))
    }

    async fn restart(&self, stand: &S) -> Result<Duration> {
        let mut process = self.connected(stand).await?;
        stand.kills().await;
        stand.mends().await;
        let ready = now();
        process.ask(0, AGAIN)?;
        Ok(between(ready, number(&process.answer(0, "went").await?)?))
    }

    async fn failover(&self, stand: &S) -> Result<Duration> {
        let mut process = self.connected(stand).await?;
        stand.kills().await;
        let killed = now();
        process.ask(0, AGAIN)?;
        let went = timeout(PATIENCE / 2, process.answer(0, "went")).await;
        // The others need it.
        stand.mends().await;
        Ok(between(killed, number(&went.context("it does not go on")??)?))
    }

    /// One that has locked before.
    async fn connected(&self, stand: &S) -> Result<Process> {
        let mut process = self.start(&stand.url(None))?;
        process.ready().await?;
        self.cycle(&mut process).await?;
        Ok(process)
    }

    async fn cycle(&self, process: &mut Process) -> Result<()> {
        process.ask(0, AGAIN)?;
        process.answer(0, "went").await?;
        Ok(())
    }

    fn start(&self, url: &str) -> Result<Process> {
        Process::start(self.of, address(url), TTL)
    }
}

/// By the clock that all processes have in common.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn between(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

const LOCK: &str = "lock broken";
const UNLOCK: &str = "unlock broken";
/// Locks and unlocks, as often as it takes.
const AGAIN: &str = "again broken";
