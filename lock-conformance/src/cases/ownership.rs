//! R5: nobody touches what is not theirs. R11: granted, refused, or unknown and being cleaned.

use std::time::Duration;

use lockcore::{BootInstant, ErrorKind, Mode, Renewal};

use crate::harness::Step;
use crate::stage::{Stage, permit};
use crate::time::{scaled, soon};

/// A release after the loss frees nobody else's lock, and says so.
pub async fn r05_a_stale_release_frees_nobody(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let stale = stage.take(&first, &stage.brief(Renewal::Never)).await;
    let held = stage.wait(&second, &stage.exclusive()).await;
    let error = soon("release", stale.release()).await.expect_err("it was lost");
    assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
    // The answer may come before the store was asked; shutdown returns after that.
    soon("shutdown", first.lock.shutdown()).await.expect("shutdown");
    assert!(stage.is_busy(&second, &stage.exclusive()).await, "somebody else's lock was freed");
    stage.give_back(held).await;
}

/// Nor does dropping it.
pub async fn r05_a_stale_drop_frees_nobody(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let stale = stage.take(&first, &stage.brief(Renewal::Never)).await;
    let held = stage.wait(&second, &stage.exclusive()).await;
    drop(stale);
    // The first client's shutdown returns once the drop has done whatever it does.
    soon("shutdown", first.lock.shutdown()).await.expect("shutdown");
    assert!(stage.is_busy(&second, &stage.exclusive()).await, "somebody else's lock was freed");
    assert_eq!(stage.inspect(&second).await.holders()[0].token(), Some(held.token()));
    stage.give_back(held).await;
}

/// A renewal after the loss keeps nobody else's lock alive.
pub async fn r05_a_stale_renewal_extends_nobody(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let stale = stage.take(&first, &stage.brief(Renewal::Never)).await;
    let held = stage.wait(&second, &stage.brief(Renewal::Never)).await;
    let (token, deadline) = (held.token(), held.deadline());
    assert_eq!(stale.renew().await.expect_err("lost").kind(), ErrorKind::Lost);
    assert_eq!((held.token(), held.deadline()), (token, deadline));
    let third = stage.wait(&first, &stage.exclusive()).await;
    assert!(!held.is_held(), "the store kept it for a stale renewal");
    stage.give_back(third).await;
}

/// A second release is told that there is nothing to release.
pub async fn r05_a_second_release_is_not_held(stage: &Stage) {
    let client = stage.client().await;
    for mode in [Mode::Exclusive, Mode::Shared, permit(2)] {
        let lease = stage.take(&client, &stage.request(mode)).await;
        soon("release", lease.release()).await.expect("held");
        let error = soon("release", lease.release()).await.expect_err("released before");
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
    }
}

/// Of several sharers each releases only its own part, in whatever order.
pub async fn r05_sharers_release_only_their_own(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let (one, two) = (
        stage.take(&first, &stage.request(Mode::Shared)).await,
        stage.take(&second, &stage.request(Mode::Shared)).await,
    );
    stage.give_back(two).await;
    assert!(stage.is_busy(&second, &stage.exclusive()).await, "the other reader was released");
    assert!(one.is_held());
    stage.give_back(one).await;
    stage.give_back(stage.take(&second, &stage.exclusive()).await).await;
}

/// A holder that was removed by an administrator does not free the next one.
pub async fn r05_a_removed_holder_frees_nobody(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let removed = stage.take(&first, &stage.exclusive()).await;
    stage.harness().revoke(stage.name().as_str()).await;
    let held = stage.wait(&second, &stage.exclusive()).await;
    let error = soon("release", removed.release()).await.expect_err("removed");
    assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
    assert!(stage.is_busy(&first, &stage.exclusive()).await, "somebody else's lock was freed");
    stage.give_back(held).await;
}

/// The reply to a release is lost: it is repeated, says the truth, and hits nobody who came since,
/// of another client or of the same session.
pub async fn r05_a_repeated_release_hits_nobody(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    for next in [&other, &client] {
        let lease = stage.take(&client, &stage.exclusive()).await;
        link.swallow_reply(Step::Release).await;
        let request = stage.exclusive();
        let (released, next) =
            tokio::join!(soon("release", lease.release()), stage.wait(next, &request));
        released.expect("it was released, at the first try");
        assert!(link.has_landed().await, "no reply was swallowed");
        assert!(stage.is_busy(&other, &stage.exclusive()).await, "the next holder was freed");
        stage.give_back(next).await;
    }
}

