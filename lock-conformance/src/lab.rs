//! What the tests of drivers do with locks while something is broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use lockcore::{BootInstant, Error, ErrorKind, Guard, Locks, LossCause, Mutex, Result};
use tokio::task::JoinSet;

use crate::history::{Belief, History};
use crate::time::{pause, soon};

/// Waits for the lock through errors of a broken link, and of a place that ended meanwhile.
///
/// # Panics
///
/// At any other error.
pub async fn take(mutex: &Mutex) -> Guard {
    loop {
        match mutex.lock().await {
            Ok(guard) => return guard,
            Err(error) if error.is_transient() || error.kind() == ErrorKind::Lost => {
                pause(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Believes in a lock until `until` is there or the lock is lost, and notes it.
///
/// The end of a lost belief is the last instant at which it was seen: sound, however late the
/// runtime is.
pub async fn believe(
    guard: &Guard,
    history: &History,
    until: impl Future<Output = ()>,
) -> Option<LossCause> {
    let from = BootInstant::now();
    let mut to = None;
    tokio::pin!(until);
    let lost = loop {
        // Read before the question: who holds it afterwards held it then.
        let now = BootInstant::now();
        if !guard.is_held() {
            break Some(guard.lost().await);
        }
        to = Some(now);
        tokio::select! {
            () = &mut until => break None,
            () = pause(Duration::from_millis(2)) => {}
        }
    };
    if let Some(to) = to {
        history.note(Belief { mode: guard.mode(), token: guard.token(), from, to });
    }
    lost
}

/// A process that holds a lock: reports its token, or how it failed, and does what it is told.
///
/// # Panics
///
/// At a command that it does not know, or if it is told to release twice.
pub async fn holder(
    lock: &Mutex,
    report: impl Fn(&str),
    mut commands: impl AsyncFnMut() -> Option<String>,
) {
    report("ready");
    let mut guard = match lock.lock().await {
        Ok(guard) => {
            report(&format!("granted {}", guard.token()));
            Some(guard)
        }
        Err(error) => return report(&format!("failed {:?}", error.kind())),
    };
    while let Some(command) = commands().await {
        match command.as_str() {
            "is_held" => report(&guard.as_ref().is_some_and(Guard::is_held).to_string()),
            "release" => {
                let guard = guard.take().expect("it was not released before");
                report(kind(&guard.release().await));
            }
            other => panic!("no command {other:?}"),
        }
    }
}

/// A process that sends one task into the queue for each number that it hears; each reports its
/// number, its token and when it was granted, and gives the lock back.
pub async fn crowd(
    lock: &Mutex,
    report: impl Fn(&str) + Send + Sync + 'static,
    mut commands: impl AsyncFnMut() -> Option<String>,
) {
    let report = Arc::new(report);
    report("ready");
    while let Some(number) = commands().await {
        let (report, lock) = (report.clone(), lock.clone());
        tokio::spawn(async move {
            match lock.lock().await {
                Ok(guard) => {
                    let granted = BootInstant::now().as_nanos();
                    report(&format!("{number} {} {granted}", guard.token()));
                    guard.release().await.expect("it is held");
                }
                Err(error) => report(&format!("{number} failed: {error}")),
            }
        });
    }
}

fn kind<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) if error.kind() == ErrorKind::NotHeld => "not_held",
        Err(_) => "failed",
    }
}

/// Locks that are taken all the time: by each client one of its own, and one that all want.
#[derive(Debug)]
pub struct Traffic {
    tasks: JoinSet<Vec<String>>,
    over: Arc<AtomicBool>,
    grants: Arc<AtomicUsize>,
}

impl Traffic {
    /// Traffic of these clients, from now on.
    #[must_use]
    pub fn of(clients: &[Locks]) -> Self {
        let (over, grants) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for (number, locks) in clients.iter().enumerate() {
            let own = locks.mutex(format!("own-{number}")).expect("a name");
            let common = locks.mutex("common").expect("a name");
            tasks.spawn(traffic(own, common, over.clone(), grants.clone()));
        }
        Self { tasks, over, grants }
    }

    /// Waits for so many grants more, for `limit` at the most, and returns how long that took.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub async fn goes_on(&self, more: usize, limit: Duration) -> Duration {
        let (now, begun) = (self.grants.load(SeqCst), BootInstant::now());
        while self.grants.load(SeqCst) < now + more {
            assert!(begun.elapsed() < limit, "no locks are granted for {limit:?}");
            pause(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    /// Ends it, and returns the errors that there were.
    ///
    /// # Panics
    ///
    /// If a client met an error that is neither passing nor a loss.
    pub async fn ends(mut self) -> Vec<String> {
        self.over.store(true, SeqCst);
        let mut errors = Vec::new();
        while let Some(task) = soon("the traffic ends", self.tasks.join_next()).await {
            errors.append(&mut task.expect("a known error"));
        }
        errors
    }
}

async fn traffic(
    own: Mutex,
    common: Mutex,
    over: Arc<AtomicBool>,
    grants: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut errors = Vec::new();
    while !over.load(SeqCst) {
        let begun = BootInstant::now();
        let mut note = |what: &str, error: Error| {
            let is_known = error.is_transient() || error.loss_cause().is_some();
            assert!(is_known, "{what}: {error}");
            errors.push(format!("{what} after {:?}: {error}", begun.elapsed()));
        };
        match own.try_lock().await {
            Ok(Some(guard)) => {
                grants.fetch_add(1, SeqCst);
                if let Err(error) = guard.release().await {
                    note("release of a try", error);
                }
            }
            Ok(None) => {}
            Err(error) => note("try", error),
        }
        match common.lock().await {
            Ok(guard) => {
                grants.fetch_add(1, SeqCst);
                if let Err(error) = guard.release().await {
                    note("release", error);
                }
            }
            Err(error) => note("lock", error),
        }
    }
    errors
}
