//! Writing the log of one process.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use lockcore::{
    BootInstant, FencingToken, Guard, Inspection, Lease, LossCause, OwnerLabel, Released, Request,
    Result,
};

use super::event::{Ask, Event, Fact, Note, Patience, What};
use super::line;

/// The log of one process: a file of its own, which nobody else writes to.
///
/// A clone writes to the same file, from whatever thread. Each event is one `write` of one whole
/// line, so what a killed process has written can be read, but for at most one torn line at the end.
/// Nothing is synced: the log outlives its process, not its machine.
///
/// Everything that ends a belief is in it *before* it is done. Who shuts a client down, or drops a grant
/// in another way than by [`Attempt::release`], logs [`Fact::Dropped`] of each grant first: else a
/// process that is killed later seems to have held it until its deadline.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    path: PathBuf,
    process: Arc<str>,
    last_attempt: AtomicU64,
    /// Those that were seen in a queue.
    seen: Mutex<HashSet<(Arc<str>, u64)>>,
}

impl Journal {
    /// What the names of the files end with that a [`Log`](super::Log) reads.
    pub const EXTENSION: &'static str = "log";

    /// A new log of the process that is called `process`, at `path`. No other process of the run has
    /// that name, not even the one that takes its place. All logs of a run, and of no other, are in one
    /// directory, and their names end with `.log`: [`judge`](super::judge) reads those.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, or is there already; with [`io::ErrorKind::InvalidInput`] when its
    /// name does not end with `.log`, so that nobody would read it.
    pub fn create(path: impl AsRef<Path>, process: &str) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        if path.extension().is_none_or(|extension| extension != Self::EXTENSION) {
            let message = format!("{}: the name of a log ends with `.log`", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let (last_attempt, seen) = (AtomicU64::new(0), Mutex::default());
        Ok(Self(Arc::new(Inner { file, path, process: process.into(), last_attempt, seen })))
    }

    /// The name of the process.
    #[must_use]
    pub fn process(&self) -> &Arc<str> {
        &self.0.process
    }

    /// A handle for one acquisition that is going to be made.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        let number = self.0.last_attempt.fetch_add(1, Relaxed) + 1;
        Attempt { journal: self.clone(), number }
    }

    /// Writes down what is done now.
    ///
    /// # Panics
    ///
    /// When it cannot be written: a log with gaps proves nothing.
    pub fn note(&self, note: Note) {
        self.write(BootInstant::now(), What::Note(note));
    }

    /// Writes down who waits in a queue, if their owner labels are [those of attempts](Attempt::label) of
    /// any process; each but once. **R7** to **R10** are judged by this: who is never seen waiting is not
    /// judged to have waited.
    ///
    /// # Panics
    ///
    /// As [`note`](Journal::note).
    pub fn saw(&self, queue: &Inspection) {
        let waiters = queue.waiters().iter().filter_map(|claim| claim.owner());
        for (process, number) in waiters.filter_map(|owner| owner.rsplit_once('.')) {
            let Ok(attempt) = number.parse() else { continue };
            let process: Arc<str> = process.into();
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.insert((process.clone(), attempt)) {
                self.note(Note::Queued { process, attempt });
            }
        }
    }

    fn write(&self, at: BootInstant, what: What) {
        let inner = &*self.0;
        let mut line = line::write(&Event { at, by: inner.process.clone(), what });
        line.push('\n');
        match (&inner.file).write(line.as_bytes()) {
            Ok(written) if written == line.len() => {}
            Ok(_) => panic!("{}: only a part of a line was written", inner.path.display()),
            Err(error) => panic!("{}: {error}", inner.path.display()),
        }
    }
}

/// One acquisition in a [`Journal`]: what it does is written down under its number.
///
/// The methods that make a call take the instant on the side of it that makes the event sure, see
/// [`Event`]. All of them panic when the log cannot be written.
#[derive(Clone, Debug)]
pub struct Attempt {
    journal: Journal,
    number: u64,
}

impl Attempt {
    /// Its number, unique in its process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// An owner label for the request, by which [`Journal::saw`] knows it in the queue.
    ///
    /// # Errors
    ///
    /// When the name of the process cannot stand in a label.
    pub fn label(&self) -> Result<OwnerLabel> {
        OwnerLabel::new(format!("{}.{}", self.journal.process(), self.number))
    }

    /// Writes down what the call is going to ask for: once, right before it.
    pub fn asks(&self, ask: Ask) {
        self.log(Fact::Asked(ask));
    }

