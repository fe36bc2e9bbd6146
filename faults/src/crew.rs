//! The workers, as the runner sees them: processes that it can ask, stop and kill.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lock_conformance::history::{Journal, Note};
use lock_testkit::child::Child;
use lockcore::BootInstant;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::stand::Stand;
use crate::trouble::{Trouble, broken};
use crate::way::Way;

/// All workers of a run.
pub(crate) struct Crew<'a> {
    stand: &'a dyn Stand,
    dir: PathBuf,
    pub(crate) notes: Journal,
    workers: Vec<Worker>,
    /// What the names of the load begin with, if they were ever changed.
    era: Option<u64>,
    /// What those have done who were killed since, as far as they had told.
    gone: Tally,
}

struct Worker {
    /// How many were here before.
    generation: u32,
    child: Child,
    way: Way,
    clock: Clock,
    /// Reports that nobody has asked for yet.
    heard: Vec<String>,
    last: Tally,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) grants: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) careless: u64,
}

impl<'a> Crew<'a> {
    /// Starts so many workers, and returns when all are connected.
    pub(crate) async fn start(
        stand: &'a dyn Stand,
        dir: &Path,
        notes: Journal,
        count: usize,
    ) -> Result<Self> {
        let (dir_of_run, workers, gone) = (dir.to_owned(), Vec::new(), Tally::default());
        let mut crew = Self { stand, dir: dir_of_run, notes, workers, era: None, gone };
        for number in 0..count {
            let clock = Clock::new(dir.join(format!("w{number}.clock")))?;
            let way = stand.way().await;
            let child = crew.spawn(number, 0, &way, &clock)?;
            let (heard, last) = (Vec::new(), Tally::default());
            crew.workers.push(Worker { generation: 0, child, way, clock, heard, last });
        }
        for number in 0..count {
            crew.is_ready(number).await?;
        }
        Ok(crew)
    }

    fn spawn(&self, number: usize, generation: u32, way: &Way, clock: &Clock) -> Result<Child> {
        let program = env::current_exe().context("this program has a path")?;
        let label = label(number, generation);
        let path = |name: &str| self.dir.join(name).display().to_string();
        let mut variables = vec![
            ("URL", self.stand.url(way)),
            ("TTL", self.stand.ttl().as_millis().to_string()),
            ("JOURNAL", path(&format!("{label}.{}", Journal::EXTENSION))),
            ("RESOURCE", path(RESOURCE)),
        ];
        variables.extend(clock.variables());
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(Child::run(&label, Command::new(program), &variables))
    }

    async fn is_ready(&mut self, number: usize) -> Result<(), Trouble> {
        self.hear(number, &["ready"], CONNECT).await?;
        if let Some(era) = self.era {
            self.send(number, &format!("era {era}"));
        }
        self.send(number, "load on");
        Ok(())
    }

