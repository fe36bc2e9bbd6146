//! Where rounds are run: in this process, or each in one of its own.
//!
//! Where memory lies, how names hash, and on which cores tasks come to run, stays as it is for as long as
//! a process lives, and is different in the next one. Of what needs no server, that is most of what
//! differs from run to run; so there each round has a process.

use std::cell::RefCell;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use lock_testkit::child::{Child, role};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::{Backend, Question};
use crate::subjects;
use crate::workload::{Load, Round};

/// A time in which all questions are asked, by one process.
pub(crate) struct Sitting<'b> {
    runtime: &'b Runtime,
    backend: &'b Backend,
    /// Which one it is, counted from 0, and of how many.
    at: usize,
    of: usize,
    start: fn(&Backend) -> Result<Child>,
    /// Killed when this is dropped, and by the kernel when this process is.
    process: RefCell<Option<Child>>,
}

impl<'b> Sitting<'b> {
    pub(crate) fn new(runtime: &'b Runtime, backend: &'b Backend, at: usize, of: usize) -> Self {
        Self { runtime, backend, at, of, start, process: RefCell::default() }
    }

    /// How many of so many rounds are due in this one: they are spread over all.
    pub(crate) fn share(&self, rounds: usize) -> usize {
        share(rounds, self.at, self.of)
    }

    /// A round of the subject at this place.
    pub(crate) fn round(&self, place: usize, question: &Question, load: Load) -> Result<Round> {
        if !self.backend.is_in_process {
            return self.backend.subjects[place].round(self.runtime, load);
        }
        // After an error nobody knows what it does: it ends, and another one begins.
        let mut process = match self.process.take() {
            Some(process) => process,
            None => (self.start)(self.backend)?,
        };
        let asked = format!("{} {place} {}", load.batches, question.name);
        let told = self.runtime.block_on(ask(&mut process, &asked))?;
        self.process.replace(Some(process));
        match told.split_once(' ') {
            Some((ROUND, round)) => Round::from_line(round),
            Some((FAILED, why)) => bail!("{why}"),
            _ => bail!("BUG: a process of rounds says `{told}`"),
        }
    }

    /// That of the rounds, if they have one.
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.borrow().as_ref().map(Child::pid)
    }
}

fn share(rounds: usize, at: usize, of: usize) -> usize {
    rounds * (at + 1) / of - rounds * at / of
}

async fn ask(process: &mut Child, what: &str) -> Result<String> {
    process.try_send(what).map_err(|why| anyhow!(why))?;
    process.report_within(PATIENCE).await.map_err(|why| anyhow!(why))
}

fn start(backend: &Backend) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--sit", backend.name]);
    Ok(Child::run(&format!("the rounds of {}", backend.name), command, &[]))
}

/// What the process does: rounds, as it is told.
pub(crate) fn sit(runtime: &Runtime, backend: &str) -> Result<()> {
    let role = role().context("BUG: nobody asks")?;
    // A Ctrl-C reaches it as well, but it is for who asks to say what comes of that.
    let _context = runtime.enter();
    let _interrupts = signal(SignalKind::interrupt())?;
    let make = subjects::BACKENDS.iter().find(|(name, _)| *name == backend);
    let (_, make) = make.with_context(|| format!("BUG: what is {backend}?"))?;
    let backend = make(runtime)?;
    for asked in role.commands() {
        let told = match answer(runtime, &backend, &asked) {
            Ok(round) => format!("{ROUND} {}", round.to_line()),
            Err(error) => format!("{FAILED} {}", format!("{error:#}").replace('\n', "; ")),
        };
        role.report(&told);
    }
    Ok(())
}

fn answer(runtime: &Runtime, backend: &Backend, asked: &str) -> Result<Round> {
    let mut words = asked.splitn(3, ' ');
    let mut next = || words.next().context("BUG: half a question");
    let (batches, place, question) = (next()?.parse()?, next()?.parse::<usize>()?, next()?);
    let question = backend.questions.iter().find(|one| one.name == question);
    let question = question.context("BUG: another question")?;
    let subject = backend.subjects.get(place).context("BUG: another subject")?;
    subject.round(runtime, question.load(batches))
}

const ROUND: &str = "round";
const FAILED: &str = "failed";

/// Until a round has ended.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_spread_over_all_sittings() {
        let shares = |rounds, of| (0..of).map(|at| share(rounds, at, of)).collect::<Vec<_>>();
        assert_eq!(shares(15, 15), [1; 15]);
        assert_eq!(shares(6, 15), [0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1]);
        assert_eq!((shares(15, 1), shares(1, 3)), (vec![15], vec![0, 0, 1]));
    }
}
