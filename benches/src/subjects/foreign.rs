//! Clients in other languages, each a process of its own, or several.
//!
//! A *seat* is one who locks: a thread of a process, with a connection of its own. It times itself, by the
//! clock that all processes of a machine have in common, and tells when it asked, was granted, let go
//! and was done.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lock_testkit::child::Child;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use self::process::Process;
use crate::cores;
use crate::harness::{Contestant, Question};
use crate::subjects::CLIENTS;
use crate::subjects::store::TTL;
use crate::workload::{Load, Round, Workload};

mod broken;
mod process;

/// A client in another language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    name: &'static str,
    start: fn(&Path, &[&str]) -> Child,
    /// Its program.
    source: &'static str,
    /// In how many processes its seats are, at most.
    processes: usize,
    /// See [`Subject::polls_every`](crate::subjects::Subject::polls_every).
    polls_every: Duration,
    /// Cycles of each process before its first round, as long as its machine compiles what it does.
    warm_up: u32,
    /// What it says when it is no longer sure that it holds.
    says: &'static str,
    /// Under which name the time stands until it says for sure that it does not, and what it says.
    sure: Option<(&'static str, &'static str)>,
}

pub(crate) const CURATOR: Foreign = Foreign {
    name: "Curator",
    start: Child::curator_at_speed,
    source: "Locks.java",
    processes: 2,
    polls_every: Duration::ZERO,
    warm_up: 200,
    says: "SUSPENDED",
    sure: Some(("Curator, which is sure", "LOST")),
};

pub(crate) const KAZOO: Foreign = Foreign {
    name: "kazoo",
    start: Child::kazoo,
    source: "with_kazoo.py",
    processes: CLIENTS,
    polls_every: Duration::ZERO,
    warm_up: 0,
    says: "SUSPENDED",
    sure: None,
};

pub(crate) const REDIS_PY: Foreign = Foreign {
    name: "redis-py",
    start: Child::redis_py,
    source: "with_redis_py.py",
    processes: CLIENTS,
    polls_every: Duration::from_millis(100),
    warm_up: 0,
    says: "",
    sure: None,
};

/// One that answers questions; its processes are started when they are first needed.
pub(crate) struct Team {
    of: &'static Foreign,
    address: String,
    processes: Mutex<Vec<Process>>,
}

/// What a seat tells of a cycle, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug)]
struct Cycle {
    asked: u64,
    granted: u64,
    let_go: u64,
    done: u64,
}

impl Foreign {
    /// Answers questions at the server of this URL.
    pub(crate) fn team(&'static self, url: &str) -> Box<dyn Contestant> {
        let address = address(url).to_owned();
        Box::new(Team { of: self, address, processes: Mutex::default() })
    }

    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/subjects/foreign").join(self.source)
    }
}

impl Contestant for Team {
    fn name(&self) -> &'static str {
        self.of.name
    }

    fn answers(&self, question: &Question) -> bool {
        match question.workload {
            Workload::OwnNames { tasks } => tasks == 1,
            Workload::OneName { tasks, .. } => tasks <= CLIENTS,
            Workload::HandOff { .. } => true,
            _ => false,
        }
    }

    fn round(&self, runtime: &Runtime, load: Load) -> Result<Round> {
        let mut place = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        // After an error nobody knows what they do: they end, and others begin.
        let mut processes = std::mem::take(&mut *place);
        let round = runtime.block_on(self.run(&mut processes, load));
        let round = round.with_context(|| self.of.name)?;
        *place = processes;
        Ok(round)
    }
}

impl Team {
    async fn run(&self, processes: &mut Vec<Process>, load: Load) -> Result<Round> {
        let seats = match load.workload {
            Workload::OneName { tasks, .. } => tasks,
            Workload::HandOff { .. } => 2,
            _ => 1,
        };
        self.fill(processes, seats).await?;
        // As many cores as we have ourselves.
        for process in &*processes {
            cores::share(process.id())?;
        }
        match load.workload {
            Workload::HandOff { settle } => self.hand_off(processes, load, settle).await,
            _ => cycles(processes, seats, load).await,
        }
    }

    /// Starts what is missing for so many seats. Two are started at once: a hand-off comes anyway.
    async fn fill(&self, processes: &mut Vec<Process>, seats: usize) -> Result<()> {
        let there = processes.len();
        for _ in there..seats.max(2).min(self.of.processes) {
            processes.push(Process::start(self.of, &self.address, TTL)?);
        }
        for process in &mut processes[there..] {
            process.ready().await?;
            if self.of.warm_up > 0 {
                process.ask(0, &format!("cycles warm-up-{} {}", process.id(), self.of.warm_up))?;
            }
        }
        for process in &mut processes[there..] {
            if self.of.warm_up > 0 {
                process.answer(0, "done").await?;
            }
        }
        Ok(())
    }

