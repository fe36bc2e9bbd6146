//! Users that are refused, and logins that the server forgets.

use std::time::Duration;

use lock_conformance::time::{pause, scaled, soon};
use lock_testkit::{Etcd, EtcdOptions, EtcdVersion, Permission};
use lockcore::ErrorKind::{InvalidConfig, Lost, NotHeld, Unauthorized};
use lockcore::{BootInstant, LossCause};

use super::{CANARY, at, connect, fails, on_both, queue, quick, says, server, turn};

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_at_connect() {
    on_both(async |version| {
        let server = quick(version).user("worker", "right", RIGHTS).start().await;
        let error = fails("a wrong password", at(&server).login("worker", CANARY).connect()).await;
        says(&error, Unauthorized, &["connect", "password"]);
        let error = fails("an unknown user", at(&server).login("nobody", CANARY).connect()).await;
        says(&error, Unauthorized, &["connect", "user"]);
        // Without either, they are told how to give them.
        let error = fails("no user", at(&server).connect()).await;
        says(&error, Unauthorized, &["connect", "wants a user", "login"]);
        // Neither of them left a lease.
        assert!(server.leases().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_login_that_nobody_asked_for_is_refused_by_name() {
    let server = server().await;
    let error = fails("a login", at(&server).login("worker", CANARY).connect()).await;
    says(&error, InvalidConfig, &["connect", "no authentication", "leave"]);
}

#[tokio::test]
async fn odd_users_and_passwords_are_taken_as_they_are() {
    let odd = "p@ss:/?#[]%41 \u{e9}\u{1f512}\"'\\";
    let server = quick(EtcdVersion::V3_7).user("w@rk:er/é", odd, RIGHTS).start().await;
    let locks = connect(at(&server).login("w@rk:er/é", odd)).await;
    locks.mutex("odd").unwrap().lock().await.unwrap().release().await.unwrap();
    for (user, password) in [("", ""), ("", CANARY), ("w@rk:er/é", "")] {
        let error = fails("an empty one", at(&server).login(user, password).connect()).await;
        says(&error, Unauthorized, &["connect"]);
    }
}

#[tokio::test]
async fn a_client_and_its_locks_do_not_print_its_password() {
    let server = with_worker(quick(EtcdVersion::V3_7)).await;
    let lock = at(&server).login("worker", CANARY).connect().await.unwrap();
    let locks = lockcore::Locks::new(lock.clone());
    let mutex = locks.mutex("printed").unwrap();
    let guard = mutex.lock().await.unwrap();
    let picture = locks.inspect("printed").await.unwrap();
    let compare = lock.while_held(guard.token()).unwrap();
    let text = format!("{lock:#?} {locks:?} {mutex:?} {guard:#?} {picture:?} {compare:?}");
    assert!(!text.contains(CANARY), "{text}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn who_holds_and_waits_does_not_notice_that_logins_were_made_void() {
    on_both(async |version| {
        let server = with_worker(quick(version)).await;
        let (holder, waiter) = (as_worker(&server).await, as_worker(&server).await);
        let held = holder.mutex("void").unwrap().lock().await.unwrap();
        let queued = queue(&waiter, "void").await;
        // It is the same password.
        server.change_password("worker", CANARY).await;
        held.renew().await.unwrap();
        for locks in [&holder, &waiter] {
            locks.mutex("other").unwrap().lock().await.unwrap().release().await.unwrap();
            assert_eq!(locks.inspect("void").await.unwrap().waiters().len(), 1);
        }
        server.change_password("worker", CANARY).await;
        held.release().await.unwrap();
        let next = turn("the waiter's turn", queued).await;
        server.change_password("worker", CANARY).await;
        next.release().await.unwrap();
    })
    .await;
}

/// The stream of notifications keeps the login that it was opened with.
#[tokio::test]
async fn who_queues_after_logins_were_made_void_is_woken() {
    on_both(async |version| {
        let server = with_worker(quick(version)).await;
        let (holder, waiter) = (as_worker(&server).await, as_worker(&server).await);
        let first = holder.mutex("first").unwrap().lock().await.unwrap();
        let second = holder.mutex("second").unwrap().lock().await.unwrap();
        let opens_the_stream = queue(&waiter, "first").await;
        server.change_password("worker", CANARY).await;
        let adds_to_it = queue(&waiter, "second").await;
        // No longer than a look from time to time would take.
        pause(scaled(Duration::from_millis(500))).await;
        second.release().await.unwrap();
        turn("the second's turn", adds_to_it).await.release().await.unwrap();
        first.release().await.unwrap();
        turn("the first's turn", opens_the_stream).await.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_password_that_was_changed_is_told_and_ends_beliefs_in_time() {
    on_both(async |version| {
        let server = with_worker(quick(version)).await;
        let (holder, waiter) = (as_worker(&server).await, as_worker(&server).await);
        let ttl = scaled(Duration::from_secs(2));
        let held = holder.mutex("changed").unwrap().ttl(ttl).lock().await.unwrap();
        let mutex = waiter.mutex("changed").unwrap().ttl(ttl);
        let queued = tokio::spawn(async move { mutex.lock().await });
        super::waiting(&holder, "changed", 1).await;
        server.change_password("worker", "another").await;
        let changed = BootInstant::now();

        let error = fails("a lock", holder.mutex("other").unwrap().try_lock()).await;
        says(&error, Unauthorized, &["try_lock", "password"]);
        says(&fails("a look", holder.inspect("other")).await, Unauthorized, &["inspect"]);
        let error = soon("the waiter hears it", queued).await.unwrap().unwrap_err();
        super::keeps_secrets(&error);
        assert!([Unauthorized, Lost].contains(&error.kind()), "{error:?}");
        // The stream of renewals may go on with the login that it was opened with: then the holder
        // holds. If it does not, belief ends before the server's does.
        if !held.is_held() {
            assert_eq!(held.lost().await, LossCause::Expired);
            assert!(BootInstant::now() <= changed.saturating_add(ttl * 2));
        }
        let error = fails("the release", held.release()).await;
        assert!([Unauthorized, NotHeld].contains(&error.kind()), "{error:?}");

        server.change_password("worker", CANARY).await;
        let mutex = holder.mutex("changed").unwrap();
        let next = soon("the password is back", mutex.lock()).await.unwrap();
        next.release().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn logins_that_expire_are_renewed_unseen() {
    on_both(async |version| {
        let options = quick(version).simple_token_ttl(Duration::from_secs(1));
        let server = with_worker(options).await;
        let (holder, waiter) = (as_worker(&server).await, as_worker(&server).await);
        let (idle, token) =
            (as_worker(&server).await, server.authenticate("worker", CANARY).await.unwrap());
        let held = holder.mutex("expiry").unwrap().lock().await.unwrap();
        // With such a TTL nobody looks before this is over.
        let mutex = waiter.mutex("expiry").unwrap().ttl(Duration::from_secs(60));
        let queued = tokio::spawn(async move { mutex.lock().await });
        super::waiting(&holder, "expiry", 1).await;
        // The server looks through its tokens every second.
        pause(Duration::from_millis(2_500)).await;
        let body = r#"{"key": "AA=="}"#.parse().unwrap();
        assert!(server.call_with(&token, "/v3/kv/range", body).await.is_err(), "it has expired");

        held.renew().await.unwrap();
        idle.mutex("other").unwrap().lock().await.unwrap().release().await.unwrap();
        held.release().await.unwrap();
        turn("the waiter's turn", queued).await.release().await.unwrap();
    })
    .await;
}

async fn with_worker(options: EtcdOptions) -> Etcd {
    options.user("worker", CANARY, RIGHTS).start().await
}

async fn as_worker(server: &Etcd) -> lockcore::Locks {
    connect(at(server).login("worker", CANARY)).await
}

const RIGHTS: &[(&str, Permission)] = &[("leasehold/", Permission::ReadWrite)];
