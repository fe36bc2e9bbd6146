//! One backend under all its faults, until its time is over.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use lock_conformance::history::{Expects, Journal, Note, Tolerance, judge};
use lockcore::BootInstant;
use tokio::time::sleep;

use crate::crew::{Crew, RESOURCE};
use crate::fault::{Backend, Fault};
use crate::plan::Plan;
use crate::report::{Row, Run};
use crate::resource::Resource;
use crate::scene::Scene;
use crate::stand::{self, Stand};
use crate::trouble::Trouble;

/// What is to be done.
pub(crate) struct Order {
    pub(crate) backend: Backend,
    pub(crate) faults: Vec<Fault>,
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    /// Of a crowd.
    pub(crate) waiters: usize,
}

/// Carries it out; what the workers have written down stays in `dir`.
pub(crate) async fn run(order: &Order, dir: &Path) -> Result<Run> {
    let stand: Box<dyn Stand> = match order.backend {
        Backend::Local => Box::new(stand::Local),
        Backend::Redis => Box::new(stand::Redis::start(dir).await?),
        Backend::Etcd => Box::new(stand::Etcd::start().await),
        Backend::Zk => Box::new(stand::Zk::start().await),
    };
    let resource = Resource::serve(&dir.join(RESOURCE))?;
    let notes = Journal::create(dir.join(format!("runner.{}", Journal::EXTENSION)), "runner")?;
    let workers = if order.backend == Backend::Local { 1 } else { WORKERS };
    let crew = Crew::start(&*stand, dir, notes, workers).await?;
    let mut runner =
        Runner { order, stand: &*stand, crew, rows: Vec::new(), begun: Vec::new(), ended: None };

    let load = runner.load().await?;
    let start = Instant::now();
    runner.breaks_things().await;
    let took = start.elapsed();
    let after = runner.goes_on().await;
    let stopped = runner.crew.stop().await;
    let left = nothing_left(&*stand).await;

    let Runner { mut rows, mut ended, crew, begun, .. } = runner;
    drop(crew);
    for trouble in [after.as_ref().err(), stopped.as_ref().err()].into_iter().flatten() {
        ended.get_or_insert(trouble.to_string());
    }
    let tolerance = Tolerance { signal: SIGNAL, recovery: stand.terms().slack + BUSY };
    let verdict = judge(dir, tolerance)?;
    for finding in &verdict.contradictions {
        blame(&mut rows, &begun, finding.at);
    }
    Ok(Run {
        backend: order.backend,
        seed: order.seed,
        took,
        rows,
        load,
        load_after: after.unwrap_or_default(),
        floor: stand.terms().floor,
        ended,
        left,
        verdict,
        fenced: resource.fenced(),
        unfenced: resource.unfenced(),
    })
}

struct Runner<'a> {
    order: &'a Order,
    stand: &'a dyn Stand,
    crew: Crew<'a>,
    rows: Vec<Row>,
    /// When each fault began.
    begun: Vec<(BootInstant, Fault)>,
    /// Why it ended before its time.
    ended: Option<String>,
}

