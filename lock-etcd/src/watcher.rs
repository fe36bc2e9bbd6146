//! Notifications: one stream for all who wait.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use crate::client::{Client, Range, Row, WatchEvent, Watches};

/// Watches keys for the waiters of one client.
#[derive(Debug)]
pub(crate) struct Watcher {
    commands: mpsc::UnboundedSender<Command>,
    ids: std::sync::atomic::AtomicI64,
}

/// What a waiter listens with.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    pub(crate) look: Notify,
    /// Whether one of those it waits for has surely left, as opposed to a gap that may hide that.
    pub(crate) left: AtomicBool,
    /// Whether its own key was deleted, if it hears of that.
    pub(crate) is_out: AtomicBool,
    /// How often a watch has begun. Between two of them is a gap.
    pub(crate) begun: AtomicU32,
    /// How often it had when a look found the waiter there that was sent afterwards.
    pub(crate) looked: AtomicU32,
    /// Whether the server has answered.
    pub(crate) has_heard: AtomicBool,
    /// Whether the server refused to watch.
    pub(crate) is_deaf: AtomicBool,
}

/// What a waiter hears of: that somebody has left for whom it waits; and before that whatever took out
/// the waiter itself, if it is named.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) ahead: Stand,
    pub(crate) own: Option<Stand>,
}

/// A key, as this revision created it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) key: Vec<u8>,
    pub(crate) created: i64,
}

/// A subject that is watched, until this is dropped.
pub(crate) struct Watching {
    id: i64,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Watch { id: i64, watched: Watched },
    Forget { id: i64 },
    Reopen,
}

#[derive(Debug)]
struct Watched {
    subject: Subject,
    range: Range,
    ear: Weak<Ear>,
}

impl Watcher {
    /// A watcher whose task ends when it, and all that it watches, are dropped.
    pub(crate) fn start(client: Arc<Client>) -> Self {
        let (commands, asked) = mpsc::unbounded_channel();
        let generation = client.generation();
        let work = Work { client, generation, watched: HashMap::new(), stream: None };
        tokio::spawn(work.run(asked));
        Self { commands, ids: 1.into() }
    }

    /// Watches from now on. The ear is told when that has begun, and when the one before has left.
    pub(crate) fn watch(&self, subject: Subject, ear: &Arc<Ear>) -> Watching {
        let id = self.ids.fetch_add(1, SeqCst);
        let commands = self.commands.clone();
        let watched = Watched { range: subject.range(), subject, ear: Arc::downgrade(ear) };
        // If the task is gone, so is the client's runtime: nobody waits any more.
        let _ = commands.send(Command::Watch { id, watched });
        Watching { id, commands }
    }

    /// The stream is silent where it should not be: opens another one.
    pub(crate) fn reopen(&self) {
        let _ = self.commands.send(Command::Reopen);
    }
}

impl Subject {
    /// What has to be watched for it. Both in one watch: the events of one come in order, those of two
    /// need not.
    fn range(&self) -> Range {
        let ahead = self.ahead.key.as_slice();
        let Some(own) = self.own.as_ref().map(|own| own.key.as_slice()) else {
            return Range { from: ahead.to_vec(), to: None };
        };
        // The least that comes after a key.
        let to = [ahead.max(own), &[0]].concat();
        Range { from: ahead.min(own).to_vec(), to: Some(to) }
    }
}

impl Stand {
    /// Whether it is the key that was deleted at `revision`, and not another one in its place: events
    /// of before are told by a member that lags behind.
    fn is_ended_by(&self, key: &[u8], revision: i64) -> bool {
        self.key == key && self.created < revision
    }
}

impl From<&Row> for Stand {
    fn from(row: &Row) -> Self {
        Self { key: row.key.clone(), created: row.created }
    }
}

