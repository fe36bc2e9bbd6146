//! What only the engine shows: its tasks, its sessions, its patience.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::task::Poll;
use std::time::Duration;

use lock_conformance::cancel::ByHand;
use lock_conformance::fake::{FakeClient, FakeStore, Operation};
use lock_conformance::time::{eventually, pause, scaled, soon};
use lockcore::{
    BootInstant, EngineConfig, ErrorKind, Lease, Lock as _, LockName, LossCause, Mode, Renewal,
    Request, Sessions, TryLock as _, Ttl,
};

const ALL: [Sessions; 3] = [Sessions::PerGrant, Sessions::Shared, Sessions::Connection];

fn config() -> EngineConfig {
    let limit = scaled(Duration::from_millis(200));
    EngineConfig::new().request_timeout(limit).recheck(limit)
}

fn client(store: &FakeStore) -> FakeClient {
    store.client(config(), None)
}

fn request(name: &str, ttl: Duration, renewal: Renewal) -> Request {
    let request = Request::new(LockName::new(name).unwrap(), Mode::Exclusive);
    request.with_ttl(Ttl::new(scaled(ttl)).unwrap()).unwrap().with_renewal(renewal).unwrap()
}

fn brief(renewal: Renewal) -> Request {
    request("name", Duration::from_millis(600), renewal)
}

fn long() -> Request {
    request("name", Duration::from_secs(30), Renewal::Auto)
}

async fn take(client: &FakeClient, request: &Request) -> Box<dyn Lease> {
    soon("a free lock", client.engine.try_lock(request)).await.unwrap().unwrap()
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// After all kinds of cycles only the keeper is left, and without the engine not even that.
#[tokio::test]
async fn tasks_are_back_at_base() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let base = alive_tasks();
        let client = client(&store);
        let max_hold = Renewal::AutoUntil(scaled(Duration::from_secs(20)));
        for renewal in [Renewal::Auto, Renewal::Never, max_hold] {
            for _ in 0..20 {
                take(&client, &brief(renewal)).await.release().await.unwrap();
                eventually("free", || async { store.records() == 0 }).await;
                drop(take(&client, &brief(renewal)).await);
                eventually("free", || async { store.records() == 0 }).await;
            }
        }
        let holder = take(&client, &long()).await;
        for _ in 0..20 {
            let engine = client.engine.clone();
            let waiter = tokio::spawn(async move { engine.lock(&long()).await.map(drop) });
            tokio::task::yield_now().await;
            waiter.abort();
        }
        eventually("one is left", || async { store.records() == 1 }).await;
        drop(holder);
        eventually("no job", || async { client.engine.jobs() == 0 }).await;
        eventually("only the keeper", || async { alive_tasks() == base + 1 }).await;
        drop(client);
        eventually("not even the keeper", || async { alive_tasks() == base }).await;
    }
}

/// A shared session serves all locks of one TTL and ends with the client; one that nobody renews is
/// apart, and ends with its lock.
#[tokio::test]
async fn sessions_are_shared_and_end() {
    let store = FakeStore::new(Sessions::Shared);
    let client = client(&store);
    let named = |name: &str| request(name, Duration::from_secs(30), Renewal::Auto);
    let held = [take(&client, &named("a")).await, take(&client, &named("b")).await];
    assert_eq!(store.sessions(), 1);
    let never = take(&client, &request("c", Duration::from_secs(30), Renewal::Never)).await;
    assert_eq!(store.sessions(), 2);
    never.release().await.unwrap();
    eventually("its session ends", || async { store.sessions() == 1 }).await;
    let until = Renewal::AutoUntil(Duration::from_secs(60));
    let limited = take(&client, &request("d", Duration::from_secs(30), until)).await;
    assert_eq!(store.sessions(), 2, "what is to end by itself is apart, too");
    limited.release().await.unwrap();
    eventually("its session ends", || async { store.sessions() == 1 }).await;
    drop(held);
    client.engine.shutdown().await.unwrap();
    assert_eq!((store.sessions(), store.records()), (0, 0));
}

