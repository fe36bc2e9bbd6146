//! Permissions that are taken away while a lock is held or waited for.

use std::time::Duration;

use lock_conformance::time::{eventually, pause, scaled, soon};
use lock_testkit::{Etcd, EtcdVersion, Permission};
use lockcore::ErrorKind::{NotHeld, Unauthorized};
use lockcore::{BootInstant, Locks, LossCause};

use super::{CANARY, at, connect, fails, on_both, queue, quick, records, says, waiting};

#[tokio::test]
async fn who_may_not_any_more_is_refused_and_holds_while_that_is_true() {
    on_both(async |version| {
        let (server, owner, worker) = start(version).await;
        let ttl = scaled(Duration::from_secs(1));
        let held = worker.mutex("revoked").unwrap().ttl(ttl).lock().await.unwrap();
        let next = queue(&owner, "revoked").await;
        server.revoke_role("worker").await;

        let other = worker.mutex("other").unwrap();
        says(&fails("a lock", other.lock()).await, Unauthorized, &["lock", "PREFIX/"]);
        says(&fails("a try", other.try_lock()).await, Unauthorized, &["try_lock", "PREFIX/"]);
        let table = worker.rw_lock("other").unwrap();
        says(&fails("a reader", table.read()).await, Unauthorized, &["PREFIX/"]);
        let slots = worker.semaphore("other", 2).unwrap();
        says(&fails("a permit", slots.acquire()).await, Unauthorized, &["PREFIX/"]);
        says(&fails("a look", worker.inspect("other")).await, Unauthorized, &["inspect"]);

        // Its belief is true for as long as it has it: nobody else is granted the lock.
        pause(ttl * 2).await;
        assert!(!held.is_held() || !next.is_finished());
        let error = fails("the release", held.release()).await;
        assert!([Unauthorized, NotHeld].contains(&error.kind()), "{error:?}");
        super::keeps_secrets(&error);

        // Once it may again, what is left of it is cleaned up.
        server.grant_role("worker").await;
        let next = soon("the next one", next).await.unwrap().unwrap();
        next.release().await.unwrap();
        eventually("nothing is left", async || records(&server).await.is_empty()).await;
        soon("a lock", other.lock()).await.unwrap().release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_release_that_is_refused_does_not_keep_the_lock_for_ever() {
    on_both(async |version| {
        let (server, owner, worker) = start(version).await;
        let ttl = scaled(Duration::from_secs(1));
        let held = worker.mutex("stuck").unwrap().ttl(ttl).lock().await.unwrap();
        let next = queue(&owner, "stuck").await;
        server.revoke_role("worker").await;
        says(&fails("the release", held.release()).await, Unauthorized, &["release", "PREFIX/"]);
        let next = soon("the next one", next).await.unwrap().unwrap();
        next.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_held_beside_a_release_that_is_refused_ends_with_the_lease_or_goes_on() {
    let (server, owner, worker) = start(EtcdVersion::V3_7).await;
    let ttl = scaled(Duration::from_secs(2));
    let lock = async |name: &str| worker.mutex(name).unwrap().ttl(ttl).lock().await.unwrap();
    // The right comes back before the lease ends.
    let (released, beside) = (lock("released").await, lock("beside").await);
    server.revoke_role("worker").await;
    says(&fails("the release", released.release()).await, Unauthorized, &["release", "PREFIX/"]);
    let error = fails("a renewal", beside.renew()).await;
    says(&error, Unauthorized, &["renew", "may not be released"]);
    server.grant_role("worker").await;
    eventually("it is released", async || owner.inspect("released").await.unwrap().is_free()).await;
    eventually("renewals go on", async || beside.renew().await.is_ok()).await;
    pause(ttl).await;
    assert!(beside.is_held());

    // It does not.
    let released = lock("released").await;
    server.revoke_role("worker").await;
    let revoked = BootInstant::now();
    says(&fails("the release", released.release()).await, Unauthorized, &["release", "PREFIX/"]);
    let next = queue(&owner, "beside").await;
    assert_eq!(soon("its deadline", beside.lost()).await, LossCause::Expired);
    assert!(BootInstant::now() <= revoked.saturating_add(ttl) && !next.is_finished());
    soon("the next one", next).await.unwrap().unwrap().release().await.unwrap();
    eventually("nothing is left", async || records(&server).await.is_empty()).await;
}

#[tokio::test]
async fn a_waiter_who_may_not_any_more_is_told_and_does_not_stay_in_the_way() {
    on_both(async |version| {
        let (server, owner, worker) = start(version).await;
        let held = owner.mutex("queue").unwrap().lock().await.unwrap();
        let mutex = worker.mutex("queue").unwrap().ttl(scaled(Duration::from_secs(1)));
        let waiter = tokio::spawn(async move { mutex.lock().await });
        waiting(&owner, "queue", 1).await;
        server.revoke_role("worker").await;
        let error = fails("the waiter", async { waiter.await.unwrap() }).await;
        says(&error, Unauthorized, &["lock", "PREFIX/"]);
        held.release().await.unwrap();
        let next = soon("the next one", owner.mutex("queue").unwrap().lock()).await.unwrap();
        next.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_user_who_is_removed_is_told_in_time() {
    on_both(async |version| {
        let (server, owner, worker) = start(version).await;
        let ttl = scaled(Duration::from_secs(1));
        let held = worker.mutex("removed").unwrap().ttl(ttl).lock().await.unwrap();
        let next = queue(&owner, "removed").await;
        server.remove_user("worker").await;
        let error = fails("a lock", worker.mutex("other").unwrap().try_lock()).await;
        says(&error, Unauthorized, &["try_lock", "user"]);
        assert!(!held.is_held() || !next.is_finished());
        let error = fails("the release", held.release()).await;
        assert!([Unauthorized, NotHeld].contains(&error.kind()), "{error:?}");
        let next = soon("the next one", next).await.unwrap().unwrap();
        next.release().await.unwrap();
    })
    .await;
}

async fn start(version: EtcdVersion) -> (Etcd, Locks, Locks) {
    let rights = [("leasehold/", Permission::ReadWrite)];
    let options = quick(version).user("worker", CANARY, &rights).user("owner", CANARY, &rights);
    let server = options.start().await;
    let owner = connect(at(&server).login("owner", CANARY)).await;
    let worker = connect(at(&server).login("worker", CANARY)).await;
    (server, owner, worker)
}