impl Ear {
    /// Takes in that these were deleted; whether that concerns it.
    fn hear(&self, subject: &Subject, deleted: &[(Vec<u8>, i64)]) -> bool {
        let is_among =
            |stand: &Stand| deleted.iter().any(|(key, revision)| stand.is_ended_by(key, *revision));
        // First: one transaction may have deleted both.
        if subject.own.as_ref().is_some_and(is_among) {
            self.is_out.store(true, SeqCst);
        }
        let has_left = is_among(&subject.ahead);
        if has_left {
            self.left.store(true, SeqCst);
        }
        has_left
    }

    /// Whether the waiter stood there when the one before it left, if it hears of both: it was found
    /// there after the watch had begun, and nothing was told of its own key since.
    pub(crate) fn is_sure(&self) -> bool {
        let begun = self.begun.load(SeqCst);
        let has_looked = begun > 0 && self.looked.load(SeqCst) == begun;
        self.left.load(SeqCst) && has_looked && !self.is_out.load(SeqCst)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Forget { id: self.id });
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Work {
    client: Arc<Client>,
    generation: watch::Receiver<u64>,
    watched: HashMap<i64, Watched>,
    stream: Option<Watches>,
}

/// What the task woke up for.
enum Turn {
    Command(Option<Command>),
    Said(lockcore::Result<(i64, WatchEvent)>),
    /// The connection was given up.
    Moved,
}

impl Work {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Command>) {
        loop {
            let turn = tokio::select! {
                command = asked.recv() => Turn::Command(command),
                said = next(&mut self.stream) => Turn::Said(said),
                Ok(()) = self.generation.changed() => Turn::Moved,
            };
            let is_well = match turn {
                Turn::Command(None) => return,
                Turn::Command(Some(command)) => self.take(command).await,
                Turn::Said(Ok((id, event))) => {
                    self.hear(id, event);
                    true
                }
                Turn::Said(Err(_)) | Turn::Moved => false,
            };
            if !is_well && !self.watch_anew(&mut asked).await {
                return;
            }
        }
    }

    /// Does what was asked; false if the stream is broken.
    async fn take(&mut self, command: Command) -> bool {
        match command {
            Command::Watch { id, watched } => {
                let done = match &mut self.stream {
                    Some(stream) => stream.add(id, &watched.range).await.is_ok(),
                    None => {
                        // What was given up before does not matter to a stream that is new.
                        self.generation.mark_unchanged();
                        let opened = self.client.watch(id, &watched.range).await;
                        self.stream = opened.ok();
                        self.stream.is_some()
                    }
                };
                self.watched.insert(id, watched);
                done
            }
            Command::Reopen => false,
            Command::Forget { id } => {
                let was_watched = self.watched.remove(&id).is_some();
                match &mut self.stream {
                    Some(stream) if was_watched => stream.remove(id).await.is_ok(),
                    _ => true,
                }
            }
        }
    }

    fn hear(&mut self, id: i64, event: WatchEvent) {
        if id < 0 && matches!(event, WatchEvent::Ended) {
            // It refused to watch, and does not say what: one of those that have not begun.
            let has_heard = |watched: &Watched| {
                watched.ear.upgrade().is_some_and(|ear| ear.has_heard.load(SeqCst))
            };
            let refused = self.watched.iter().filter(|(_, watched)| !has_heard(watched));
            for id in refused.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.hear(id, WatchEvent::Ended);
            }
            return;
        }
        let Some(watched) = self.watched.get(&id) else { return };
        let Some(ear) = watched.ear.upgrade() else { return };
        match event {
            WatchEvent::Created => {
                ear.begun.fetch_add(1, SeqCst);
            }
            WatchEvent::Deleted(deleted) if ear.hear(&watched.subject, &deleted) => {}
            WatchEvent::Deleted(_) | WatchEvent::Nothing => return,
            WatchEvent::Ended => {
                self.watched.remove(&id);
                ear.is_deaf.store(true, SeqCst);
            }
        }
        ear.has_heard.store(true, SeqCst);
        ear.look.notify_one();
    }

    /// Opens a stream with all that is watched, as soon as that is possible. Each ear is told when
    /// its watch has begun, and looks what it missed. False if nobody is left.
    async fn watch_anew(&mut self, asked: &mut mpsc::UnboundedReceiver<Command>) -> bool {
        self.stream = None;
        let mut pause = FIRST_PAUSE;
        while !self.watched.is_empty() {
            self.generation.mark_unchanged();
            if self.open_all().await {
                return true;
            }
            self.stream = None;
            // Those who leave meanwhile are not watched for, and those who come are.
            let pausing = sleep(pause);
            tokio::pin!(pausing);
            loop {
                tokio::select! {
                    () = &mut pausing => break,
                    command = asked.recv() => match command {
                        None => return false,
                        Some(Command::Reopen) => {}
                        Some(Command::Watch { id, watched }) => {
                            self.watched.insert(id, watched);
                        }
                        Some(Command::Forget { id }) => {
                            self.watched.remove(&id);
                        }
                    },
                }
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
        true
    }

    async fn open_all(&mut self) -> bool {
        for (id, watched) in &self.watched {
            match &mut self.stream {
                Some(stream) => {
                    if stream.add(*id, &watched.range).await.is_err() {
                        return false;
                    }
                }
                None => match self.client.watch(*id, &watched.range).await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(_) => return false,
                },
            }
        }
        true
    }
}