/// Two shutdowns at a time are one, also when the first caller has gone: each returns when all
/// sessions have ended.
#[tokio::test]
async fn shutdowns_that_overlap_are_one() {
    let store = FakeStore::new(Sessions::Shared);
    let client = client(&store);
    for seconds in [20, 30, 40] {
        let held = request("a", Duration::from_secs(seconds), Renewal::Auto);
        take(&client, &held).await.release().await.unwrap();
    }
    assert_eq!(store.sessions(), 3);
    client.link.delay(scaled(Duration::from_millis(20)), Duration::ZERO);
    let first = tokio::time::timeout(Duration::from_millis(1), client.engine.shutdown()).await;
    first.expect_err("it takes longer");
    client.engine.shutdown().await.unwrap();
    assert_eq!(store.sessions(), 0);
    client.engine.shutdown().await.unwrap();
}

/// What somebody takes away from under a session is lost with its next renewal, and nothing else is.
#[tokio::test]
async fn a_session_that_is_renewed_does_not_hide_a_loss() {
    let store = FakeStore::new(Sessions::Shared);
    let client = client(&store);
    let named = |name: &str| request(name, Duration::from_millis(600), Renewal::Auto);
    let (taken, kept) = (take(&client, &named("a")).await, take(&client, &named("b")).await);
    store.revoke("a");
    assert_eq!(soon("the loss", taken.lost()).await, LossCause::Revoked);
    assert_eq!(taken.release().await.unwrap_err().kind(), ErrorKind::NotHeld);
    // Over several renewals more.
    pause(scaled(Duration::from_millis(900))).await;
    assert!(kept.is_held());
    kept.release().await.unwrap();
}

/// A hold that nobody renews lasts one TTL from its grant, also when it waited in a session that
/// was renewed meanwhile.
#[tokio::test]
async fn a_hold_without_renewal_begins_with_its_grant() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let (client, other) = (client(&store), client(&store));
        let holder = take(&other, &long()).await;
        let waiter = {
            let engine = client.engine.clone();
            tokio::spawn(async move { engine.lock(&brief(Renewal::Never)).await })
        };
        eventually("it waits", || async { store.records() == 2 }).await;
        // Longer than a TTL: the waiter's place was renewed.
        pause(scaled(Duration::from_millis(900))).await;
        let released = BootInstant::now();
        holder.release().await.unwrap();
        let lease = soon("its turn", waiter).await.unwrap().unwrap();
        let belief = brief(Renewal::Never).ttl().belief();
        assert!(lease.deadline() >= released.saturating_add(belief / 2), "{sessions:?}: too short");
        assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired);
        assert!(released.elapsed() <= belief + scaled(Duration::from_millis(200)), "{sessions:?}");
    }
}

/// A grant that is pushed to a waiter is not believed for longer than the store keeps it, however
/// late the push arrives.
#[tokio::test]
async fn a_late_push_is_counted_from_before_it() {
    let store = FakeStore::new(Sessions::PerGrant);
    let (client, other) = (client(&store), client(&store));
    let holder = take(&other, &long()).await;
    let waiter = {
        let engine = client.engine.clone();
        tokio::spawn(async move { engine.lock(&brief(Renewal::Auto)).await })
    };
    eventually("it waits", || async { store.records() == 2 }).await;
    client.link.cut();
    holder.release().await.unwrap();
    let granted = BootInstant::now();
    // Most of the TTL passes before the push arrives.
    pause(brief(Renewal::Auto).ttl().as_duration() / 2).await;
    client.link.restore();
    match soon("an outcome", waiter).await.unwrap() {
        Ok(lease) => {
            assert_eq!(store.records(), 1, "granted, and the store has it");
            assert!(lease.is_held());
            // Whatever it believes, the store keeps it at least as long.
            let (deadline, token) = (lease.deadline(), lease.token());
            client.link.cut();
            soon("the loss", lease.lost()).await;
            assert!(deadline > granted && !lease.is_held());
            let shown = other.engine.inspect(lease.name()).await.unwrap();
            assert_eq!(shown.holders()[0].token(), Some(token), "believed longer than it was kept");
            client.link.restore();
        }
        // The store gave it away meanwhile, and the waiter is told so.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
    }
}