    /// Writes down how the call has ended: a grant, none for who did not want to wait (or longer), an
    /// error. `patience` is that of [`asks`](Attempt::asks). What `lock` returns, which is never none, is
    /// told by `outcome.map(Some)`.
    pub fn answered<H: Hold>(&self, patience: Patience, outcome: &Result<Option<H>>) {
        match outcome {
            Ok(Some(hold)) => self.granted(hold),
            Ok(None) if patience == Patience::None => self.log(Fact::Busy),
            Ok(None) => self.log(Fact::TimedOut),
            Err(error) => self.log(Fact::Failed { kind: error.kind() }),
        }
    }

    /// Writes down that the call has returned this grant, right after it.
    pub fn granted(&self, hold: &impl Hold) {
        self.log(Fact::Granted { token: hold.token(), deadline: hold.deadline() });
    }

    /// Asks whether it is held and writes the answer down. The checker claims nothing of the time
    /// after the last yes of a hold that was lost: ask often.
    pub fn look(&self, hold: &impl Hold) -> bool {
        let at = BootInstant::now();
        // Before the question: once it is lost, the deadline is none.
        let deadline = hold.deadline();
        let is_held = hold.is_held();
        if is_held {
            self.log_at(at, Fact::Believes { deadline });
        } else {
            self.log(Fact::Doubts);
        }
        is_held
    }

    /// Renews and writes the outcome down.
    ///
    /// # Errors
    ///
    /// Those of the renewal.
    ///
    /// # Cancel safety
    ///
    /// That of the renewal; one that was dropped is not in the log.
    pub async fn renew(&self, hold: &impl Hold) -> Result<()> {
        let at = BootInstant::now();
        let outcome = hold.renew().await;
        match &outcome {
            Ok(()) => {
                let (token, deadline) = (hold.token(), hold.deadline());
                self.log_at(at, Fact::Renewed { token, deadline });
            }
            Err(error) => self.log(Fact::RenewFailed { kind: error.kind() }),
        }
        outcome
    }

    /// Writes down that the loss was signalled. Whoever calls this has waited for it all the time: **R4** is judged
    /// by it.
    pub fn lost(&self, cause: LossCause) {
        self.log(Fact::Lost { cause });
    }

    /// Looks, releases, and writes both down.
    ///
    /// # Errors
    ///
    /// Those of the release.
    ///
    /// # Cancel safety
    ///
    /// That of the release; the log then says that it was called, and not how it ended.
    pub async fn release<H: Hold>(&self, hold: H) -> Result<Released> {
        self.look(&hold);
        self.log(Fact::Releasing);
        let outcome = hold.release().await;
        self.log(match &outcome {
            Ok(released) => Fact::Released { token: released.token },
            Err(error) => Fact::ReleaseFailed { kind: error.kind() },
        });
        outcome
    }

    /// Writes down what has just become true. Of a [`Fact`] that has to come first see
    /// [`log_at`](Attempt::log_at).
    pub fn log(&self, fact: Fact) {
        self.log_at(BootInstant::now(), fact);
    }

    /// Writes down what was so at `at`: for a fact whose instant is before a question, see [`Event`],
    /// when it is known only after the answer.
    pub fn log_at(&self, at: BootInstant, fact: Fact) {
        self.journal.write(at, What::Fact { attempt: self.number, fact });
    }
}

impl Ask {
    /// What a request asks for.
    #[must_use]
    pub fn of(request: &Request, patience: Patience) -> Self {
        Self {
            name: request.name().clone(),
            mode: request.mode(),
            patience,
            ttl: request.ttl(),
            renewal: request.renewal(),
        }
    }
}

/// What a log has to know of a grant: a [`Guard`] or a [`Lease`].
pub trait Hold {
    /// Its token.
    fn token(&self) -> FencingToken;

    /// Until when it is believed.
    fn deadline(&self) -> BootInstant;

    /// Whether it is held.
    fn is_held(&self) -> bool;

    /// Renews it; see [`Lease::renew`].
    fn renew(&self) -> impl Future<Output = Result<()>> + Send;

    /// Gives it back; see [`Lease::release`].
    fn release(self) -> impl Future<Output = Result<Released>> + Send;
}

impl Hold for Guard {
    fn token(&self) -> FencingToken {
        self.token()
    }

    fn deadline(&self) -> BootInstant {
        self.deadline()
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    async fn renew(&self) -> Result<()> {
        self.renew().await
    }

    async fn release(self) -> Result<Released> {
        self.release().await
    }
}

impl Hold for Box<dyn Lease + '_> {
    fn token(&self) -> FencingToken {
        (**self).token()
    }

    fn deadline(&self) -> BootInstant {
        (**self).deadline()
    }

    fn is_held(&self) -> bool {
        (**self).is_held()
    }

    async fn renew(&self) -> Result<()> {
        (**self).renew().await
    }

    async fn release(self) -> Result<Released> {
        (*self).release().await
    }
}
