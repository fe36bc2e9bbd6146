//! R4: loss is signalled in time. R7: what a dead holder leaves is granted again. R12: a waiter
//! whose session died learns of it.

use std::time::Duration;

use lockcore::{BootInstant, ErrorKind, LockName, LossCause, Mode, Renewal};

use crate::harness::Step;
use crate::stage::{Stage, permit};
use crate::time::{block, eventually, pause, scaled, soon};

/// By the deadline, which is before the store lets anybody else in.
pub async fn r04_loss_is_signalled_by_the_deadline(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let before = BootInstant::now();
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    let deadline = lease.deadline();
    assert!(lease.is_held() && deadline > before);
    assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired);
    let signalled = BootInstant::now();
    assert!(signalled >= deadline, "signalled before the deadline");
    assert!(signalled < deadline.saturating_add(scaled(PROMPT)), "signalled too late");
    assert!(!lease.is_held());
    // What is promised of the arithmetic: the belief ends a margin before the TTL.
    let ttl = stage.short_ttl();
    let latest = signalled.saturating_add(ttl.as_duration());
    assert!(deadline <= latest.saturating_sub(ttl.margin()), "no margin is left");
    let next = stage.wait(&other, &stage.brief(Renewal::Never)).await;
    let granted = BootInstant::now();
    assert!(granted >= before.saturating_add(ttl.as_duration()), "granted before the TTL was over");
    stage.give_back(next).await;
}

/// A thread that did nothing for longer than the TTL knows at its first look.
pub async fn r04_a_blocked_runtime_knows_at_once(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    // Where the session is known to live on, the deadline moves, as far as to here.
    let deadline = BootInstant::now().saturating_add(stage.short_ttl().belief());
    assert!(lease.is_held() && lease.deadline() <= deadline);
    tokio::task::spawn_blocking(move || {
        block(deadline.remaining() + Duration::from_millis(1));
        assert!(!lease.is_held(), "held past its deadline");
    })
    .await
    .expect("the first look says no");
}

/// The deadline counts from before the request was sent, however late the answer comes.
pub async fn r04_the_deadline_counts_from_the_request(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let ttl = stage.short_ttl();
    // A session may be opened first: that is not what is measured.
    stage.give_back(stage.take(&client, &stage.brief(Renewal::Never)).await).await;
    let late = (ttl.belief() / 4).max(Duration::from_millis(20));
    link.delay(Duration::ZERO, late).await;
    let asked = BootInstant::now();
    let lease = stage.take(&client, &stage.brief(Renewal::Never)).await;
    let answered = BootInstant::now();
    assert!(answered >= asked.saturating_add(late), "the delay did not land");
    let latest = answered.saturating_add(ttl.belief()).saturating_sub(late);
    assert!(lease.deadline() <= latest, "the deadline counts from the reply");
    link.delay(Duration::ZERO, Duration::ZERO).await;
}

/// While it is renewed, it is held over many TTLs, nobody else gets it, and no loss is signalled.
pub async fn r04_renewal_keeps_it(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    let until = BootInstant::now().saturating_add(stage.short_ttl().as_duration() * 3);
    let watch = async {
        while BootInstant::now() < until {
            assert!(lease.is_held(), "a renewed lock was lost");
            assert!(stage.is_busy(&other, &stage.brief(Renewal::Auto)).await, "two at once");
            pause(stage.short_ttl().as_duration() / 10).await;
        }
    };
    tokio::select! {
        cause = lease.lost() => panic!("a renewed lock was lost: {cause}"),
        () = watch => {}
    }
    stage.give_back(lease).await;
}

/// Held for as long as allowed and no longer, though it is renewed.
pub async fn r04_a_hold_has_its_limit(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let max_hold = stage.short_ttl().as_duration() * 2;
    let before = BootInstant::now();
    let lease = stage.take(&client, &stage.brief(Renewal::AutoUntil(max_hold))).await;
    let waiter = stage.spawn_wait(&other, &stage.exclusive());
    assert_eq!(soon("the loss", lease.lost()).await, LossCause::MaxHold);
    let lost = BootInstant::now();
    assert!(lost >= before.saturating_add(stage.short_ttl().as_duration()), "lost after one TTL");
    assert!(lost <= before.saturating_add(max_hold + scaled(PROMPT)), "lost too late");
    // The next one goes on, though the holder holds on to its lease.
    let next = soon("the next one's turn", waiter).await.expect("no panic").expect("granted");
    assert!(!lease.is_held() && next.is_held());
    assert_eq!(lease.renew().await.expect_err("its time is over").kind(), ErrorKind::Lost);
}