    /// Two seats hand one lock to each other, as [`hand_off`](crate::workload) has two tasks do it.
    async fn hand_off(
        &self,
        processes: &mut [Process],
        load: Load,
        settle: Duration,
    ) -> Result<Round> {
        let (start, mut nanos) = (Instant::now(), Vec::new());
        let lock = &format!("lock {NAME}");
        processes[0].ask(0, lock)?;
        processes[0].answer(0, "granted").await?;
        for turn in 1..=load.batches as usize {
            let (holder, waiter) = ((turn - 1) % 2, turn % 2);
            processes[waiter].ask(waiter, lock)?;
            processes[waiter].answer(waiter, "asks").await?;
            sleep(settle + self.of.polls_every.mul_f64(fastrand::f64())).await;
            processes[holder].ask(holder, &format!("unlock {NAME}"))?;
            let let_go = number(&processes[holder].answer(holder, "free").await?)?;
            let granted = number(&processes[waiter].answer(waiter, "granted").await?)?;
            ensure!(granted >= let_go, "a lock that was held was granted at once");
            nanos.push(granted - let_go);
        }
        let last = load.batches as usize % 2;
        processes[last].ask(last, &format!("unlock {NAME}"))?;
        processes[last].answer(last, "free").await?;
        Round::new(nanos.len() as u64, start.elapsed(), 1, &nanos)
    }
}

/// So many seats lock and unlock one name.
async fn cycles(processes: &mut [Process], seats: usize, load: Load) -> Result<Round> {
    let count = processes.len();
    for seat in 0..seats {
        processes[seat % count].ask(seat, &format!("cycles {NAME} {}", load.batches))?;
    }
    let mut cycles = Vec::new();
    for seat in 0..seats {
        cycles.extend(Cycle::read(&processes[seat % count].answer(seat, "done").await?)?);
    }
    cycles.sort_unstable_by_key(|cycle| cycle.granted);
    let is_apart = |pair: &[Cycle]| pair[0].let_go <= pair[1].granted;
    ensure!(cycles.windows(2).all(is_apart), "it lets two in at once");
    let expected = seats * load.batches as usize;
    ensure!(cycles.len() == expected, "{} of {expected} cycles are told", cycles.len());
    let first = cycles.iter().map(|cycle| cycle.asked).min().unwrap_or_default();
    let last = cycles.iter().map(|cycle| cycle.done).max().unwrap_or_default();
    let nanos: Vec<_> = cycles.iter().map(|cycle| cycle.done - cycle.asked).collect();
    Round::new(nanos.len() as u64, Duration::from_nanos(last - first), 1, &nanos)
}

impl Cycle {
    /// Four numbers for each.
    fn read(words: &str) -> Result<Vec<Self>> {
        let stamps = words.split_whitespace().map(number).collect::<Result<Vec<u64>>>()?;
        let (cycles, []) = stamps.as_chunks::<4>() else { bail!("half a cycle is told") };
        let of = |&[asked, granted, let_go, done]: &[u64; 4]| {
            ensure!(asked <= granted && granted <= let_go && let_go <= done, "its clock goes back");
            Ok(Self { asked, granted, let_go, done })
        };
        cycles.iter().map(of).collect()
    }
}

fn number(word: &str) -> Result<u64> {
    word.parse().with_context(|| format!("`{word}` is no number"))
}

/// Host and port, or several, of what [`leasehold::connect`] takes.
fn address(url: &str) -> &str {
    let (_, address) = url.split_once("://").unwrap_or(("", url));
    address.split(['/', '?']).next().unwrap_or(address)
}

const NAME: &str = "orders";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_have_four_stamps_in_order() {
        let cycles = Cycle::read("1 2 3 4 5 5 6 9").unwrap();
        assert_eq!((cycles.len(), cycles[1].done - cycles[1].asked), (2, 4));
        for odd in ["1 2 3", "1 2 4 3", "1 2 3 x"] {
            assert!(Cycle::read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn addresses_stand_alone() {
        let urls = ["redis://127.0.0.1:7/", "zk://127.0.0.1:7?counts=x", "127.0.0.1:7"];
        assert!(urls.iter().all(|url| address(url) == "127.0.0.1:7"));
        assert_eq!(address("zk://a:1,b:2"), "a:1,b:2");
    }
}
