//! What breaks, for ours and for peers on every store.
//!
//! All to whom something happens on a store share one server, and take turns.

use std::future::pending;
use std::marker::PhantomData;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use leasehold::{Guard, Locks};
use lock_testkit::Proxy;
use lock_testkit::child::{Child, REPORT};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::delays::{Delay, Delayed};

/// One server, or several of which one leads.
pub(crate) trait Stand: Send + Sync + Sized + 'static {
    /// Starts it.
    fn start() -> impl Future<Output = Self> + Send;

    /// A way to the only server, or the first.
    fn link(&self) -> impl Future<Output = Proxy> + Send;

    /// What [`leasehold::connect`] takes, without options; through `link` if there is one.
    fn url(&self, link: Option<&Proxy>) -> String;

    /// Kills the server, or the one that leads.
    fn kills(&self) -> impl Future<Output = ()> + Send;

    /// Starts what was killed again; returns when it answers.
    fn mends(&self) -> impl Future<Output = ()> + Send;
}

/// A client of a store that locks one name, with [`TTL`].
pub(crate) trait Party: Send + Sync + Sized + 'static {
    /// What it has while it holds the lock.
    type Held: Send;

    /// One that locks `name` at the server of [`Stand::url`].
    fn connect(url: &str, name: &str) -> impl Future<Output = Result<Self>> + Send;

    /// Waits for its turn.
    fn lock(&self) -> impl Future<Output = Result<Self::Held>> + Send;

    fn unlock(&self, held: Self::Held) -> impl Future<Output = Result<()>> + Send;

    /// Returns when it is told that the lock is no longer its own for sure.
    fn lost(&self, _held: &mut Self::Held) -> impl Future<Output = Result<()>> + Send {
        async { bail!("BUG: it tells nobody") }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The process that holds the lock is killed, while another one waits.
    Death,
    /// Nothing comes through the link of a holder any more.
    Silence,
    /// The server is killed and started again.
    Restart,
    /// The server that leads is killed, and stays away.
    Failover,
}

impl Event {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Death => DEATH,
            Self::Silence => SILENCE,
            Self::Restart => RESTART,
            Self::Failover => FAILOVER,
        }
    }

    /// What happens, and those to whom it does.
    pub(crate) fn to(self, subjects: Vec<Box<dyn Delayed>>) -> Delay {
        Delay { name: self.name(), subjects }
    }
}

/// Where things are broken, started when the first of them is.
pub(crate) struct Ground<S>(Arc<OnceCell<S>>);

impl<S: Stand> Ground<S> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// A client in this process to whom this happens.
    pub(crate) fn party<P: Party>(&self, subject: &'static str, event: Event) -> Box<dyn Delayed> {
        Box::new(Broken::<S, P> { subject, event, ground: self.clone(), of: PhantomData })
    }

    pub(crate) async fn stand(&self) -> &S {
        self.0.get_or_init(S::start).await
    }
}

impl<S> Clone for Ground<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// One event for one party.
struct Broken<S, P> {
    subject: &'static str,
    event: Event,
    ground: Ground<S>,
    of: PhantomData<fn() -> P>,
}

impl<S: Stand, P: Party> Delayed for Broken<S, P> {
    fn name(&self) -> &'static str {
        self.subject
    }

    fn once(&self, runtime: &Runtime) -> Result<Duration> {
        runtime.block_on(async {
            let stand = self.ground.stand().await;
            let happens = async {
                match self.event {
                    Event::Death => death::<P>(stand, self.subject).await,
                    Event::Silence => silence::<P>(stand, self.subject).await,
                    Event::Restart => restart::<P>(stand, self.subject).await,
                    Event::Failover => failover::<P>(stand, self.subject).await,
                }
            };
            timeout(PATIENCE, happens).await.context("it does not go on")?
        })
    }
}

async fn death<P: Party>(stand: &impl Stand, subject: &str) -> Result<Duration> {
    let url = stand.url(None);
    let holder = spawn_holder(subject, &url).await?;
    let waiter = P::connect(&url, subject).await?;
    let waits = tokio::spawn(async move {
        let held = waiter.lock().await?;
        let granted = Instant::now();
        waiter.unlock(held).await?;
        Ok::<_, anyhow::Error>(granted)
    });
    sleep(settle()).await;
    let killed = Instant::now();
    holder.kill();
    Ok(waits.await??.saturating_duration_since(killed))
}

