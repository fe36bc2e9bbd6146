//! What users, servers and neighbours can get wrong, and what the driver says to it.
//!
//! Servers are real, and looked into past the driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod credentials;
mod foreign_nodes;
mod limits;
mod names;
mod neighbours;
mod options;
mod reach;
mod revoked;
#[path = "../shared/rights.rs"]
mod rights;
mod tls;
mod while_held;

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lock_conformance::error_text;
use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::{Zk, ZkMode};
use lock_zk::ZkConfig;
use lockcore::{Error, ErrorKind, Guard, Locks, Result};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// A password that no message may show.
const CANARY: &str = "c4nary-7f31e9";

/// A part of a server that other tests have other parts of.
struct Stage {
    server: Arc<Zk>,
    prefix: String,
}

impl Stage {
    async fn new() -> Self {
        // Whoever is the last to leave it stops it: statics are not dropped.
        static SHARED: Mutex<Weak<Zk>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        let server = match shared.upgrade() {
            Some(server) => server,
            None => Arc::new(Zk::start().await),
        };
        *shared = Arc::downgrade(&server);
        Self { server, prefix: format!("test-{:016x}", fastrand::u64(..)) }
    }

    fn config(&self) -> ZkConfig {
        at(&self.server).prefix(self.prefix.as_str()).unwrap()
    }

    async fn connect(&self) -> Locks {
        connect(self.config()).await
    }

    /// Where a node of the name, or the name itself, stands.
    fn at(&self, below: &str) -> String {
        format!("/{}/{below}", self.prefix)
    }

    /// Makes a directory with all above it, as other programs do: it stays.
    async fn make(&self, directory: &str) {
        let path = self.at(directory);
        let path = path.trim_end_matches('/');
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            if self.server.stat(&path[..end]).await.is_none() {
                self.server.create(&path[..end], "", ZkMode::Persistent).await;
            }
        }
    }

    /// What stands there of locks, below the directories.
    async fn records(&self) -> Vec<String> {
        records(&self.server, &self.prefix).await
    }
}

async fn records(server: &Zk, prefix: &str) -> Vec<String> {
    let top = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let tree = server.tree(if top.is_empty() { "/" } else { &top }).await.into_iter();
    tree.filter(|path| path[top.len()..].matches('/').count() == 2).collect()
}

fn at(server: &Zk) -> ZkConfig {
    ZkConfig::new([("127.0.0.1", server.port())])
}

async fn connect(config: ZkConfig) -> Locks {
    Locks::new(soon("connecting", config.connect()).await.unwrap())
}

/// The error of a call that has to fail, and to do so within the patience for one request.
async fn fails<T: Debug>(what: &str, call: impl Future<Output = Result<T>>) -> Error {
    fails_within(LIMIT, what, call).await
}

async fn fails_within<T: Debug>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T>>,
) -> Error {
    let start = Instant::now();
    let error = match soon(what, call).await {
        Ok(value) => panic!("{what}: no error but {value:?}"),
        Err(error) => error,
    };
    let took = start.elapsed();
    assert!(took <= scaled(limit), "{what}: only after {took:?}: {error}");
    keeps_secrets(&error);
    error
}

/// Neither the error nor what caused it shows a password.
#[track_caller]
fn keeps_secrets(error: &Error) {
    let text = error_text(error);
    assert!(!text.contains(CANARY), "a password is shown: {text}");
}

/// The error is of this kind, and its message names what would mend it.
#[track_caller]
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "no `{word}` in: {error}\n{error:?}");
    }
}

/// Waits until so many wait for `name`.
async fn waiting(locks: &Locks, name: &str, count: usize) {
    eventually("so many wait", async || {
        locks.inspect(name).await.unwrap().waiters().len() == count
    })
    .await;
}

/// Queues for a mutex, behind all who queued before.
async fn queue(locks: &Locks, name: &str) -> JoinHandle<Result<Guard>> {
    let before = locks.inspect(name).await.unwrap().waiters().len();
    let mutex = locks.mutex(name).unwrap();
    let waiter = tokio::spawn(async move { mutex.lock().await });
    waiting(locks, name, before + 1).await;
    waiter
}

/// The waiter's turn, which comes so soon that no look from time to time can be what told it.
async fn turn(what: &str, waiter: JoinHandle<Result<Guard>>) -> Guard {
    let start = Instant::now();
    let guard = soon(what, waiter).await.unwrap().unwrap();
    let took = start.elapsed();
    assert!(took < scaled(Duration::from_secs(1)), "{what}: only after {took:?}");
    guard
}

/// Half a second more than a request may take.
const LIMIT: Duration = Duration::from_millis(2_500);
