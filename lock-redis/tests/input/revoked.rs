//! Credentials that are taken away while a lock is held.

use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::Redis;
use lockcore::ErrorKind::{Indeterminate, NotHeld, Unauthorized};
use lockcore::{BootInstant, LossCause};

use super::{CANARY, at, connect, fails, run, says, server, waiting};

#[tokio::test]
async fn a_holder_whose_user_is_turned_off_believes_until_its_deadline() {
    let server = server().await;
    recover(&server).await;
    is_lost_in_time(&server, &["off"]).await;
}

#[tokio::test]
async fn a_holder_whose_password_is_changed_believes_until_its_deadline() {
    let server = server().await;
    recover(&server).await;
    is_lost_in_time(&server, &["resetpass", ">another"]).await;
}

#[tokio::test]
async fn a_holder_whose_keys_are_taken_away_believes_until_its_deadline() {
    let server = server().await;
    recover(&server).await;
    // No connection ends by that: what is refused are the commands.
    is_lost_in_time(&server, &["resetkeys", "~other:*"]).await;
}

#[tokio::test]
async fn a_waiter_whose_user_is_turned_off_is_told() {
    let server = server().await;
    recover(&server).await;
    let holder = connect(at(&server)).await;
    let held = holder.mutex("revoked").unwrap().lock().await.unwrap();
    let locks = connect(at(&server).login(Some("worker"), CANARY)).await;
    let mutex = locks.mutex("revoked").unwrap().ttl(scaled(Duration::from_millis(1_500)));
    let waiter = tokio::spawn(async move { mutex.lock().await });
    waiting(&holder, "revoked", 1).await;
    revoke(&server, &["off"]).await;
    let error = soon("the waiter hears it", waiter).await.unwrap().unwrap_err();
    says(&error, Unauthorized, &["lock", "user"]);
    held.release().await.unwrap();
    // Its place in the queue does not live longer than its TTL.
    let next = soon("the next one", holder.mutex("revoked").unwrap().lock()).await.unwrap();
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_listen_any_more_does_not_wait_unheard() {
    let server = server().await;
    recover(&server).await;
    let holder = connect(at(&server)).await;
    let held = holder.mutex("revoked").unwrap().lock().await.unwrap();
    let locks = connect(at(&server).login(Some("worker"), CANARY)).await;
    revoke(&server, &["resetchannels"]).await;
    eventually("those who would wait are refused", async || {
        let mutex = locks.mutex("revoked").unwrap();
        let Err(error) = mutex.try_lock_for(Duration::from_millis(1)).await else { return false };
        says(&error, Unauthorized, &["&PREFIX:wake:*"]);
        true
    })
    .await;
    // Every one of them is, and none is queued where no word reaches it.
    for _ in 0..8 {
        let mutex = locks.mutex("revoked").unwrap();
        let error = fails("a waiter", mutex.try_lock_for(Duration::from_secs(1))).await;
        says(&error, Unauthorized, &["&PREFIX:wake:*"]);
    }
    recover(&server).await;
    let mutex = locks.mutex("revoked").unwrap();
    eventually("the client listens again", async || {
        mutex.try_lock_for(Duration::from_millis(1)).await.is_ok()
    })
    .await;
    let waiter = tokio::spawn(async move { mutex.lock().await });
    waiting(&holder, "revoked", 1).await;
    held.release().await.unwrap();
    soon("the waiter's turn", waiter).await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn who_fails_half_way_for_want_of_a_permission_leaves_nothing() {
    let server = server().await;
    recover(&server).await;
    let holder = connect(at(&server)).await;
    let held = holder.mutex("revoked").unwrap().lock().await.unwrap();
    let locks = connect(at(&server).login(Some("worker"), CANARY)).await;
    // What comes late in the script, after the entry was written.
    run(&server, &["ACL", "SETUSER", "worker", "-zrank"]).await;
    let mutex = locks.mutex("revoked").unwrap();
    let error = fails("a waiter", mutex.lock()).await;
    says(&error, Unauthorized, &["lock", "lacks a permission"]);
    assert!(holder.inspect("revoked").await.unwrap().waiters().is_empty());
    held.release().await.unwrap();
    // Nothing of it was granted the lock.
    assert!(holder.inspect("revoked").await.unwrap().is_free());
}

async fn is_lost_in_time(server: &Redis, rules: &[&str]) {
    let locks = connect(at(server).login(Some("worker"), CANARY)).await;
    let ttl = scaled(Duration::from_secs(2));
    let guard = locks.mutex("revoked").unwrap().ttl(ttl).lock().await.unwrap();
    revoke(server, rules).await;
    // A renewal that was under way may have come first.
    let limit = BootInstant::now().saturating_add(ttl);
    eventually("a renewal is refused", async || {
        let error = fails("a renewal", guard.renew()).await;
        // The first one may find that its connection has ended.
        assert!([Indeterminate, Unauthorized].contains(&error.kind()), "{error:?}");
        error.kind() == Unauthorized
    })
    .await;
    assert!(guard.is_held(), "a refusal is no loss");
    let error = fails("a lock", locks.mutex("other").unwrap().lock()).await;
    says(&error, Unauthorized, &["lock"]);
    says(&fails("a look", locks.inspect("other")).await, Unauthorized, &["inspect"]);
    assert_eq!(soon("the deadline", guard.lost()).await, LossCause::Expired);
    assert!(BootInstant::now() <= limit, "the belief did not outlive the TTL");
    says(&fails("the release", guard.release()).await, NotHeld, &["release"]);

    recover(server).await;
    let mutex = locks.mutex("revoked").unwrap();
    let guard = soon("the credentials are back", mutex.lock()).await.unwrap();
    guard.renew().await.unwrap();
    guard.release().await.unwrap();
}

/// Changes the user, and ends its connections, as the server does not do by itself.
async fn revoke(server: &Redis, rules: &[&str]) {
    run(server, &[&["ACL", "SETUSER", "worker"], rules].concat()).await;
    run(server, &["CLIENT", "KILL", "USER", "worker"]).await;
}

async fn recover(server: &Redis) {
    let password = format!(">{CANARY}");
    let rules = ["ACL", "SETUSER", "worker", "reset", "on", &password, "~*", "&*", "+@all"];
    run(server, &rules).await;
}
