//! R2: tokens rise.

use lockcore::{FencingToken, Mode, Renewal};

use crate::stage::{Stage, permit};
use crate::time::soon;

/// Over releases by changing clients; the name is unused in between.
pub async fn r02_tokens_rise_over_releases(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let mut last = None;
    for round in 0..20 {
        let lease = stage.take(&clients[round % 2], &stage.exclusive()).await;
        rises(&mut last, lease.token());
        stage.give_back(lease).await;
    }
}

/// Over holds that ended by themselves.
pub async fn r02_tokens_rise_over_an_expiry(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let mut last = None;
    for client in [&first, &second, &first] {
        let lease = stage.wait(client, &stage.brief(Renewal::Never)).await;
        rises(&mut last, lease.token());
        soon("the loss", lease.lost()).await;
        drop(lease);
    }
}

/// From holder to waiter to waiter, in the order of the queue.
pub async fn r02_tokens_rise_along_the_queue(stage: &Stage) {
    let client = stage.client().await;
    let first = stage.take(&client, &stage.exclusive()).await;
    let mut last = None;
    rises(&mut last, first.token());
    let mut waiters = Vec::new();
    for waiting in 1..=5 {
        waiters.push(stage.spawn_wait(&client, &stage.exclusive()));
        stage.queue_has(&client, waiting).await;
    }
    stage.give_back(first).await;
    for waiter in waiters {
        let lease = soon("a turn", waiter).await.expect("no panic").expect("granted");
        rises(&mut last, lease.token());
        stage.give_back(lease).await;
    }
}

/// Readers and holders of permits have tokens of their own, above those before them.
pub async fn r02_sharers_have_tokens_of_their_own(stage: &Stage) {
    let client = stage.client().await;
    for mode in [Mode::Shared, permit(3)] {
        let mut last = None;
        let mut leases = Vec::new();
        for _ in 0..3 {
            let lease = stage.take(&client, &stage.request(mode)).await;
            rises(&mut last, lease.token());
            leases.push(lease);
        }
        for lease in leases {
            stage.give_back(lease).await;
        }
        let after = stage.take(&client, &stage.exclusive()).await;
        rises(&mut last, after.token());
        stage.give_back(after).await;
    }
}

/// A renewal changes the deadline and nothing else.
pub async fn r02_a_renewal_keeps_the_token(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    let (token, deadline) = (lease.token(), lease.deadline());
    soon("renew", lease.renew()).await.expect("it is held");
    assert_eq!(lease.token(), token);
    assert!(lease.deadline() > deadline, "the deadline did not move");
    let shown = stage.inspect(&client).await;
    assert_eq!(shown.holders()[0].token(), Some(token), "the store says another token");
}

/// Over a restart of the store.
pub async fn r02_tokens_rise_over_a_restart(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    let mut last = None;
    rises(&mut last, lease.token());
    stage.give_back(lease).await;
    stage.harness().restart().await;
    let client = stage.client().await;
    let lease = stage.wait(&client, &stage.exclusive()).await;
    rises(&mut last, lease.token());
    stage.give_back(lease).await;
}

/// Even when the store lost all its data.
pub async fn r02_tokens_rise_over_a_loss_of_data(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    let mut last = None;
    rises(&mut last, lease.token());
    stage.harness().lose_data().await;
    drop(lease);
    let client = stage.client().await;
    let lease = stage.wait(&client, &stage.exclusive()).await;
    rises(&mut last, lease.token());
    stage.give_back(lease).await;
}

fn rises(last: &mut Option<FencingToken>, token: FencingToken) {
    assert!(last.is_none_or(|last| token > last), "after {last:?} came {token:?}");
    *last = Some(token);
}