async fn silence<P: Party>(stand: &impl Stand, subject: &str) -> Result<Duration> {
    let (link, name) = (stand.link().await, name_once(subject));
    let party = P::connect(&stand.url(Some(&link)), &name).await?;
    let mut held = party.lock().await?;
    sleep(between_renewals()).await;
    link.black_hole(true, true);
    let silent = Instant::now();
    party.lost(&mut held).await.context("the loss was not told")?;
    Ok(silent.elapsed())
}

async fn restart<P: Party>(stand: &impl Stand, subject: &str) -> Result<Duration> {
    let party = connected::<P>(stand, subject).await?;
    stand.kills().await;
    stand.mends().await;
    let ready = Instant::now();
    cycle(&party).await?;
    Ok(ready.elapsed())
}

async fn failover<P: Party>(stand: &impl Stand, subject: &str) -> Result<Duration> {
    let party = connected::<P>(stand, subject).await?;
    stand.kills().await;
    let killed = Instant::now();
    let went = timeout(PATIENCE / 2, cycle(&party)).await;
    let took = killed.elapsed();
    // The others need it.
    stand.mends().await;
    went.context("it does not go on")??;
    Ok(took)
}

/// A client that has locked before.
async fn connected<P: Party>(stand: &impl Stand, subject: &str) -> Result<P> {
    let party = P::connect(&stand.url(None), subject).await?;
    cycle(&party).await?;
    Ok(party)
}

/// Locks and unlocks, as often as it takes.
async fn cycle(party: &impl Party) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let error = match party.lock().await {
            Ok(held) => match party.unlock(held).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if Instant::now() >= end {
            return Err(error.context("it does not go on"));
        }
        sleep(LOOK).await;
    }
}

/// A name that nobody has used: of one that is lost to the world, nobody knows when it is free.
pub(crate) fn name_once(subject: &str) -> String {
    format!("{subject}-{}", fastrand::u64(..))
}

/// Until one that comes now surely waits. Of one that looks now and then, the wait begins at any time
/// of its sleep.
pub(crate) fn settle() -> Duration {
    SETTLE.mul_f64(1.0 + fastrand::f64())
}

/// From an acquisition to a moment between two renewals.
pub(crate) fn between_renewals() -> Duration {
    TTL.mul_f64(0.4 + fastrand::f64() / 3.0)
}

/// A process that has the lock.
async fn spawn_holder(subject: &str, url: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--hold-for-ever", subject, url]);
    let mut child = Child::run("a holder", command, &[]);
    child.report_within(PATIENCE).await.map_err(|why| anyhow!("no holder: {why}"))?;
    Ok(child)
}

/// What that process does.
pub(crate) async fn hold<P: Party>(subject: &str, url: &str) -> Result<()> {
    let party = P::connect(url, subject).await?;
    let held = party.lock().await?;
    println!("{REPORT}held");
    pending::<()>().await;
    drop(held);
    Ok(())
}

/// Ours, on any store.
pub(crate) struct Ours {
    locks: Locks,
    name: String,
}

impl Party for Ours {
    type Held = Guard;

    async fn connect(url: &str, name: &str) -> Result<Self> {
        let locks = leasehold::connect(&format!("{url}?ttl={}ms", TTL.as_millis())).await?;
        Ok(Self { locks, name: name.to_owned() })
    }

    async fn lock(&self) -> Result<Guard> {
        Ok(self.locks.mutex(&self.name)?.lock().await?)
    }

    async fn unlock(&self, held: Guard) -> Result<()> {
        held.release().await?;
        Ok(())
    }

    async fn lost(&self, held: &mut Guard) -> Result<()> {
        held.lost().await;
        Ok(())
    }
}

pub(crate) const DEATH: &str = "the holder is killed: next grant, TTL 2 s";
pub(crate) const SILENCE: &str = "the link goes silent: the loss is told, TTL 2 s";
pub(crate) const RESTART: &str = "the server is restarted: next grant once it answers";
pub(crate) const FAILOVER: &str = "the leader of three is killed: next grant";

/// The shortest that all stores take.
pub(crate) const TTL: Duration = Duration::from_secs(2);
/// As long as a poll takes at the most.
const SETTLE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(1);
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
