//! R8: no lost wake-up. R9: first in, first out. R10: writers. R13: no herd.

use std::task::Poll;
use std::time::Duration;

use lockcore::{Mode, OwnerLabel};

use crate::cancel::ByHand;
use crate::harness::Client;
use crate::stage::{Stage, permit};
use crate::time::{eventually, soon};

/// A waiter is granted though no notification reaches it.
pub async fn r08_granted_without_a_notification(stage: &Stage) {
    let (holder, client) = (stage.client().await, stage.client().await);
    let lease = stage.take(&holder, &stage.exclusive()).await;
    let waiters = [stage.spawn_wait(&client, &stage.exclusive()), {
        stage.queue_has(&holder, 1).await;
        stage.spawn_wait(&client, &stage.exclusive())
    }];
    stage.queue_has(&holder, 2).await;
    stage.harness().lose_notifications(true).await;
    stage.give_back(lease).await;
    for waiter in waiters {
        let lease = soon("granted without a word", waiter).await.expect("no panic");
        stage.give_back(lease.expect("granted")).await;
    }
    stage.harness().lose_notifications(false).await;
}

/// Release and wait at the same moment, many times: the waiter is never forgotten.
pub async fn r08_a_release_during_the_wait_is_seen(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    for round in 0..100 {
        let lease = stage.take(&client, &stage.exclusive()).await;
        let request = stage.exclusive();
        let wait = async {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            stage.wait(&other, &request).await
        };
        let (released, next) = tokio::join!(lease.release(), wait);
        released.expect("held");
        stage.give_back(next).await;
    }
}

/// Two waiters in one task and one in another, each dropped or left unpolled in turn: whoever is
/// next and alive is granted.
pub async fn r08_an_unpolled_waiter_stalls_nobody_once_dropped(stage: &Stage) {
    let client = stage.client().await;
    let request = stage.exclusive();
    for dropped in 0..2 {
        let holder = stage.take(&client, &request).await;
        let mut pair = Vec::new();
        for waiting in 1..=2 {
            let mut waiter = ByHand::new(client.lock.lock(&request));
            stage.queue_by_hand(&client, &mut waiter, waiting).await;
            pair.push(waiter);
        }
        let third = stage.spawn_wait(&client, &request);
        stage.queue_has(&client, 3).await;
        stage.give_back(holder).await;
        // One goes without ever having looked, the other one is served.
        drop(pair.remove(dropped));
        let mut left = pair.remove(0);
        let mut lease = None;
        eventually("the other of the pair is granted", || {
            if let Poll::Ready(granted) = left.poll() {
                lease = Some(granted.expect("granted"));
            }
            std::future::ready(lease.is_some())
        })
        .await;
        stage.give_back(lease.expect("granted")).await;
        let lease = soon("the third is granted", third).await.expect("no panic").expect("granted");
        stage.give_back(lease).await;
    }
}

/// In the order in which they came, over clients.
pub async fn r09_first_come_first_served(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let holder = stage.take(&clients[0], &stage.exclusive()).await;
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut waiters = Vec::new();
    for place in 0..10 {
        let (lock, request) = (clients[place % 2].lock.clone(), stage.exclusive());
        let order = order.clone();
        waiters.push(tokio::spawn(async move {
            let lease = lock.lock(&request).await.expect("granted");
            order.send(place).expect("the case listens");
            lease.release().await.expect("held");
        }));
        stage.queue_has(&clients[0], place + 1).await;
    }
    stage.give_back(holder).await;
    for place in 0..10 {
        assert_eq!(soon("the next one's turn", served.recv()).await, Some(place), "out of order");
    }
    for waiter in waiters {
        waiter.await.expect("no panic");
    }
}

/// A `try_lock` never goes before somebody who waits, not even for a permit that is free.
pub async fn r09_try_lock_never_overtakes(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    // A reader holds, a writer waits: a second reader may not slip in.
    let reader = stage.take(&client, &stage.request(Mode::Shared)).await;
    let writer = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 1).await;
    assert!(stage.is_busy(&other, &stage.request(Mode::Shared)).await, "overtook a writer");
    assert!(reader.is_held());
    stage.give_back(reader).await;
    let writer = soon("the writer's turn", writer).await.expect("no panic").expect("granted");

    // The lock is handed to the one who waits, whoever tries meanwhile.
    let waiter = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 1).await;
    let mut overtook = 0;
    let release = writer.release();
    let tries = async {
        for _ in 0..50 {
            overtook += usize::from(!stage.is_busy(&other, &stage.exclusive()).await);
        }
    };
    let (released, ()) = tokio::join!(release, tries);
    released.expect("held");
    assert_eq!(overtook, 0, "try_lock went before a waiter");
    let lease = soon("the waiter's turn", waiter).await.expect("no panic").expect("granted");
    stage.give_back(lease).await;
}