impl Runner<'_> {
    /// Grants a second, without a fault.
    async fn load(&mut self) -> Result<f64, Trouble> {
        let (before, start) = (self.crew.sum().await?.grants, Instant::now());
        sleep(LOAD).await;
        let grants = self.crew.sum().await?.grants - before;
        // It is a count and a time of seconds.
        Ok(grants as f64 / start.elapsed().as_secs_f64())
    }

    /// Grants a second, when all is over and enough of them have come.
    async fn goes_on(&mut self) -> Result<f64, Trouble> {
        let (before, start) = (self.crew.sum().await?.grants, Instant::now());
        loop {
            sleep(LOAD).await;
            let grants = self.crew.sum().await?.grants - before;
            if grants >= HEALED {
                return Ok(grants as f64 / start.elapsed().as_secs_f64());
            }
            if start.elapsed() >= HEAL {
                return Err(Trouble::Broken(format!("{grants} grants after all faults")));
            }
        }
    }

    async fn breaks_things(&mut self) {
        let start = Instant::now();
        let plan = Plan::new(self.order.backend, self.order.faults.clone(), self.order.seed);
        let bar = bar(self.order);
        let mut rng = Rng::with_seed(self.order.seed);
        self.rows = self.order.faults.iter().map(|fault| Row::new(*fault)).collect();
        for (number, (fault, form)) in (1..).zip(plan) {
            if start.elapsed() >= self.order.time {
                break;
            }
            bar.set_position(start.elapsed().as_secs());
            bar.set_message(format!("{number}: {fault}, {form}"));
            let outcome = self.one(number, fault, form, &mut rng).await;
            if bar.is_hidden() {
                eprintln!("{}: {}", self.order.backend, told(number, fault, form, &outcome));
            }
            let row = self.rows.iter_mut().find(|row| row.fault == fault);
            let row = row.expect("BUG: the plan has faults of the order only");
            match outcome {
                Ok(landed) => row.landed(form, landed),
                Err(Trouble::Missed(why)) => row.missed(form, why),
                Err(Trouble::Broken(why)) => {
                    row.broken += 1;
                    self.ended = Some(format!("{number}: {fault}, {form}: {why}"));
                    break;
                }
            }
        }
        bar.finish_and_clear();
    }

    /// One fault, and the peace after it.
    async fn one(
        &mut self,
        number: u64,
        fault: Fault,
        form: &'static str,
        rng: &mut Rng,
    ) -> Result<String, Trouble> {
        self.begun.push((BootInstant::now(), fault));
        let expects = Expects(fault.breaks().to_vec());
        let label = format!("{fault}, {form}");
        self.crew.notes.note(Note::FaultBegan { fault: number, label, expects });
        let mut scene = Scene {
            crew: &mut self.crew,
            stand: self.stand,
            rng,
            fault,
            form,
            name: format!("scene-{number}"),
            waiters: self.order.waiters,
        };
        let outcome = scene.play().await;
        if matches!(outcome, Err(Trouble::Broken(_))) {
            return outcome;
        }
        self.heals().await?;
        if fault == Fault::ServerClock {
            // Their tokens are of a time to come. Where these are forgotten too, they fall: that is
            // two faults, and what came of the first would be taken for that of the second.
            self.crew.renames(number);
        }
        self.crew.notes.note(Note::FaultEnded { fault: number });
        outcome
    }

    /// Everybody is granted again.
    async fn heals(&mut self) -> Result<(), Trouble> {
        let before = self.crew.tallies().await?;
        let end = Instant::now() + HEAL + self.stand.ttl() * 2;
        loop {
            let now = self.crew.tallies().await?;
            let waiting: Vec<_> = (0..now.len())
                .filter(|worker| now[*worker].grants < before[*worker].grants + ENOUGH)
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Trouble::Broken(format!("no grants for workers {waiting:?}")));
            }
            sleep(LOOK).await;
        }
    }
}

/// Counts a contradiction for the fault that was the last to begin before it, if there was one.
fn blame(rows: &mut [Row], begun: &[(BootInstant, Fault)], at: BootInstant) {
    let before = begun.partition_point(|(began, _)| *began <= at);
    let fault = before.checked_sub(1).map(|last| begun[last].1);
    if let Some(row) = rows.iter_mut().find(|row| Some(row.fault) == fault) {
        row.broken += 1;
    }
}

/// A line of the progress, where there is no bar.
fn told(number: u64, fault: Fault, form: &str, outcome: &Result<String, Trouble>) -> String {
    match outcome {
        Ok(landed) => format!("{number}: {fault}, {form}: {landed}"),
        Err(trouble) => format!("{number}: {fault}, {form}: {trouble}"),
    }
}

/// What is still there when nobody is: what stands for clients goes within a moment.
async fn nothing_left(stand: &dyn Stand) -> Vec<String> {
    let end = Instant::now() + HEAL;
    loop {
        let left = stand.left().await;
        if left.is_empty() || Instant::now() >= end {
            return left;
        }
        sleep(LOOK).await;
    }
}

/// A line on stderr, if that is a terminal.
fn bar(order: &Order) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:24}] {elapsed} of {len} s  {wide_msg}");
    let style = style.expect("BUG: the template is bad").progress_chars("=> ");
    let bar = ProgressBar::new(order.time.as_secs()).with_style(style);
    bar.set_prefix(order.backend.to_string());
    bar
}

/// Processes of workers.
const WORKERS: usize = 4;
/// How many grants show that a worker is well.
const ENOUGH: u64 = 3;
const LOAD: Duration = Duration::from_secs(2);
/// How many show that all are.
const HEALED: u64 = 100;
/// How late a loss may be signalled: the timers of a process that gets no time for a while, on cores that
/// are far too busy. How late it is on others, the suite measures.
const SIGNAL: Duration = Duration::from_secs(1);
/// What two busy cores and the pace of the engine may cost a waiter besides.
const BUSY: Duration = Duration::from_secs(3);
const HEAL: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