/// Whoever released once can neither release nor renew what others hold since, in whatever modes.
pub async fn r05_nobody_releases_what_others_hold(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let modes = [Mode::Exclusive, Mode::Shared, permit(2)];
    for (past, now) in modes.iter().flat_map(|past| modes.map(|now| (*past, now))) {
        let stale = stage.take(&first, &stage.request(past)).await;
        soon("release", stale.release()).await.expect("held");
        for holder in [&first, &second] {
            let held = stage.take(holder, &stage.request(now)).await;
            let error = soon("release", stale.release()).await.expect_err("released before");
            assert_eq!(error.kind(), ErrorKind::NotHeld, "{past}, {now}: {error}");
            let error = soon("renew", stale.renew()).await.expect_err("released before");
            assert_eq!(error.kind(), ErrorKind::Lost, "{past}, {now}: {error}");
            stage.holds_alone(&second, &*held).await;
            stage.give_back(held).await;
        }
    }
}

/// A holder whose session was ended in the store, and who does not know yet, releases nobody.
pub async fn r05_a_holder_without_a_session_frees_nobody(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let modes = [Mode::Exclusive, Mode::Shared, permit(2)];
    for (past, now) in modes.iter().flat_map(|past| modes.map(|now| (*past, now))) {
        let stale = stage.take(&client, &stage.request(past)).await;
        link.kill_session().await;
        let held = stage.wait(&other, &stage.request(now)).await;
        let error = soon("release", stale.release()).await.expect_err("its session was ended");
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{past}, {now}: {error}");
        stage.holds_alone(&other, &*held).await;
        stage.give_back(held).await;
    }
}

/// The reply to an acquisition is lost: it is repeated under the same identity, and there is one
/// grant, not two and not none.
pub async fn r11_an_unknown_acquisition_is_resolved(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    // The first time, the reply may be one that asks for more, and nothing was acquired.
    stage.give_back(stage.take(&client, &stage.exclusive()).await).await;
    link.swallow_reply(Step::Acquire).await;
    let lease = stage.wait(&client, &stage.exclusive()).await;
    assert!(link.has_landed().await, "no reply was swallowed");
    assert_eq!(stage.harness().records().await, 1, "one acquisition, one record");
    assert!(stage.is_busy(&other, &stage.exclusive()).await);
    stage.give_back(lease).await;
    stage.is_free(&other).await;
}

/// Busy leaves nothing behind.
pub async fn r11_busy_leaves_nothing(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    for _ in 0..20 {
        assert!(stage.is_busy(&client, &stage.exclusive()).await);
    }
    assert_eq!(stage.harness().records().await, 1, "a refused attempt left a record");
    stage.give_back(lease).await;
    stage.is_free(&client).await;
}

/// A store that refuses connections: a typed error at once, and nothing is left.
pub async fn r11_a_refusing_store_is_unavailable(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    link.refuse(true).await;
    for result in [
        soon("try_lock", client.lock.try_lock(&stage.exclusive())).await.map(|_| ()),
        soon("lock", client.lock.lock(&stage.exclusive())).await.map(|_| ()),
    ] {
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(stage.harness().records().await, 0);
    link.refuse(false).await;
    stage.give_back(stage.wait(&other, &stage.exclusive()).await).await;
}

/// A wait with a limit ends with it, also while nothing is answered, and leaves nothing.
pub async fn r11_a_timed_wait_ends_on_a_silent_link(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let locks = lockcore::Locks::from_arc(client.lock.clone());
    let mutex = locks.mutex(stage.name()).expect("a name");
    // It has all that it needs.
    stage.give_back(stage.take(&client, &stage.exclusive()).await).await;
    for is_busy in [false, true] {
        // What the wait before has left is on its way out.
        let holder =
            if is_busy { Some(stage.wait(&other, &stage.exclusive()).await) } else { None };
        link.cut().await;
        let (begun, limit) = (BootInstant::now(), scaled(Duration::from_millis(500)));
        match soon("a timed wait ends", mutex.try_lock_for(limit)).await {
            Ok(granted) => assert!(granted.is_none(), "nobody can have answered"),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        let late = begun.elapsed().saturating_sub(limit);
        assert!(late < scaled(Duration::from_millis(200)), "{late:?} after its limit");
        link.restore().await;
        if let Some(holder) = holder {
            stage.queue_has(&other, 0).await;
            stage.give_back(holder).await;
        }
        stage.is_free(&other).await;
    }
}
