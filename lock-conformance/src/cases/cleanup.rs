//! R6: an acquisition that errs, times out or is dropped leaves nothing.

use std::time::Duration;

use lockcore::{ErrorKind, Mode, Renewal};

use crate::cancel::{ByHand, UpTo};
use crate::harness::{Client, Step};
use crate::stage::{Stage, permit};
use crate::time::{pause, soon};

/// Dropped at every await point, while the lock is busy and while it is free, waiting and trying.
pub async fn r06_dropped_at_every_await_point(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    for mode in [Mode::Exclusive, Mode::Shared, permit(2)] {
        let request = stage.request(mode);
        sweep(stage, &client, &other, |point| UpTo::new(client.lock.lock(&request), point)).await;
        sweep(stage, &client, &other, |point| UpTo::new(client.lock.try_lock(&request), point))
            .await;
        let holder = busy(stage, &other, mode).await;
        for point in 0..POINTS {
            let limit = pause(Duration::from_millis(20));
            tokio::select! {
                granted = UpTo::new(client.lock.lock(&request), point) => {
                    assert!(granted.is_none(), "granted while somebody else holds it");
                }
                // It waits: there are no more await points before its turn.
                () = limit => {}
            }
        }
        stage.queue_has(&other, 0).await;
        for lease in holder {
            stage.give_back(lease).await;
        }
        stage.is_free(&other).await;
    }
}

/// A renewal, a look and a release, dropped at every await point: what is held stays held, and what
/// was to be given back is free, though its lease is still there.
pub async fn r06_dropped_while_it_is_held(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    for mode in [Mode::Exclusive, Mode::Shared, permit(2)] {
        let request = stage.request(mode);
        let lease = stage.take(&client, &request).await;
        every_point(|point| UpTo::new(lease.renew(), point)).await;
        every_point(|point| UpTo::new(client.lock.inspect(stage.name()), point)).await;
        stage.holds_alone(&other, &*lease).await;
        stage.give_back(lease).await;
        for point in 0.. {
            let lease = stage.wait(&client, &request).await;
            let released = soon("an await point", UpTo::new(lease.release(), point)).await;
            if point > 0 {
                assert!(!lease.is_held(), "held, and to be released");
                stage.is_free(&other).await;
            }
            if let Some(released) = released {
                released.expect("it was held");
                break;
            }
            drop(lease);
            stage.is_free(&other).await;
        }
    }
}

/// Drops what `start` makes at point after point, until it is done.
async fn every_point<F, T>(start: impl Fn(usize) -> UpTo<F>)
where
    F: Future<Output = lockcore::Result<T>>,
{
    for point in 0.. {
        if let Some(done) = soon("an await point", start(point)).await {
            assert!(done.is_ok(), "it is held");
            break;
        }
    }
}

/// Drops what `start` makes at point after point until it is done, and sees each time that the lock
/// is free again.
async fn sweep<F, T>(
    stage: &Stage,
    client: &Client,
    other: &Client,
    start: impl Fn(usize) -> UpTo<F>,
) where
    F: Future<Output = T>,
{
    for point in 0.. {
        assert!(point < POINTS * 10, "an acquisition of a free lock does not end");
        let done = soon("an await point", start(point)).await;
        let was_done = done.is_some();
        drop(done);
        stage.is_free(other).await;
        if was_done {
            break;
        }
    }
    stage.give_back(stage.take(client, &stage.exclusive()).await).await;
}

/// Holds a lock so that nobody else gets it in `mode`.
async fn busy(stage: &Stage, client: &Client, mode: Mode) -> Vec<Box<dyn lockcore::Lease>> {
    let (held, count) = match mode {
        Mode::Permit { of } => (mode, of.get()),
        Mode::Exclusive | Mode::Shared => (Mode::Exclusive, 1),
    };
    let mut leases = Vec::new();
    for _ in 0..count {
        leases.push(stage.take(client, &stage.request(held)).await);
    }
    leases
}

/// Dropped at 1,000 random times, around a holder who comes and goes.
pub async fn r06_dropped_at_random_times(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    let churn = async {
        loop {
            let lease = clients[0].lock.lock(&stage.exclusive()).await.expect("lock");
            tokio::task::yield_now().await;
            lease.release().await.expect("held");
        }
    };
    let drops = async {
        let mut drops = tokio::task::JoinSet::new();
        for drop_number in 0..DROPS {
            let (lock, request) = (clients[drop_number % 2].lock.clone(), stage.exclusive());
            drops.spawn(async move {
                let life = Duration::from_micros(fastrand::u64(0..2_000));
                // Granted in time or not: what comes is dropped.
                let _ = tokio::time::timeout(life, lock.lock(&request)).await;
            });
            if drop_number % 50 == 0 {
                soon("a dropped acquisition ends", drops.join_next()).await;
            }
        }
        while let Some(done) = soon("a dropped acquisition ends", drops.join_next()).await {
            done.expect("no panic");
        }
    };
    tokio::select! {
        () = churn => {}
        () = drops => {}
    }
    for client in &clients {
        stage.is_free(client).await;
    }
    stage.nothing_is_left().await;
    stage.give_back(stage.take(&clients[1], &stage.exclusive()).await).await;
}