/// A release on a silent link says by the deadline that nobody knows, and is made all the same once
/// the link is back.
#[tokio::test]
async fn a_release_on_a_silent_link_is_indeterminate() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        let lease = take(&client, &brief(Renewal::Auto)).await;
        client.link.cut();
        let deadline = lease.deadline();
        let error = soon("the release ends", lease.release()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        let patience = scaled(Duration::from_millis(600));
        assert!(BootInstant::now() <= deadline.saturating_add(patience), "it took too long");
        assert!(!lease.is_held());
        client.link.restore();
        eventually("it is made", || async { store.records() == 0 }).await;
        eventually("no job", || async { client.engine.jobs() == 0 }).await;
    }
}

/// A shutdown without a link ends, and says what it could not do.
#[tokio::test]
async fn a_shutdown_on_a_silent_link_is_indeterminate() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        let lease = take(&client, &brief(Renewal::Auto)).await;
        client.link.cut();
        let error = soon("the shutdown ends", client.engine.shutdown()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(error.may_hold_until().unwrap() > BootInstant::now(), "it is in the past");
        assert!(!lease.is_held());
        eventually("the store forgets it", || async { store.records() == 0 }).await;
    }
}

/// A thousand leases are renewed in a few commands for each period, not in a thousand.
#[tokio::test]
async fn renewals_go_in_batches() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        let ttl = Duration::from_millis(1_500);
        let mut held = Vec::new();
        for number in 0..1_000 {
            held.push(take(&client, &request(&number.to_string(), ttl, Renewal::Auto)).await);
        }
        let before = client.link.commands();
        pause(scaled(ttl)).await;
        let renewals = client.link.commands() - before;
        // Three periods, each with the batches that the time of acquisition spread over it.
        assert!((2..=40).contains(&renewals), "{renewals} commands renew a thousand leases");
        assert!(held.iter().all(|lease| lease.is_held()));
        drop(held);
        client.engine.shutdown().await.unwrap();
        assert_eq!(store.records(), 0);
    }
}

/// Renewals of a lock stop with its release: nothing is sent for it any more.
#[tokio::test]
async fn a_renewal_does_not_outlive_its_lock() {
    let store = FakeStore::new(Sessions::PerGrant);
    let client = client(&store);
    let lease = take(&client, &brief(Renewal::Auto)).await;
    lease.release().await.unwrap();
    let before = client.link.commands();
    pause(brief(Renewal::Auto).ttl().as_duration()).await;
    assert_eq!(client.link.commands(), before, "something was sent for a lock that is released");
    drop(lease);
    assert_eq!(client.link.commands(), before, "a second release was sent");
}

/// When every answer to a renewal is lost, the loss comes by the deadline though the store keeps it.
#[tokio::test]
async fn renewals_without_answers_end_the_belief() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        let lease = take(&client, &brief(Renewal::Auto)).await;
        for _ in 0..100 {
            client.link.swallow_reply(Operation::Renew);
        }
        let deadline = lease.deadline();
        assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired);
        assert!(BootInstant::now() <= deadline.saturating_add(scaled(Duration::from_millis(100))));
        assert!(client.link.unswallowed() <= 98, "it was not tried again");
    }
}

