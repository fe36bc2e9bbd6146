//! R5: nobody touches what is not theirs. R11: granted, refused, or unknown and being cleaned.

use lockcore::{ErrorKind, Mode, Renewal};

use crate::harness::Step;
use crate::stage::{Stage, permit};
use crate::time::soon;

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

/// The reply to a release is lost: it is repeated, says the truth, and hits nobody who came since.
pub async fn r05_a_repeated_release_hits_nobody(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    link.swallow_reply(Step::Release).await;
    let request = stage.exclusive();
    let (released, next) =
        tokio::join!(soon("release", lease.release()), stage.wait(&other, &request));
    released.expect("it was released, at the first try");
    assert!(link.has_landed().await, "no reply was swallowed");
    assert!(stage.is_busy(&client, &stage.exclusive()).await, "the next holder was freed");
    stage.give_back(next).await;
}

/// The reply to an acquisition is lost: it is repeated under the same identity, and there is one
/// grant, not two and not none.
pub async fn r11_an_unknown_acquisition_is_resolved(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
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
