//! Commands that were applied, and whose replies never came.

use std::time::Duration;

use lock_conformance::time::{pause, soon};
use lock_testkit::{Flavour, Proxy, Swallow, SwallowHandle};
use lockcore::{ErrorKind, Guard, Released};
use tokio::task::JoinHandle;

use crate::stage::{Kind, config, connect, key, kind, ms, only_fences, until_waiting, value};
use crate::vanishing::{NAME, Stage, WAYS};

impl Stage {
    fn victim_waits(&self) -> JoinHandle<lockcore::Result<Guard>> {
        let lock = self.victim.mutex(NAME).unwrap();
        tokio::spawn(async move { lock.lock().await })
    }

    /// It holds the lock, alone, and no other token was drawn for it.
    async fn holds_alone(&self, guard: &Guard) {
        assert!(guard.is_held());
        assert!(self.other.mutex(NAME).unwrap().try_lock().await.unwrap().is_none());
        let seen = self.other.inspect(NAME).await.unwrap();
        assert_eq!(seen.holders().len(), 1, "{seen:?}");
        assert_eq!(seen.holders()[0].token(), Some(guard.token()), "a second token was drawn");
        assert!(seen.waiters().is_empty(), "a ghost waits: {seen:?}");
    }

    async fn ends(self, guard: Guard, swallowed: &SwallowHandle) {
        assert!(swallowed.has_landed(), "no reply was lost");
        guard.release().await.unwrap();
        only_fences(&self.server, NAME).await;
        let free = self.other.mutex(NAME).unwrap().try_lock().await.unwrap();
        assert!(free.is_some(), "not free");
    }
}

#[tokio::test]
async fn an_acquisition_whose_reply_vanished_holds_the_lock_once() {
    for then in WAYS {
        for what in [Kind::Try, Kind::Enqueue] {
            let stage = Stage::new(Flavour::Redis, LONG).await;
            let swallowed = stage.swallow(what, then);
            let lock = stage.victim.mutex(NAME).unwrap();
            let guard = match what {
                Kind::Try => lock.try_lock().await.unwrap().expect("it is free"),
                _ => soon("a free lock", lock.lock()).await.unwrap(),
            };
            stage.holds_alone(&guard).await;
            stage.ends(guard, &swallowed).await;
        }
    }
}

#[tokio::test]
async fn a_waiter_whose_place_was_not_confirmed_has_one_place() {
    for then in WAYS {
        let stage = Stage::new(Flavour::Redis, LONG).await;
        let held = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.swallow(Kind::Enqueue, then);
        let waiter = stage.victim_waits();
        swallowed.landed(PATIENCE).await;
        // Its check comes over the new connection.
        until_checked(&stage.proxy).await;
        assert_eq!(stage.other.inspect(NAME).await.unwrap().waiters().len(), 1);
        held.release().await.unwrap();
        let guard = soon("the waiter is granted", waiter).await.unwrap().unwrap();
        stage.holds_alone(&guard).await;
        stage.ends(guard, &swallowed).await;
    }
}

/// Granted and taken away before it is asked for again: what was told of that grant is not of the
/// next place.
#[tokio::test]
async fn a_grant_of_a_place_that_is_over_is_not_taken_for_one_of_the_next() {
    let mut stage = Stage::new(Flavour::Redis, LONG).await;
    // It asks again long before its place ends.
    let patient = config(stage.proxy.addr()).request_timeout(ms(1_500)).unwrap();
    stage.victim = connect(patient, ms(6_000)).await;
    let held = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
    let swallowed = stage.swallow(Kind::Enqueue, Swallow::ThenSilence);
    let waiter = stage.victim_waits();
    swallowed.landed(PATIENCE).await;
    held.release().await.unwrap();
    let taken = stage.server.resp().await.command(&["DEL", &key(NAME)]).await.as_int();
    assert_eq!(taken, Some(1), "it was not granted");
    let other = stage.other.mutex(NAME).unwrap();
    let next = soon("the lock that was taken away", other.lock()).await.unwrap();
    until_waiting(&stage.server, NAME, 1).await;
    until_checked(&stage.proxy).await;
    assert!(next.is_held() && !waiter.is_finished(), "granted beside the holder");
    next.release().await.unwrap();
    let guard = soon("the waiter is granted", waiter).await.unwrap().unwrap();
    stage.holds_alone(&guard).await;
    stage.ends(guard, &swallowed).await;
}

/// It would wait at another place, behind those who came later, and not know it.
#[tokio::test]
async fn a_place_that_may_have_ended_before_anything_was_heard_of_it_is_told() {
    let mut stage = Stage::new(Flavour::Redis, LONG).await;
    // It asks again when the TTL is long over.
    let patient = config(stage.proxy.addr()).request_timeout(ms(1_500)).unwrap();
    stage.victim = connect(patient, ms(500)).await;
    let held = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
    let swallowed = stage.swallow(Kind::Enqueue, Swallow::ThenSilence);
    let waiter = stage.victim_waits();
    swallowed.landed(PATIENCE).await;
    let error = soon("the waiter is told", waiter).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    assert!(error.is_transient(), "{error}");
    until_waiting(&stage.server, NAME, 0).await;
    held.release().await.unwrap();
    only_fences(&stage.server, NAME).await;
}