/// What cannot be read on a silent link is unavailable: a read leaves nothing that may be applied.
#[tokio::test]
async fn a_read_on_a_silent_link_is_unavailable() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        client.link.cut();
        let name = LockName::new("name").unwrap();
        let error = soon("inspect ends", client.engine.inspect(&name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!((error.backend(), error.operation()), ("fake", "inspect"));
        let error = soon("try_lock ends", client.engine.try_lock(&long())).await.unwrap_err();
        // With a session that is still to be opened, nothing was sent that could be applied.
        let kind = match sessions {
            Sessions::PerGrant => ErrorKind::Indeterminate,
            Sessions::Shared | Sessions::Connection => ErrorKind::Unavailable,
        };
        assert_eq!(error.kind(), kind, "{error}");
        client.link.restore();
        eventually("nothing is left", || async { store.records() == 0 }).await;
    }
}

/// What was left to its TTL long ago is no failure of a shutdown.
#[tokio::test]
async fn a_shutdown_forgets_what_is_over() {
    let store = FakeStore::new(Sessions::PerGrant);
    let client = client(&store);
    let lease = take(&client, &brief(Renewal::Auto)).await;
    client.link.cut();
    drop(lease);
    let ttl = brief(Renewal::Auto).ttl().as_duration();
    eventually("its withdrawal is given up", || async { client.engine.jobs() == 0 }).await;
    client.link.restore();
    pause(ttl).await;
    eventually("its TTL is over", || async { store.records() == 0 }).await;
    soon("shutdown", client.engine.shutdown()).await.unwrap();
}

/// An acquisition that is neither polled nor dropped stalls nobody, whatever it was about to do, and a
/// shutdown takes it out.
#[tokio::test]
async fn an_unpolled_acquisition_stalls_nobody() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let (client, other) = (client(&store), client(&store));
        let holder = take(&other, &long()).await;
        // It has just begun to open the session, if it is shared.
        client.link.delay(Duration::from_millis(5), Duration::ZERO);
        let request = long();
        let mut stuck = ByHand::new(client.engine.lock(&request));
        assert!(stuck.poll().is_pending());
        let free = self::request("another", Duration::from_secs(30), Renewal::Auto);
        let lease = soon("another lock", client.engine.lock(&free)).await.unwrap();
        soon("its release", lease.release()).await.unwrap();

        eventually("it waits", || {
            assert!(stuck.poll().is_pending());
            std::future::ready(store.records() == 2)
        })
        .await;
        soon("shutdown", client.engine.shutdown()).await.unwrap();
        assert_eq!(store.records(), 1, "only the holder is left");
        let Poll::Ready(end) = stuck.poll() else { panic!("it does not see the shutdown") };
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Closed);
        holder.release().await.unwrap();
    }
}

/// A release that is neither polled nor dropped is made by the shutdown, and tells so when it is polled
/// again.
#[tokio::test]
async fn an_unpolled_release_is_made_by_the_shutdown() {
    for sessions in ALL {
        let store = FakeStore::new(sessions);
        let client = client(&store);
        let held = take(&client, &long()).await;
        let mut stuck = ByHand::new(held.release());
        client.link.delay(Duration::from_millis(5), Duration::ZERO);
        assert!(stuck.poll().is_pending());
        soon("shutdown", client.engine.shutdown()).await.unwrap();
        assert_eq!(store.records(), 0);
        let Poll::Ready(end) = stuck.poll() else { panic!("it does not see its end") };
        end.unwrap();
    }
}

/// A runtime that is gone: typed errors, no panic.
#[test]
fn without_its_runtime_a_client_is_closed() {
    let store = FakeStore::new(Sessions::PerGrant);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let client = first.block_on(async { client(&store) });
    let lease = first.block_on(take(&client, &brief(Renewal::Never)));
    drop(first);
    let second = runtime();
    let error = second.block_on(client.engine.lock(&long())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    // A release needs no task of the client's, as long as the way to the store is there.
    second.block_on(lease.release()).unwrap();
    assert!(!lease.is_held());
    assert_eq!(store.records(), 0);
}
