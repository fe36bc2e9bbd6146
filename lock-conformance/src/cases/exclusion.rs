//! R1: beliefs do not overlap. R3: what is over is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use lockcore::{BootInstant, ErrorKind, LossCause, Mode, Renewal};

use crate::history::{Belief, History};
use crate::stage::{Stage, permit};
use crate::time::{pause, soon};

/// Tasks of two clients take turns; a number that is read and written with a gap between loses no
/// update.
pub async fn r01_one_holder_of_a_mutex(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let (history, number) = (History::new(), AtomicU64::new(0));
    let worker = |task: usize| {
        let (client, history, number) = (&clients[task % 2], &history, &number);
        async move {
            for _ in 0..ROUNDS {
                let lease = stage.wait(client, &stage.exclusive()).await;
                stage
                    .believe(history, Mode::Exclusive, lease, || async {
                        let read = number.load(SeqCst);
                        tokio::task::yield_now().await;
                        number.store(read + 1, SeqCst);
                    })
                    .await;
            }
        }
    };
    join_all((0..TASKS).map(worker)).await;
    history.assert_sound();
    assert_eq!(number.load(SeqCst), (TASKS * ROUNDS) as u64, "an update was lost");
}

/// Readers and writers, by chance.
pub async fn r01_readers_share_and_writers_do_not(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let history = History::new();
    let worker = |task: usize| {
        let (client, history) = (&clients[task % 2], &history);
        async move {
            for round in 0..ROUNDS {
                let mode =
                    if (task + round).is_multiple_of(3) { Mode::Exclusive } else { Mode::Shared };
                let lease = stage.wait(client, &stage.request(mode)).await;
                stage.believe(history, mode, lease, tokio::task::yield_now).await;
            }
        }
    };
    join_all((0..TASKS).map(worker)).await;
    history.assert_sound();
    assert_eq!(history.len(), TASKS * ROUNDS);
}

/// Of three permits, never four are held.
pub async fn r01_a_semaphore_is_never_exceeded(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let (history, mode) = (History::new(), permit(3));
    let worker = |task: usize| {
        let (client, history) = (&clients[task % 2], &history);
        async move {
            for _ in 0..ROUNDS {
                let lease = stage.wait(client, &stage.request(mode)).await;
                stage.believe(history, mode, lease, tokio::task::yield_now).await;
            }
        }
    };
    join_all((0..TASKS).map(worker)).await;
    history.assert_sound();
    // And all three can be had at once, though not a fourth.
    let client = &clients[0];
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(stage.take(client, &stage.request(mode)).await);
    }
    assert!(stage.is_busy(client, &stage.request(mode)).await, "a fourth permit of three");
}

/// `try_lock` from many tasks at once.
pub async fn r01_try_lock_excludes(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let (history, granted) = (History::new(), AtomicU64::new(0));
    let worker = |task: usize| {
        let (client, history, granted) = (&clients[task % 2], &history, &granted);
        async move {
            for _ in 0..ROUNDS * 2 {
                let answer = client.lock.try_lock(&stage.exclusive()).await.expect("try_lock");
                if let Some(lease) = answer {
                    granted.fetch_add(1, SeqCst);
                    stage.believe(history, Mode::Exclusive, lease, tokio::task::yield_now).await;
                }
            }
        }
    };
    join_all((0..TASKS).map(worker)).await;
    history.assert_sound();
    assert!(granted.load(SeqCst) > 0, "nobody was granted a lock that was free at first");
}

/// Two handles of one client exclude each other as two clients do.
pub async fn r01_one_client_excludes_itself(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    assert!(stage.is_busy(&client, &stage.exclusive()).await);
    assert!(stage.is_busy(&client, &stage.request(Mode::Shared)).await);
    stage.give_back(lease).await;
    stage.give_back(stage.take(&client, &stage.exclusive()).await).await;
}

/// A hold that nobody renews is not believed any more when the next one begins, however often.
pub async fn r01_an_expired_hold_does_not_overlap(stage: &Stage) {
    let (first, second) = (stage.client().await, stage.client().await);
    let history = History::new();
    for client in [&first, &second, &first] {
        let lease = stage.wait(client, &stage.brief(Renewal::Never)).await;
        let (from, token) = (BootInstant::now(), lease.token());
        let next = if Arc::ptr_eq(&client.lock, &first.lock) { &second } else { &first };
        let granted = stage.wait(next, &stage.brief(Renewal::Never)).await;
        assert!(!lease.is_held(), "two believe at once");
        let to = lease.deadline().max(from);
        history.note(Belief { mode: Mode::Exclusive, token, from, to });
        assert!(granted.is_held());
        stage.give_back(granted).await;
    }
    history.assert_sound();
}

/// Kinds of locks do not mix under one name while somebody uses it; afterwards the name is free.
pub async fn r01_kinds_do_not_mix(stage: &Stage) {
    let client = stage.client().await;
    for (held, asked) in
        [(Mode::Exclusive, permit(2)), (permit(2), Mode::Shared), (permit(2), permit(3))]
    {
        let lease = stage.take(&client, &stage.request(held)).await;
        for result in [
            client.lock.try_lock(&stage.request(asked)).await.map(|_| ()),
            soon("lock", client.lock.lock(&stage.request(asked))).await.map(|_| ()),
        ] {
            let error = result.expect_err("another kind on a name in use");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        }
        stage.give_back(lease).await;
        stage.give_back(stage.take(&client, &stage.request(asked)).await).await;
    }
}

/// Lost by its deadline, and neither a renewal nor time brings it back.
pub async fn r03_lost_stays_lost(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired);
    assert!(!lease.is_held() && lease.deadline() <= BootInstant::now());
    let error = soon("renew returns", lease.renew()).await.expect_err("it is lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(error.loss_cause(), Some(LossCause::Expired));
    assert!(!lease.is_held(), "a renewal revived it");
    assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired, "one cause for all time");
}

/// A renewal whose answer comes after the deadline changes nothing.
pub async fn r03_a_late_renewal_revives_nothing(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    // Asked in time, answered late.
    let ttl = stage.short_ttl().as_duration();
    link.delay(ttl / 4, ttl).await;
    let (renewed, cause) = tokio::join!(lease.renew(), soon("the loss", lease.lost()));
    assert_eq!(cause, LossCause::Expired);
    assert!(renewed.is_err(), "the answer came after the deadline");
    assert!(!lease.is_held(), "a late answer revived it");
}

/// Released once is released: no renewal, no second release.
pub async fn r03_released_is_final(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    let released = soon("release", lease.release()).await.expect("a held lock");
    assert_eq!(released.token, lease.token());
    assert!(!lease.is_held());
    assert_eq!(lease.renew().await.expect_err("released").kind(), ErrorKind::Lost);
    assert_eq!(soon("lost", lease.lost()).await, LossCause::Released);
    // Nor when somebody else has taken it since.
    let next = stage.take(&client, &stage.exclusive()).await;
    assert_eq!(lease.release().await.expect_err("released").kind(), ErrorKind::NotHeld);
    pause(stage.slack()).await;
    assert!(next.is_held() && !lease.is_held());
}

async fn join_all<F: Future<Output = ()>>(workers: impl Iterator<Item = F>) {
    let mut workers: Vec<_> = workers.map(Box::pin).collect();
    soon(
        "all workers are served",
        std::future::poll_fn(|context| {
            workers.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
            if workers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        }),
    )
    .await;
}

const TASKS: usize = 8;
const ROUNDS: usize = 25;