/// The silent link: no answer, no error. The holder stops in time all the same.
pub async fn r04_a_silent_link_ends_the_belief(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    link.cut().await;
    let cut = BootInstant::now();
    soon("the loss", lease.lost()).await;
    let lost = BootInstant::now();
    let ttl = stage.short_ttl();
    assert!(lost <= cut.saturating_add(ttl.belief() + scaled(PROMPT)), "lost too late");
    let next = stage.wait(&other, &stage.brief(Renewal::Never)).await;
    assert!(!lease.is_held(), "two believe at once");
    drop(lease);
    stage.give_back(next).await;
    link.restore().await;
}

/// One renewal without an answer is no loss.
pub async fn r04_one_failed_renewal_is_no_loss(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    link.swallow_reply(Step::Renew).await;
    let until = BootInstant::now().saturating_add(stage.short_ttl().as_duration() * 2);
    eventually("the renewal's reply is swallowed", || link.has_landed()).await;
    pause(until.remaining()).await;
    assert!(lease.is_held(), "lost by one failed renewal");
    stage.give_back(lease).await;
}

/// Removed by an administrator: the holder learns within a renewal period.
pub async fn r04_a_removed_record_is_noticed(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    stage.harness().revoke(stage.name().as_str()).await;
    let removed = BootInstant::now();
    let cause = soon("the loss", lease.lost()).await;
    assert_eq!(cause, LossCause::Revoked);
    let period = stage.short_ttl().renewal_period();
    assert!(
        removed.elapsed() <= period * 2 + scaled(PROMPT),
        "noticed after {:?}",
        removed.elapsed()
    );
    assert_eq!(lease.release().await.expect_err("removed").kind(), ErrorKind::NotHeld);
}

/// Who has lost a lock on a silent link renews it no more once the link is back: the next one goes,
/// though the holder keeps its lease.
pub async fn r04_a_lost_lock_is_not_renewed(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    link.cut().await;
    soon("the loss", lease.lost()).await;
    link.restore().await;
    let restored = BootInstant::now();
    let next = stage.wait(&other, &stage.exclusive()).await;
    let limit = stage.short_ttl().as_duration() + stage.slack();
    assert!(restored.elapsed() <= limit, "granted {:?} after the loss", restored.elapsed());
    assert!(!lease.is_held() && next.is_held());
    stage.give_back(next).await;
}

/// Removed by an administrator: a renewal by hand is told so, and moves no deadline.
pub async fn r03_a_renewal_of_what_was_removed_is_refused(stage: &Stage) {
    let client = stage.client().await;
    for renewal in [Renewal::Never, Renewal::Auto] {
        // Nobody else looks after it meanwhile.
        let request = stage.exclusive().with_renewal(renewal).expect("goes with any TTL");
        let lease = stage.take(&client, &request).await;
        soon("renew", lease.renew()).await.expect("it is held");
        stage.harness().revoke(stage.name().as_str()).await;
        let deadline = lease.deadline();
        let error = soon("renew", lease.renew()).await.expect_err("it was removed");
        assert_eq!((error.kind(), error.loss_cause()), (ErrorKind::Lost, Some(LossCause::Revoked)));
        assert!(!lease.is_held() && lease.deadline() <= deadline, "{renewal:?}: it goes on");
        assert_eq!(lease.release().await.expect_err("removed").kind(), ErrorKind::NotHeld);
        stage.is_free(&client).await;
    }
}

