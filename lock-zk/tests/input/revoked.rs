//! Rights that are taken away while a lock is held or waited for.

use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::ZkAcl;
use lockcore::ErrorKind::{Indeterminate, NotHeld, Unauthorized};
use lockcore::Locks;

use super::credentials::are_refused;
use super::{CANARY, Stage, connect, fails, says};

#[tokio::test]
async fn who_may_not_any_more_is_refused_and_holds_until_then() {
    let (stage, owner, worker) = start().await;
    let held = worker.mutex("revoked").unwrap().ttl(ttl()).lock().await.unwrap();
    take_away(&stage).await;
    are_refused(&worker, "revoked").await;
    // Its session is its own, and nobody else is granted the lock.
    held.renew().await.unwrap();
    let mutex = owner.mutex("revoked").unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert!(held.is_held());
    give_back(&stage).await;
    held.release().await.unwrap();
    soon("the next one", mutex.lock()).await.unwrap().release().await.unwrap();
}

/// Its session ends instead.
#[tokio::test]
async fn a_release_that_is_refused_does_not_keep_the_lock_for_ever() {
    let (stage, owner, worker) = start().await;
    let held = worker.mutex("revoked").unwrap().ttl(ttl()).lock().await.unwrap();
    take_away(&stage).await;
    let mutex = owner.mutex("revoked").unwrap();
    let next = tokio::spawn(async move { mutex.lock().await });
    says(&fails("the release", held.release()).await, Unauthorized, &["release", "ACL"]);
    soon("the next one", next).await.unwrap().unwrap().release().await.unwrap();
    eventually("nothing is left", async || stage.records().await.is_empty()).await;
}

/// As it is after `drop`, of whom nobody hears.
#[tokio::test]
async fn a_drop_that_is_refused_does_not_keep_the_lock_for_ever() {
    let (stage, owner, worker) = start().await;
    let held = worker.mutex("revoked").unwrap().ttl(ttl()).lock().await.unwrap();
    take_away(&stage).await;
    drop(held);
    let next = soon("the next one", owner.mutex("revoked").unwrap().lock()).await.unwrap();
    next.release().await.unwrap();
    eventually("nothing is left", async || stage.records().await.is_empty()).await;
}

#[tokio::test]
async fn what_is_held_beside_a_release_that_is_refused_goes_on_if_the_right_comes_back() {
    let (stage, owner, worker) = start().await;
    // Long enough for the release to be tried again before a renewal is due.
    let ttl = scaled(Duration::from_secs(10));
    let lock = async |name: &str| worker.mutex(name).unwrap().ttl(ttl).lock().await.unwrap();
    let (released, beside) = (lock("revoked").await, lock("beside").await);
    take_away(&stage).await;
    says(&fails("the release", released.release()).await, Unauthorized, &["release", "ACL"]);
    give_back(&stage).await;
    // While it stands there, what it says is for its own user.
    eventually("it is released", async || {
        owner.inspect("revoked").await.is_ok_and(|seen| seen.is_free())
    })
    .await;
    eventually("renewals go on", async || beside.renew().await.is_ok()).await;
    assert!(beside.is_held());
    beside.release().await.unwrap();
}

#[tokio::test]
async fn a_waiter_who_may_not_any_more_does_not_stay_in_the_way() {
    let (stage, owner, worker) = start().await;
    let held = owner.mutex("revoked").unwrap().lock().await.unwrap();
    let mutex = worker.mutex("revoked").unwrap().ttl(ttl());
    let waiter = tokio::spawn(async move { mutex.lock().await });
    // What a waiter has written is for its own user.
    eventually("it waits", async || stage.records().await.len() == 2).await;
    take_away(&stage).await;
    held.release().await.unwrap();
    // It has its turn if it need not look for it, and then it cannot give the lock back.
    let error = match soon("the waiter hears it", waiter).await.unwrap() {
        Ok(guard) => fails("the release", guard.release()).await,
        Err(error) => error,
    };
    says(&error, Unauthorized, &["ACL"]);
    let next = soon("the next one", owner.mutex("revoked").unwrap().lock()).await.unwrap();
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_that_is_refused_ends_in_time_and_leaves_nothing() {
    let (stage, owner, worker) = start().await;
    let held = worker.mutex("revoked").unwrap().ttl(ttl()).lock().await.unwrap();
    take_away(&stage).await;
    drop(held);
    // What it says is what it knows.
    if let Err(error) = soon("its end", worker.shutdown()).await {
        assert!([Indeterminate, NotHeld, Unauthorized].contains(&error.kind()), "{error:?}");
    }
    let next = soon("the next one", owner.mutex("revoked").unwrap().lock()).await.unwrap();
    next.release().await.unwrap();
    eventually("nothing is left", async || stage.records().await.is_empty()).await;
}

async fn start() -> (Stage, Locks, Locks) {
    let stage = Stage::new().await;
    stage.make("revoked").await;
    // Users who share a prefix need what the first of them would make for itself.
    stage.make("~").await;
    let config = |user: &str| stage.config().login(user, CANARY);
    let (owner, worker) = (connect(config("owner")).await, connect(config("worker")).await);
    give_back(&stage).await;
    (stage, owner, worker)
}

async fn take_away(stage: &Stage) {
    let acl = [ZkAcl::user("owner", CANARY, ZkAcl::ALL)];
    assert!(stage.server.set_acl(&stage.at("revoked"), &acl).await);
}

async fn give_back(stage: &Stage) {
    let acl = ["owner", "worker"].map(|user| ZkAcl::user(user, CANARY, ZkAcl::ALL));
    assert!(stage.server.set_acl(&stage.at("revoked"), &acl).await);
}

fn ttl() -> Duration {
    scaled(Duration::from_secs(1))
}
