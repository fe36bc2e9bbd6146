//! What users, servers and neighbours can get wrong, and what the driver says to it.
//!
//! Servers are real, and looked into past the driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod credentials;
mod etcdctl;
mod foreign_keys;
mod full;
mod names;
mod neighbours;
mod options;
mod permissions;
mod prefixes;
mod reach;
mod revoked;
#[path = "../shared/role.rs"]
mod role;
mod tls;
mod while_held;

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use lock_conformance::error_text;
use lock_conformance::time::{eventually, scaled, soon};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdOptions, EtcdVersion};
use lockcore::{Error, ErrorKind, Guard, Locks, Result};
use tokio::task::JoinHandle;

/// A password that no message may show.
const CANARY: &str = "c4nary-7f31e9";

/// An etcd without users.
async fn server() -> Etcd {
    quick(EtcdVersion::V3_7).start().await
}

/// Does the same with both versions at a time: most of it is waiting.
async fn on_both(test: impl AsyncFn(EtcdVersion)) {
    tokio::join!(test(EtcdVersion::V3_4), test(EtcdVersion::V3_7));
}

/// One that is up soon, and takes leases of a second.
fn quick(version: EtcdVersion) -> EtcdOptions {
    let options = Etcd::options(version).unsafe_no_fsync();
    options.election(Duration::from_millis(20), Duration::from_millis(200))
}

fn at(server: &Etcd) -> EtcdConfig {
    EtcdConfig::new([("127.0.0.1", server.port())])
}

async fn connect(config: EtcdConfig) -> Locks {
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

/// What stands there of the locks of the usual prefix: not the epochs of sessions.
async fn records(server: &Etcd) -> Vec<String> {
    let keys = server.keys("leasehold/").await.into_iter().map(|key| key.key);
    keys.filter(|key| !key.starts_with("leasehold/~/")).collect()
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