/// A holder that is heard of no more: its lock is free once the TTL is over, and not before.
pub async fn r07_a_dead_holders_lock_is_granted(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    let waiter = stage.spawn_wait(&other, &stage.exclusive());
    stage.queue_has(&other, 1).await;
    link.cut().await;
    // The store has heard of it last before now, and after its deadline less one belief.
    let ttl = stage.short_ttl();
    let heard = lease.deadline().saturating_sub(ttl.belief());
    let cut = BootInstant::now();
    let next = soon("the lock is granted again", waiter).await.expect("no panic").expect("granted");
    let granted = BootInstant::now();
    assert!(!lease.is_held());
    assert!(granted >= heard.saturating_add(ttl.as_duration()), "granted before the TTL was over");
    let latest = cut.saturating_add(ttl.as_duration() + stage.slack());
    assert!(granted <= latest, "granted {:?} too late", granted.saturating_since(latest));
    stage.give_back(next).await;
    link.restore().await;
}

/// A dead waiter at the head holds the others up no longer than a dead holder would.
pub async fn r07_a_dead_waiter_is_skipped(stage: &Stage) {
    let (dead, link) = stage.client_on_a_link().await;
    let client = stage.client().await;
    let holder = stage.take(&client, &stage.exclusive()).await;
    let ahead = stage.spawn_wait(&dead, &stage.brief(Renewal::Auto));
    stage.queue_has(&client, 1).await;
    let waiter = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&client, 2).await;
    link.cut().await;
    stage.give_back(holder).await;
    let released = BootInstant::now();
    let next = soon("the next one's turn", waiter).await.expect("no panic").expect("granted");
    let limit = stage.short_ttl().as_duration() * 2 + stage.slack();
    assert!(released.elapsed() <= limit, "a dead waiter held up for {:?}", released.elapsed());
    stage.give_back(next).await;
    link.restore().await;
    let gone = soon("the dead waiter learns", ahead).await.expect("no panic");
    if let Ok(lease) = gone {
        stage.give_back(lease).await;
    }
}

/// A waiter whose session was ended in the store is told within a renewal period.
pub async fn r12_a_waiter_without_a_session_learns(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    let holder = stage.take(&other, &stage.exclusive()).await;
    let waiter = stage.spawn_wait(&client, &stage.brief(Renewal::Auto));
    stage.queue_has(&other, 1).await;
    link.kill_session().await;
    let killed = BootInstant::now();
    let error = soon("the waiter learns", waiter).await.expect("no panic").expect_err("no session");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let period = stage.short_ttl().renewal_period();
    assert!(killed.elapsed() <= period * 2 + scaled(PROMPT), "told after {:?}", killed.elapsed());
    stage.give_back(holder).await;
}

/// A waiter whose session was ended in the store is never granted, though its turn would come at
/// once: it is told.
pub async fn r12_a_waiter_without_a_session_is_never_granted(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let other = stage.client().await;
    for (held, wanted) in [
        (Mode::Exclusive, Mode::Exclusive),
        (Mode::Exclusive, Mode::Shared),
        (Mode::Shared, Mode::Exclusive),
        (permit(1), permit(1)),
    ] {
        let holder = stage.take(&other, &stage.request(held)).await;
        // Long, so that no renewal tells it before its turn.
        let waiter = stage.spawn_wait(&client, &stage.request(wanted));
        stage.queue_has(&other, 1).await;
        link.kill_session().await;
        stage.give_back(holder).await;
        let error = soon("the waiter learns", waiter).await.expect("no panic");
        let error = error.expect_err("granted without a session");
        assert_eq!(error.kind(), ErrorKind::Lost, "{wanted}: {error}");
        stage.is_free(&other).await;
        stage.give_back(stage.wait(&client, &stage.request(wanted)).await).await;
    }
}

/// After its session died a client takes locks in a new one, at once and once it knows.
pub async fn r12_a_client_outlives_its_session(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    let lease = stage.take(&client, &stage.brief(Renewal::Auto)).await;
    link.kill_session().await;
    let name = LockName::new(format!("{}/other", stage.name())).expect("a name");
    let other = stage.request_for(&name, Mode::Exclusive).with_ttl(stage.short_ttl());
    let other = stage.take(&client, &other.expect("goes with any renewal")).await;
    assert!(other.is_held());
    stage.give_back(other).await;
    soon("the loss", lease.lost()).await;
    drop(lease);
    let lease = stage.wait(&client, &stage.brief(Renewal::Auto)).await;
    assert!(lease.is_held());
    stage.give_back(lease).await;
}

/// What a signal may take on a busy machine.
const PROMPT: Duration = Duration::from_millis(100);