/// Those who gave up are passed over, and the order of the others stays.
pub async fn r09_those_who_gave_up_are_skipped(stage: &Stage) {
    let client = stage.client().await;
    let holder = stage.take(&client, &stage.exclusive()).await;
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut waiters = Vec::new();
    for place in 0..9 {
        let (lock, request, order) = (client.lock.clone(), stage.exclusive(), order.clone());
        waiters.push(tokio::spawn(async move {
            let lease = lock.lock(&request).await.expect("granted");
            order.send(place).expect("the case listens");
            lease.release().await.expect("held");
        }));
        stage.queue_has(&client, place + 1).await;
    }
    let leaves = |place: usize| place.is_multiple_of(3) || place == 8;
    for place in (0..9).filter(|place| leaves(*place)) {
        waiters[place].abort();
    }
    stage.queue_has(&client, 5).await;
    stage.give_back(holder).await;
    for place in (0..9).filter(|place| !leaves(*place)) {
        assert_eq!(soon("the next one's turn", served.recv()).await, Some(place), "out of order");
    }
    stage.is_free(&client).await;
}

/// `inspect` shows holders and waiters with what they said, in the order of the queue.
pub async fn r09_inspect_shows_the_queue(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let labelled = |label: &str, mode| {
        let label = OwnerLabel::new(label).expect("a label");
        stage.request(mode).with_owner(Some(label))
    };
    let before = std::time::SystemTime::now() - Duration::from_secs(1);
    let holder = stage.take(&client, &labelled("holder", Mode::Shared)).await;
    let first = stage.spawn_wait(&other, &labelled("first", Mode::Exclusive));
    stage.queue_has(&client, 1).await;
    let second = stage.spawn_wait(&client, &labelled("second", Mode::Shared));
    stage.queue_has(&client, 2).await;

    let picture = stage.inspect(&other).await;
    let [held] = picture.holders() else { panic!("one holder, not {picture:?}") };
    assert_eq!((held.owner(), held.mode()), (Some("holder"), Mode::Shared));
    assert_eq!((held.token(), held.place()), (Some(holder.token()), None));
    assert!(held.since() >= before, "since {:?}", held.since());
    let waiting: Vec<_> = picture
        .waiters()
        .iter()
        .map(|claim| (claim.owner(), claim.mode(), claim.place(), claim.token()))
        .collect();
    assert_eq!(
        waiting,
        [
            (Some("first"), Mode::Exclusive, Some(1), None),
            (Some("second"), Mode::Shared, Some(2), None)
        ]
    );
    stage.give_back(holder).await;
    for waiter in [first, second] {
        let lease = soon("a turn", waiter).await.expect("no panic").expect("granted");
        stage.give_back(lease).await;
    }
}

/// r1, r2, rw3, r4 in this order: r1 and r2 share, rw3 waits for both, r4 waits for rw3.
pub async fn r10_the_story_of_four_clients(stage: &Stage) {
    let clients =
        [stage.client().await, stage.client().await, stage.client().await, stage.client().await];
    let shared = stage.request(Mode::Shared);
    let r1 = stage.take(&clients[0], &shared).await;
    let r2 = stage.take(&clients[1], &shared).await;
    let rw3 = stage.spawn_wait(&clients[2], &stage.exclusive());
    stage.queue_has(&clients[0], 1).await;
    let r4 = stage.spawn_wait(&clients[3], &shared);
    stage.queue_has(&clients[0], 2).await;

    stage.give_back(r1).await;
    let picture = stage.inspect(&clients[0]).await;
    assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 2), "rw3 waits for r2 too");
    stage.give_back(r2).await;
    let rw3 = soon("the writer's turn", rw3).await.expect("no panic").expect("granted");
    let picture = stage.inspect(&clients[0]).await;
    assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 1), "r4 waits for rw3");
    assert_eq!(picture.waiters()[0].mode(), Mode::Shared);
    assert!(!r4.is_finished(), "r4 was granted beside the writer");
    stage.give_back(rw3).await;
    let r4 = soon("the last reader's turn", r4).await.expect("no panic").expect("granted");
    stage.give_back(r4).await;
}

