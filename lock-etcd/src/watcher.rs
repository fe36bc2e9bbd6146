//! Notifications: one stream for all who wait.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use crate::client::{Client, WatchEvent, Watches};

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
    /// Whether a key that was watched is gone, as opposed to a gap that may hide that.
    pub(crate) left: AtomicBool,
    /// Whether the server has answered.
    pub(crate) has_heard: AtomicBool,
    /// Whether the server refused to watch.
    pub(crate) is_deaf: AtomicBool,
}

/// A key that is watched, until this is dropped.
pub(crate) struct Watching {
    id: i64,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Watch { id: i64, key: Vec<u8>, ear: Weak<Ear> },
    Forget { id: i64 },
    Reopen,
}

struct Watched {
    key: Vec<u8>,
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

    /// Watches `key` from now on. The ear is told when that has begun, and when the key is deleted.
    pub(crate) fn watch(&self, key: Vec<u8>, ear: &Arc<Ear>) -> Watching {
        let id = self.ids.fetch_add(1, SeqCst);
        let commands = self.commands.clone();
        // If the task is gone, so is the client's runtime: nobody waits any more.
        let _ = commands.send(Command::Watch { id, key, ear: Arc::downgrade(ear) });
        Watching { id, commands }
    }

    /// The stream is silent where it should not be: opens another one.
    pub(crate) fn reopen(&self) {
        let _ = self.commands.send(Command::Reopen);
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
            Command::Watch { id, key, ear } => {
                let done = match &mut self.stream {
                    Some(stream) => stream.add(id, &key).await.is_ok(),
                    None => {
                        // What was given up before does not matter to a stream that is new.
                        self.generation.mark_unchanged();
                        let opened = self.client.watch(id, &key).await;
                        self.stream = opened.ok();
                        self.stream.is_some()
                    }
                };
                self.watched.insert(id, Watched { key, ear });
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
        if id < 0 && event == WatchEvent::Ended {
            // It refused to watch, and does not say what: one of those that have not begun.
            let has_heard = |watched: &Watched| {
                watched.ear.upgrade().is_some_and(|ear| ear.has_heard.load(SeqCst))
            };
            let refused = self.watched.iter().filter(|(_, watched)| !has_heard(watched));
            for id in refused.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.hear(id, event);
            }
            return;
        }
        let Some(ear) = self.watched.get(&id).and_then(|watched| watched.ear.upgrade()) else {
            return;
        };
        match event {
            WatchEvent::Created => {}
            WatchEvent::Deleted => ear.left.store(true, SeqCst),
            WatchEvent::Ended => {
                self.watched.remove(&id);
                ear.is_deaf.store(true, SeqCst);
            }
            WatchEvent::Nothing => return,
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
                        Some(Command::Watch { id, key, ear }) => {
                            self.watched.insert(id, Watched { key, ear });
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
                    if stream.add(*id, &watched.key).await.is_err() {
                        return false;
                    }
                }
                None => match self.client.watch(*id, &watched.key).await {
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