#[tokio::test]
async fn a_check_whose_reply_vanished_loses_neither_the_place_nor_the_grant() {
    for then in WAYS {
        for is_granted_by_it in [false, true] {
            let stage = Stage::new(Flavour::Redis, LONG).await;
            let held = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
            let waiter = stage.victim_waits();
            until_waiting(&stage.server, NAME, 1).await;
            let check = stage.proxy.hold_requests(|words| kind(words) == Kind::Check);
            check.held(PATIENCE).await;
            if is_granted_by_it {
                stage.server.resp().await.command(&["DEL", &key(NAME)]).await;
            }
            let swallowed = stage.swallow(Kind::Check, then);
            check.release();
            swallowed.landed(PATIENCE).await;
            if is_granted_by_it {
                let owner = value(&stage.server, NAME).await;
                assert!(owner.is_some(), "the check did not take the free lock");
                drop(held);
            } else {
                held.release().await.unwrap();
            }
            let guard = soon("the waiter is granted", waiter).await.unwrap().unwrap();
            stage.holds_alone(&guard).await;
            stage.ends(guard, &swallowed).await;
        }
    }
}

#[tokio::test]
async fn a_renewal_whose_reply_vanished_is_made_good() {
    for then in WAYS {
        let stage = Stage::new(Flavour::Redis, ms(1_500)).await;
        let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.swallow(Kind::Renew, then);
        swallowed.landed(PATIENCE).await;
        pause(ms(2_000)).await;
        stage.holds_alone(&guard).await;
        stage.ends(guard, &swallowed).await;
    }
}

#[tokio::test]
async fn a_renewal_by_hand_whose_reply_vanished_is_an_error_and_no_loss() {
    for then in WAYS {
        let stage = Stage::new(Flavour::Redis, LONG).await;
        let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.swallow(Kind::Renew, then);
        let error = guard.renew().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        stage.holds_alone(&guard).await;
        guard.renew().await.unwrap();
        stage.ends(guard, &swallowed).await;
    }
}

/// The next one has the lock before the release is repeated, and keeps it.
#[tokio::test]
async fn a_release_whose_reply_vanished_is_confirmed_and_frees_nobody_else() {
    let scripts = [(Flavour::Redis, Kind::Release), (Flavour::Valkey, Kind::Delete)];
    for then in WAYS {
        for (flavour, what) in scripts {
            let stage = Stage::new(flavour, LONG).await;
            let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
            let swallowed = stage.swallow(what, then);
            let release = tokio::spawn(async move { guard.release().await });
            swallowed.landed(PATIENCE).await;
            // The repetition waits until somebody else is there whom it could hit.
            let again = stage.proxy.hold_requests(|words| kind(words) != Kind::Other);
            let next = soon("the next one", stage.other.mutex(NAME).unwrap().lock()).await.unwrap();
            again.release();
            confirmed(soon("the release returns", release).await.unwrap());
            stage.holds_alone(&next).await;
            stage.ends(next, &swallowed).await;
        }
    }
}

/// The one that waits is granted by a release that nobody heard of.
#[tokio::test]
async fn a_release_to_a_waiter_whose_reply_vanished_is_confirmed() {
    for then in WAYS {
        for flavour in [Flavour::Redis, Flavour::Valkey] {
            let stage = Stage::new(flavour, LONG).await;
            let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
            let lock = stage.other.mutex(NAME).unwrap();
            let waiter = tokio::spawn(async move { lock.lock().await });
            until_waiting(&stage.server, NAME, 1).await;
            let swallowed = stage.swallow(Kind::Release, then);
            confirmed(guard.release().await);
            let next = soon("the waiter is granted", waiter).await.unwrap().unwrap();
            stage.holds_alone(&next).await;
            stage.ends(next, &swallowed).await;
        }
    }
}

/// The connection loses what goes over it, once and for ever; a new one would work.
#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced_before_the_lock_is_lost() {
    let stage = Stage::new(Flavour::Redis, LONG).await;
    // No command is given up before two of its renewals could have come through.
    let config = config(stage.proxy.addr());
    let victim = connect(config, ms(2_400)).await;
    let guard = victim.mutex(NAME).unwrap().lock().await.unwrap();
    let swallowed = stage.swallow(Kind::Renew, Swallow::ThenSilence);
    swallowed.landed(PATIENCE).await;
    pause(ms(4_000)).await;
    stage.holds_alone(&guard).await;
    stage.ends(guard, &swallowed).await;
}

/// The lock was held to the end, so nobody may say that it was not.
fn confirmed(released: lockcore::Result<Released>) {
    if let Err(error) = released {
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    }
}

/// Waits until a waiter has looked where it stands.
async fn until_checked(proxy: &Proxy) {
    let check = proxy.hold_requests(|words| kind(words) == Kind::Check);
    check.held(PATIENCE).await;
}

/// No TTL ends during a test with this one.
const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);