/// Readers in a loop never keep a writer out.
pub async fn r10_readers_do_not_starve_a_writer(stage: &Stage) {
    let client = stage.client().await;
    let storm = |client: Client| {
        let (lock, request) = (client.lock, stage.request(Mode::Shared));
        tokio::spawn(async move {
            loop {
                let lease = lock.lock(&request).await.expect("granted");
                tokio::task::yield_now().await;
                lease.release().await.expect("held");
            }
        })
    };
    let readers: Vec<_> = (0..8).map(|_| storm(client.clone())).collect();
    for _ in 0..10 {
        stage.give_back(stage.wait(&client, &stage.exclusive()).await).await;
    }
    for reader in readers {
        reader.abort();
        assert!(reader.await.is_err_and(|error| error.is_cancelled()), "a reader failed");
    }
    stage.is_free(&client).await;
}

/// A writer that gives up lets the readers behind it go at once.
pub async fn r10_a_writer_that_gives_up_frees_the_readers(stage: &Stage) {
    let client = stage.client().await;
    let first = stage.take(&client, &stage.request(Mode::Shared)).await;
    let writer = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 1).await;
    let readers: Vec<_> =
        (0..3).map(|_| stage.spawn_wait(&client, &stage.request(Mode::Shared))).collect();
    stage.queue_has(&client, 4).await;
    assert!(readers.iter().all(|reader| !reader.is_finished()), "one overtook the writer");
    writer.abort();
    for reader in readers {
        let lease = soon("a reader goes", reader).await.expect("no panic").expect("granted");
        assert!(first.is_held());
        stage.give_back(lease).await;
    }
    stage.give_back(first).await;
}

/// A reader behind a writer goes together with the readers beside it, all at once.
pub async fn r10_readers_behind_a_writer_go_together(stage: &Stage) {
    let client = stage.client().await;
    let writer = stage.take(&client, &stage.exclusive()).await;
    let readers: Vec<_> =
        (0..4).map(|_| stage.spawn_wait(&client, &stage.request(Mode::Shared))).collect();
    stage.queue_has(&client, 4).await;
    assert!(readers.iter().all(|reader| !reader.is_finished()), "one was granted beside it");
    stage.give_back(writer).await;
    let mut leases = Vec::new();
    for reader in readers {
        leases.push(soon("a reader goes", reader).await.expect("no panic").expect("granted"));
    }
    assert_eq!(stage.inspect(&client).await.holders().len(), 4);
    for lease in leases {
        stage.give_back(lease).await;
    }
}

/// Of fifty who wait, a release wakes the one who goes.
pub async fn r13_a_release_wakes_one(stage: &Stage) {
    let client = stage.client().await;
    for request in [stage.exclusive(), stage.request(permit(1))] {
        let holder = stage.take(&client, &request).await;
        let mut waiters = Vec::new();
        for waiting in 1..=50 {
            let mut waiter = ByHand::new(client.lock.lock(&request));
            stage.queue_by_hand(&client, &mut waiter, waiting).await;
            waiters.push(waiter);
        }
        let before: usize = waiters.iter().skip(1).map(ByHand::wakes).sum();
        stage.give_back(holder).await;
        let mut first = waiters.remove(0);
        let mut lease = None;
        eventually("the first is granted", || {
            if let Poll::Ready(granted) = first.poll() {
                lease = Some(granted.expect("granted"));
            }
            std::future::ready(lease.is_some())
        })
        .await;
        let woken: usize = waiters.iter().map(ByHand::wakes).sum();
        // Some may look by themselves meanwhile, a herd is all of them.
        assert!(woken - before < waiters.len() / 2, "{} others were woken", woken - before);
        drop(waiters);
        stage.queue_has(&client, 0).await;
        stage.give_back(lease.expect("granted")).await;
    }
}

/// The store itself sends one notification for each grant, however many wait.
pub async fn r13_the_store_notifies_one(stage: &Stage) {
    let client = stage.client().await;
    let holder = stage.take(&client, &stage.exclusive()).await;
    let waiters: Vec<_> =
        (0..WAITERS).map(|_| stage.spawn_wait(&client, &stage.exclusive())).collect();
    stage.queue_has(&client, WAITERS).await;
    let before = stage.harness().notifications().await;
    let mut served = tokio::task::JoinSet::new();
    for waiter in waiters {
        served.spawn(async move {
            let lease = waiter.await.expect("no panic").expect("granted");
            lease.release().await.expect("held");
        });
    }
    stage.give_back(holder).await;
    while let Some(done) = soon("all are served", served.join_next()).await {
        done.expect("no panic");
    }
    let sent = stage.harness().notifications().await - before;
    assert!(sent <= WAITERS * 2, "{sent} notifications for {WAITERS} grants");
}

const WAITERS: usize = 50;