    /// Gives the load names that nobody has used before.
    pub(crate) fn renames(&mut self, era: u64) {
        self.era = Some(era);
        self.send_all(&format!("era {era}"));
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn way(&mut self, number: usize) -> &mut Way {
        &mut self.workers[number].way
    }

    pub(crate) fn clock(&self, number: usize) -> &Clock {
        &self.workers[number].clock
    }

    pub(crate) fn send(&mut self, number: usize, line: &str) {
        self.workers[number].child.send(line);
    }

    pub(crate) fn send_all(&mut self, line: &str) {
        (0..self.len()).for_each(|number| self.send(number, line));
    }

    /// Waits for a report that begins with one of these.
    pub(crate) async fn hear(
        &mut self,
        number: usize,
        starts: &[&str],
        patience: Duration,
    ) -> Result<String, Trouble> {
        let mut end = BootInstant::now().saturating_add(patience);
        loop {
            let is_running = self.workers[number].child.is_running();
            if !is_running {
                // What it said last may be on its way still.
                end = end.min(BootInstant::now().saturating_add(LAST_WORDS));
            }
            if let Some(report) = self.heard(number, starts) {
                return Ok(report);
            }
            let worker = &self.workers[number];
            if BootInstant::now() >= end {
                let label = label(number, worker.generation);
                let why = if is_running { "does not say" } else { "has ended without" };
                let wanted = starts.join("` or `");
                let logs = worker.child.logs();
                return Err(broken(format!("{label} {why} `{wanted}`\n{}", last_of(&logs))));
            }
            sleep(LOOK).await;
        }
    }

    /// A report that begins with one of these, if it has come.
    pub(crate) fn heard(&mut self, number: usize, starts: &[&str]) -> Option<String> {
        let worker = &mut self.workers[number];
        while let Some(report) = worker.child.try_next_report() {
            worker.heard.push(report);
        }
        let is_wanted = |report: &String| {
            starts.iter().any(|start| report.strip_prefix(start).is_some_and(ends_a_word))
        };
        let place = worker.heard.iter().position(is_wanted)?;
        Some(worker.heard.remove(place))
    }

    /// What a worker has done so far.
    async fn tally(&mut self, number: usize) -> Result<Tally, Trouble> {
        self.send(number, "tell");
        let report = self.hear(number, &["tally"], ANSWER).await?;
        let mut counts = report.split(' ').skip(1).map(|count| count.parse().unwrap_or_default());
        let mut next = || counts.next().unwrap_or_default();
        let tally = Tally { grants: next(), failed: next(), dropped: next(), careless: next() };
        self.workers[number].last = tally;
        Ok(tally)
    }

    /// What each has done so far.
    pub(crate) async fn tallies(&mut self) -> Result<Vec<Tally>, Trouble> {
        let mut tallies = Vec::new();
        for number in 0..self.len() {
            tallies.push(self.tally(number).await?);
        }
        Ok(tallies)
    }

    /// What all have done so far, those among them who are dead.
    pub(crate) async fn sum(&mut self) -> Result<Tally, Trouble> {
        let sum = |sum: Tally, one: &Tally| sum.plus(*one);
        Ok(self.tallies().await?.iter().fold(self.gone, sum))
    }

    /// Freezes a worker.
    pub(crate) fn pause(&mut self, number: usize) {
        let process = self.process(number);
        self.notes.note(Note::Paused { process });
        self.workers[number].child.pause();
    }

    pub(crate) fn resume(&mut self, number: usize) {
        self.workers[number].child.resume();
        let process = self.process(number);
        self.notes.note(Note::Resumed { process });
    }

    /// Says that it is going to be kept from running by itself.
    pub(crate) fn note_block(&self, number: usize) {
        self.notes.note(Note::Paused { process: self.process(number) });
    }

    /// Says that it runs again.
    pub(crate) fn note_run(&self, number: usize) {
        self.notes.note(Note::Resumed { process: self.process(number) });
    }

    /// Kills a worker. Another has to [take its place](Crew::replace).
    pub(crate) fn kill(&mut self, number: usize) {
        self.workers[number].child.kill();
        let process = self.process(number);
        self.notes.note(Note::Killed { process });
    }

    /// Starts a worker in the place of one that was killed.
    pub(crate) async fn replace(&mut self, number: usize) -> Result<(), Trouble> {
        let worker = &self.workers[number];
        let generation = worker.generation + 1;
        let child = self.spawn(number, generation, &worker.way, &worker.clock);
        let child = child.map_err(|error| broken(format!("{error:#}")))?;
        let worker = &mut self.workers[number];
        self.gone = self.gone.plus(worker.last);
        (worker.generation, worker.child, worker.last) = (generation, child, Tally::default());
        worker.heard.clear();
        self.is_ready(number).await
    }

    /// Lets all give back what they have and end.
    pub(crate) async fn stop(&mut self) -> Result<(), Trouble> {
        self.send_all("stop");
        for number in 0..self.len() {
            let report = self.hear(number, &["stopped"], STOP).await?;
            if report != "stopped well" {
                return Err(broken(format!("worker {number}: {report}")));
            }
        }
        Ok(())
    }

    fn process(&self, number: usize) -> std::sync::Arc<str> {
        label(number, self.workers[number].generation).into()
    }
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            grants: self.grants + other.grants,
            failed: self.failed + other.failed,
            dropped: self.dropped + other.dropped,
            careless: self.careless + other.careless,
        }
    }
}

/// No other process of the run is called so.
fn label(number: usize, generation: u32) -> String {
    format!("w{number}-{generation}")
}

fn ends_a_word(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(' ')
}

fn last_of(logs: &str) -> String {
    let lines: Vec<_> = logs.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The socket of the resource, in the directory of the run.
pub(crate) const RESOURCE: &str = "resource";
const SHOWN_LINES: usize = 20;
const LOOK: Duration = Duration::from_millis(3);
const LAST_WORDS: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(90);
