//! Passwords that are given to `connect` and to configurations, and what may show them.
#![cfg(all(feature = "etcd", feature = "redis", feature = "zk"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod etcd;
mod redis;
mod watch;
mod zk;

use std::fmt::Debug;

use leasehold::{Guard, Locks, Result, connect};
use lock_conformance::time::{eventually, soon};
use watch::Canary;

/// Each of these URLs is refused, and none is repeated.
async fn are_refused(canary: &Canary, urls: &[String]) {
    for url in urls {
        match connect(url).await {
            Err(error) => canary.is_not_in_error(&error),
            Ok(locks) => panic!("{url}: {locks:?}"),
        }
    }
}

/// What a password was given to does not print it.
#[track_caller]
fn is_not_printed(canary: &Canary, what: &dyn Debug) {
    canary.is_not_in(&format!("{what:?} {what:#?}"));
}

/// A lock is held, handed over and looked at; and nothing of that prints the password.
async fn work(canary: &Canary, one: &Locks, other: &Locks) -> Guard {
    let mutex = one.mutex("canary").unwrap();
    let guard = mutex.lock().await.unwrap();
    let waiting = other.mutex("canary").unwrap();
    let queued = tokio::spawn(async move { waiting.lock().await });
    eventually("it waits", async || one.inspect("canary").await.unwrap().waiters().len() == 1)
        .await;
    is_not_printed(canary, &(one, &mutex, &guard, one.inspect("canary").await.unwrap()));
    guard.renew().await.unwrap();
    guard.release().await.unwrap();
    soon("the waiter's turn", queued).await.unwrap().unwrap()
}

/// What fails, now that the user may not any more, says so and no more than that.
async fn fails_quietly(canary: &Canary, locks: &Locks, guard: Guard) {
    is_quiet(canary, guard.renew().await);
    eventually("it is refused", async || {
        let tried = locks.mutex("other").unwrap().try_lock().await;
        let failed = tried.is_err();
        is_quiet(canary, tried);
        failed
    })
    .await;
    is_quiet(canary, locks.inspect("canary").await);
    is_not_printed(canary, &(&guard, locks));
    is_quiet(canary, guard.release().await);
    is_quiet(canary, locks.shutdown().await);
}

#[track_caller]
fn is_quiet<T>(canary: &Canary, result: Result<T>) {
    if let Err(error) = result {
        canary.is_not_in_error(&error);
    }
}