async fn next(stream: &mut Option<Watches>) -> lockcore::Result<(i64, WatchEvent)> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(key: &str, created: i64) -> Stand {
        Stand { key: key.into(), created }
    }

    fn subject() -> Subject {
        Subject { ahead: stand("b", 5), own: Some(stand("a", 7)) }
    }

    fn deleted(keys: &[(&str, i64)]) -> Vec<(Vec<u8>, i64)> {
        keys.iter().map(|(key, revision)| (key.as_bytes().to_vec(), *revision)).collect()
    }

    /// One whose watch has begun, and that was found there since.
    fn ear() -> Ear {
        Ear { begun: 1.into(), looked: 1.into(), ..Ear::default() }
    }

    #[test]
    fn both_keys_are_in_the_range_whichever_comes_first() {
        let (from, to) = (b"a".to_vec(), Some(b"b\0".to_vec()));
        let both = Range { from, to };
        assert_eq!(subject().range(), both);
        let turned = Subject { ahead: stand("a", 5), own: Some(stand("b", 7)) };
        assert_eq!(turned.range(), both);
        let alone = Subject { own: None, ..subject() };
        assert_eq!(alone.range(), Range { from: b"b".to_vec(), to: None });
    }

    #[test]
    fn the_key_that_was_there_before_is_another_one() {
        let ear = ear();
        assert!(!ear.hear(&subject(), &deleted(&[("a", 4), ("b", 4), ("ab", 9)])));
        assert!(!ear.left.load(SeqCst) && !ear.is_out.load(SeqCst));
        assert!(ear.hear(&subject(), &deleted(&[("b", 9)])));
        assert!(ear.is_sure());
    }

    #[test]
    fn a_key_is_known_by_its_creation() {
        let row = Row { key: b"b".to_vec(), value: Vec::new(), created: 5, version: 3, lease: 1 };
        assert_eq!(Stand::from(&row), stand("b", 5));
    }

    #[test]
    fn who_was_taken_out_first_or_at_the_same_time_is_not_sure() {
        for (first, then) in [
            (deleted(&[("a", 8)]), deleted(&[("b", 9)])),
            (deleted(&[("b", 9), ("a", 9)]), Vec::new()),
        ] {
            let ear = ear();
            ear.hear(&subject(), &first);
            ear.hear(&subject(), &then);
            assert!(ear.left.load(SeqCst) && !ear.is_sure(), "{first:?}");
        }
    }

    #[test]
    fn nobody_is_sure_of_what_was_in_a_gap() {
        for (begun, looked) in [(0, 0), (1, 0), (2, 1)] {
            let ear = Ear { begun: begun.into(), looked: looked.into(), ..Ear::default() };
            ear.hear(&subject(), &deleted(&[("b", 9)]));
            assert!(!ear.is_sure(), "begun {begun}, looked {looked}");
        }
    }
}
