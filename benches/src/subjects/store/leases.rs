//! What held leases cost, in memory and in renewals.
//!
//! They are held by processes of their own, which have nothing else in their memory. Each counts, and
//! prints the numbers.

use std::cell::OnceCell;
use std::fs;
use std::marker::PhantomData;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lockcore::{Guard, Locks};
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::counted::Place;
use super::{Meter, spell};
use crate::counts::{Cap, Count, Counted};
use crate::harness::Plan;

/// What `subjects` are asked, of so many leases as the plan wants each time. The caps are for the most
/// leases.
pub(crate) fn counts<P: Place>(
    units: &'static [&'static str],
    subjects: &[&'static str],
    caps: Vec<Cap>,
) -> [Count; SIZES] {
    let held = subjects.iter().map(|subject| Rc::new(Held::<P>::of(subject)));
    let held: Vec<_> = held.collect();
    let of_size = |size, name, caps| {
        let subjects = held.iter().map(|held| Box::new(OfSize { held: held.clone(), size }) as _);
        Count { name, units, subjects: subjects.collect(), caps }
    };
    [
        of_size(0, |plan| held_for(plan, 0), Vec::new()),
        of_size(1, |plan| held_for(plan, 1), Vec::new()),
        of_size(2, |plan| held_for(plan, 2), caps),
    ]
}

fn held_for(plan: Plan, size: usize) -> String {
    let (leases, wait) = (plan.leases[size], spell(plan.wait));
    format!("{leases} {} held for {wait}", if leases == 1 { "lease" } else { "leases" })
}

/// A subject's leases. The wait is most of the time, so all sizes are held at once, each by a process
/// and on a server of its own.
struct Held<P> {
    subject: &'static str,
    costs: OnceCell<Vec<Vec<f64>>>,
    place: PhantomData<P>,
}

struct OfSize<P> {
    held: Rc<Held<P>>,
    size: usize,
}

impl<P: Place> Held<P> {
    fn of(subject: &'static str) -> Self {
        Self { subject, costs: OnceCell::new(), place: PhantomData }
    }

    async fn costs(&self, plan: Plan) -> Result<Vec<Vec<f64>>> {
        let cost = async |leases| {
            let place = P::start().await?;
            cost(self.subject, &place.url(), leases, plan.wait).await
        };
        let [few, some, many] = plan.leases;
        let (few, some, many) = tokio::try_join!(cost(few), cost(some), cost(many))?;
        Ok(vec![few, some, many])
    }
}

impl<P: Place> Counted for OfSize<P> {
    fn name(&self) -> &'static str {
        self.held.subject
    }

    fn count(&self, runtime: &Runtime, plan: Plan) -> Result<Vec<f64>> {
        let costs = match self.held.costs.get() {
            Some(costs) => costs,
            None => {
                let costs = runtime.block_on(self.held.costs(plan))?;
                self.held.costs.get_or_init(|| costs)
            }
        };
        Ok(costs[self.size].clone())
    }
}

/// Has so many leases of `subject` held by a process for so long, and returns what they cost: bytes
/// of each, and what the server's meter says.
pub(crate) async fn cost(
    subject: &str,
    url: &str,
    leases: usize,
    wait: Duration,
) -> Result<Vec<f64>> {
    let holder = Command::new(std::env::current_exe()?)
        .args(["--hold", subject, url])
        .args([leases.to_string(), wait.as_millis().to_string()])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(holder.status.success(), "the process that holds them: {}", holder.status);
    let numbers = String::from_utf8(holder.stdout)?;
    let numbers = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    numbers.context("the process that holds them printed something else")
}

/// What the process does: holds so many leases for so long.
pub(crate) struct Work<'a> {
    pub(crate) subject: &'a str,
    pub(crate) url: &'a str,
    leases: usize,
    wait: Duration,
}

impl<'a> Work<'a> {
    /// From the arguments that [`cost`] gives to the process.
    pub(crate) fn read(arguments: &'a [String]) -> Result<Self> {
        let [subject, url, leases, wait] = arguments else { bail!("BUG: {arguments:?}") };
        let wait = Duration::from_millis(wait.parse()?);
        Ok(Self { subject, url, leases: leases.parse()?, wait })
    }

    /// The names that are locked, those of the warm-up first.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + use<'_> {
        let warm_up = (0..self.cycles()).map(|cycle| self.warm_up(cycle));
        warm_up.chain((0..self.leases).map(|lease| self.name(lease)))
    }

    /// [`run`](Work::run) with ours.
    pub(crate) async fn run_ours<M: Meter>(&self, locks: &Locks) -> Result<Vec<f64>> {
        let acquire = async |name: &str| Ok(locks.mutex(name)?.lock().await?);
        let release = async |guard: Guard| {
            guard.release().await?;
            Ok(())
        };
        self.run::<M, _>(acquire, release).await
    }

    /// Bytes of a lease, and what the meter says of all of them while they are held.
    pub(crate) async fn run<M: Meter, G>(
        &self,
        acquire: impl AsyncFn(&str) -> Result<G>,
        release: impl AsyncFn(G) -> Result<()>,
    ) -> Result<Vec<f64>> {
        for cycle in 0..self.cycles() {
            release(acquire(&self.warm_up(cycle)).await?).await?;
        }
        // What the meter needs is not theirs.
        M::start(self.url).await?.read().await?;
        let before = own_memory()?;
        let mut held = Vec::with_capacity(self.leases);
        // One after the other, so that they are not all due for renewal at once.
        for lease in 0..self.leases {
            held.push(acquire(&self.name(lease)).await?);
        }
        let meter = M::start(self.url).await?;
        sleep(self.wait).await;
        let requests = meter.read().await?;
        let grown = own_memory()?.saturating_sub(before);
        Ok([vec![grown as f64 / held.len() as f64], requests].concat())
    }

    /// How many bring connections, scripts and the allocator to their working size.
    fn cycles(&self) -> usize {
        (self.leases + LEAST_CYCLES).min(MOST_CYCLES)
    }

    fn warm_up(&self, cycle: usize) -> String {
        format!("{}/warm-up/{cycle:06}", self.subject)
    }

    fn name(&self, lease: usize) -> String {
        format!("{}/leases/{lease:06}", self.subject)
    }
}

/// The memory that this process has written to, in bytes: not its code, of which it sees more and more.
fn own_memory() -> Result<usize> {
    let memory = fs::read_to_string("/proc/self/smaps_rollup")?;
    let mut lines = memory.lines().filter_map(|line| line.strip_prefix("Anonymous:"));
    let kib = lines.next().and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    let kib: usize = kib.context("the kernel does not tell how much memory is used")?;
    Ok(kib * 1024)
}

/// How many sizes there are of what is held.
pub(crate) const SIZES: usize = 3;

const LEAST_CYCLES: usize = 100;
const MOST_CYCLES: usize = 1_000;