/// A hundred time-outs, then a release: the next one goes at once.
pub async fn r06_time_outs_leave_nothing(stage: &Stage) {
    let client = stage.client().await;
    let locks = lockcore::Locks::from_arc(client.lock.clone());
    let mutex = locks.mutex(stage.name()).expect("a name");
    let holder = stage.take(&client, &stage.exclusive()).await;
    for _ in 0..100 {
        let limit = Duration::from_millis(1);
        let answer = soon("a timed wait ends", mutex.try_lock_for(limit)).await;
        assert!(answer.expect("no error").is_none(), "granted while it is held");
    }
    stage.queue_has(&client, 0).await;
    stage.give_back(holder).await;
    let next = soon("the next one", mutex.try_lock_for(Duration::from_secs(5))).await;
    next.expect("no error").expect("a free lock is granted").release().await.expect("held");
}

/// A timed wait waits: it is granted when the lock is given back in time.
pub async fn r06_a_timed_wait_is_granted_in_time(stage: &Stage) {
    let client = stage.client().await;
    let locks = lockcore::Locks::from_arc(client.lock.clone());
    let mutex = locks.mutex(stage.name()).expect("a name");
    let holder = stage.take(&client, &stage.exclusive()).await;
    let waiter = tokio::spawn(async move { mutex.try_lock_for(Duration::from_secs(20)).await });
    stage.queue_has(&client, 1).await;
    stage.give_back(holder).await;
    let guard = soon("a timed wait is granted", waiter).await.expect("no panic");
    guard.expect("no error").expect("granted in time").release().await.expect("held");
}

/// Work that is dropped gives its lock back, whoever kept a view of it, and the view says so.
pub async fn r06_run_gives_back_what_others_look_at(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let locks = lockcore::Locks::from_arc(client.lock.clone());
    let mutex = locks.mutex(stage.name()).expect("a name");
    for is_aborted in [false, true] {
        let (views, mut kept) = tokio::sync::mpsc::unbounded_channel();
        let (mutex, views) = (mutex.clone(), views.clone());
        let work = tokio::spawn(async move {
            let work = mutex.run(async |held| {
                views.send(held).expect("the case listens");
                if !is_aborted {
                    // No message in the log of the tests.
                    std::panic::resume_unwind(Box::new("with a lock in hand"));
                }
                std::future::pending::<()>().await;
            });
            work.await
        });
        let held = soon("the work begins", kept.recv()).await.expect("it sends");
        if is_aborted {
            work.abort();
        }
        assert!(soon("the work ends", work).await.is_err());
        assert!(!held.is_held(), "held by work that is gone");
        stage.is_free(&other).await;
        assert_eq!(soon("the view's end", held.lost()).await, lockcore::LossCause::Released);
    }
}

/// A waiter that went away while the holder held does not hold up those behind it.
pub async fn r06_a_dropped_waiter_is_out_of_the_way(stage: &Stage) {
    let client = stage.client().await;
    let holder = stage.take(&client, &stage.exclusive()).await;
    let gone = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 1).await;
    let stays = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 2).await;
    gone.abort();
    stage.queue_has(&client, 1).await;
    stage.give_back(holder).await;
    let lease = soon("the waiter that stayed", stays).await.expect("no panic").expect("granted");
    stage.give_back(lease).await;
    stage.is_free(&client).await;
}

/// A grant that arrives when its caller has gone is given back, and the next one goes.
pub async fn r06_a_grant_that_nobody_takes_is_given_back(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let request = stage.exclusive();
    for _ in 0..20 {
        let holder = stage.take(&other, &request).await;
        let mut first = ByHand::new(client.lock.lock(&request));
        stage.queue_by_hand(&other, &mut first, 1).await;
        let second = stage.spawn_wait(&other, &stage.exclusive());
        stage.queue_has(&other, 2).await;
        let release = soon("release", holder.release());
        // The grant is on its way to a future that nobody polls, and then nobody has.
        let (released, ()) = tokio::join!(release, async { drop(first) });
        released.expect("held");
        let lease = soon("the next one goes", second).await.expect("no panic").expect("granted");
        stage.give_back(lease).await;
        stage.is_free(&other).await;
    }
}

/// Dropped while the link is silent: nothing is left once the link is back, or the TTL is over.
pub async fn r06_dropped_on_a_silent_link(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let holder = stage.take(&other, &stage.exclusive()).await;
    // While it is sent, and while it waits.
    link.cut().await;
    let sent = stage.spawn_wait(&client, &stage.brief(Renewal::Auto));
    tokio::task::yield_now().await;
    sent.abort();
    link.restore().await;
    stage.queue_has(&other, 0).await;

    let waits = stage.spawn_wait(&client, &stage.brief(Renewal::Auto));
    stage.queue_has(&other, 1).await;
    link.cut().await;
    waits.abort();
    assert!(waits.await.is_err_and(|error| error.is_cancelled()));
    link.restore().await;
    stage.queue_has(&other, 0).await;
    stage.give_back(holder).await;
    stage.give_back(stage.wait(&other, &stage.exclusive()).await).await;
}

/// Every reply to the acquisition is lost: the caller is told that nobody knows, and the record is
/// withdrawn.
pub async fn r06_an_unknown_acquisition_is_withdrawn(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    for _ in 0..SWALLOWED {
        link.swallow_reply(Step::Acquire).await;
    }
    let error = soon("the acquisition ends", client.lock.try_lock(&stage.exclusive())).await;
    let error = error.expect_err("no reply came");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    assert!(error.may_hold_until().is_some(), "it does not say until when");
    assert!(link.has_landed().await, "not every reply was swallowed");
    stage.is_free(&other).await;
    stage.give_back(stage.take(&other, &stage.exclusive()).await).await;
}

/// Await points that are tried on a wait that does not end.
const POINTS: usize = 8;
const DROPS: usize = 1_000;
/// As often as the engine asks.
const SWALLOWED: usize = 3;
