//! What users, servers and neighbours can get wrong, and what the driver says to it.
//!
//! Servers are real, and looked into past the driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acl;
mod credentials;
mod failover;
mod foreign_types;
mod full;
mod inspect;
mod names;
mod neighbours;
mod options;
mod python;
mod reach;
mod revoked;
#[path = "../shared/rules.rs"]
mod rules;
mod tls;

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use lock_conformance::error_text;
use lock_conformance::time::{eventually, scaled, soon};
use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Redis, RedisOptions, Value};
use lockcore::{Error, ErrorKind, Locks, Result};

/// A password that no message may show.
const CANARY: &str = "c4nary-7f31e9";

/// A Redis without any option.
async fn server() -> Redis {
    RedisOptions::new(Flavour::Redis).start().await
}

fn at(server: &Redis) -> RedisConfig {
    RedisConfig::single("127.0.0.1", server.port())
}

async fn connect(config: RedisConfig) -> Locks {
    Locks::new(config.connect().await.unwrap())
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

/// All keys of the server, in order.
async fn keys(server: &Redis) -> Vec<String> {
    let listed = server.resp().await.command(&["KEYS", "*"]).await;
    let listed = listed.as_slice().unwrap();
    let mut keys: Vec<_> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    keys.sort_unstable();
    keys
}

/// Runs a command that has to succeed.
async fn run(server: &Redis, command: &[&str]) -> Value {
    let reply = server.resp().await.command(command).await;
    assert_eq!(reply.as_error(), None, "{command:?}");
    reply
}

/// Waits until so many wait for `name`.
async fn waiting(locks: &Locks, name: &str, count: usize) {
    eventually("so many wait", async || {
        locks.inspect(name).await.unwrap().waiters().len() == count
    })
    .await;
}

/// Half a second more than a request may take.
const LIMIT: Duration = Duration::from_millis(2_500);
