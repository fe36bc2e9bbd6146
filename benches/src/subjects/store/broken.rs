//! What breaks, for ours on every store.

use std::future::pending;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold::Locks;
use lock_testkit::Proxy;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
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

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The process that holds the lock is killed, while another one waits.
    Death,
    /// Nothing comes through the link of a holder any more.
    Silence,
    /// The server is killed and started again.
    Restart,
    /// The server that leads is killed, and stays away.
    Failover,
}

/// One event for ours.
struct Broken<S> {
    subject: &'static str,
    event: Event,
    stand: OnceCell<S>,
}

/// What one server is asked.
pub(crate) fn of_one<S: Stand>(subject: &'static str) -> Vec<Delay> {
    vec![
        delay::<S>(DEATH, subject, Event::Death),
        delay::<S>(SILENCE, subject, Event::Silence),
        delay::<S>(RESTART, subject, Event::Restart),
    ]
}

/// What several are asked.
pub(crate) fn of_many<S: Stand>(subject: &'static str) -> Delay {
    delay::<S>(FAILOVER, subject, Event::Failover)
}

fn delay<S: Stand>(name: &'static str, subject: &'static str, event: Event) -> Delay {
    let broken = Broken::<S> { subject, event, stand: OnceCell::new() };
    Delay { name, subjects: vec![Box::new(broken)] }
}

impl<S: Stand> Delayed for Broken<S> {
    fn name(&self) -> &'static str {
        self.subject
    }

    fn once(&self, runtime: &Runtime) -> Result<Duration> {
        runtime.block_on(async {
            let stand = self.stand.get_or_init(S::start).await;
            match self.event {
                Event::Death => death(stand).await,
                Event::Silence => silence(stand).await,
                Event::Restart => restart(stand).await,
                Event::Failover => failover(stand).await,
            }
        })
    }
}

async fn death(stand: &impl Stand) -> Result<Duration> {
    let url = with_ttl(&stand.url(None));
    let mut holder = spawn_holder(&url).await?;
    let locks = leasehold::connect(&url).await?;
    let mutex = locks.mutex(NAME)?;
    let waits = tokio::spawn(async move {
        let guard = mutex.lock().await?;
        Ok::<_, anyhow::Error>((Instant::now(), guard))
    });
    while locks.inspect(NAME).await?.waiters().is_empty() {
        sleep(LOOK).await;
    }
    let killed = Instant::now();
    holder.kill().await?;
    let (granted, guard) = timeout(PATIENCE, waits).await.context("nobody was granted")???;
    guard.release().await?;
    locks.shutdown().await?;
    Ok(granted.saturating_duration_since(killed))
}

async fn silence(stand: &impl Stand) -> Result<Duration> {
    let link = stand.link().await;
    let locks = leasehold::connect(&with_ttl(&stand.url(Some(&link)))).await?;
    let guard = locks.mutex(NAME)?.lock().await?;
    // Somewhere between two renewals.
    sleep(TTL.mul_f64(0.4 + fastrand::f64() / 3.0)).await;
    link.black_hole(true, true);
    let silent = Instant::now();
    timeout(PATIENCE, guard.lost()).await.context("the loss was not told")?;
    let took = silent.elapsed();
    link.black_hole(false, false);
    drop((guard, locks));
    // The next one begins with a free lock.
    go_on(stand).await?;
    Ok(took)
}

async fn restart(stand: &impl Stand) -> Result<Duration> {
    let locks = connected(stand).await?;
    stand.kills().await;
    stand.mends().await;
    let ready = Instant::now();
    cycle(&locks).await?;
    Ok(ready.elapsed())
}

async fn failover(stand: &impl Stand) -> Result<Duration> {
    let locks = connected(stand).await?;
    stand.kills().await;
    let killed = Instant::now();
    cycle(&locks).await?;
    let took = killed.elapsed();
    stand.mends().await;
    Ok(took)
}

/// A client that has locked before.
async fn connected(stand: &impl Stand) -> Result<Locks> {
    let locks = leasehold::connect(&with_ttl(&stand.url(None))).await?;
    cycle(&locks).await?;
    Ok(locks)
}

async fn go_on(stand: &impl Stand) -> Result<()> {
    cycle(&leasehold::connect(&with_ttl(&stand.url(None))).await?).await
}

/// Locks and unlocks, as often as it takes.
async fn cycle(locks: &Locks) -> Result<()> {
    let (mutex, end) = (locks.mutex(NAME)?, Instant::now() + PATIENCE);
    loop {
        let error = match mutex.lock().await {
            Ok(guard) => match guard.release().await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if Instant::now() >= end {
            bail!("it does not go on: {error}");
        }
        sleep(LOOK).await;
    }
}

/// A process that has the lock.
async fn spawn_holder(url: &str) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--hold-for-ever", url]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().context("BUG: no output")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    if line.as_deref() != Some(HELD) {
        bail!("the holder did not get the lock: {line:?}");
    }
    Ok(child)
}

/// What that process does.
pub(crate) async fn hold_for_ever(url: &str) -> Result<()> {
    let guard = leasehold::connect(url).await?.mutex(NAME)?.lock().await?;
    println!("{HELD}");
    pending::<()>().await;
    drop(guard);
    Ok(())
}

fn with_ttl(url: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}ttl={}ms", TTL.as_millis())
}

pub(crate) const DEATH: &str = "the holder is killed: next grant, TTL 2 s";
pub(crate) const SILENCE: &str = "the link goes silent: the loss is told, TTL 2 s";
pub(crate) const RESTART: &str = "the server is restarted: next grant once it answers";
pub(crate) const FAILOVER: &str = "the leader of three is killed: next grant";

const NAME: &str = "broken";
const HELD: &str = "held";
/// The shortest that all stores take.
const TTL: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);
