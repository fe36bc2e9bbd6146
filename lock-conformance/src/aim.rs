//! Renewals at the very moment at which a hold ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use lockcore::{BootInstant, ErrorKind, Guard, Locks, LossCause, Renewal};
use tokio::task::JoinSet;

use crate::lab::take;
use crate::time::{pause, scaled, soon};

/// Renews `count` holds that nobody else renews just before their deadline, at it, or just after.
/// What is renewed stands in the store, as `other` sees; what is not is lost for good.
///
/// # Panics
///
/// If a holder believes what the store does not have, or if no renewal came in time, or none too
/// late.
pub async fn at_the_deadline(locks: &Locks, other: &Locks, seed: u64, count: usize) {
    let mut kept = 0;
    for batch in 0..count.div_ceil(BATCH) {
        let mut tasks = JoinSet::new();
        for number in batch * BATCH..count.min((batch + 1) * BATCH) {
            let (locks, other) = (locks.clone(), other.clone());
            let rng = Rng::with_seed(seed.wrapping_add(number as u64));
            let begins = scaled(GAP * (number % BATCH) as u32);
            tasks.spawn(async move {
                pause(begins).await;
                renews_at_the_deadline(locks, other, rng, format!("aimed-{number}")).await
            });
        }
        while let Some(task) = tasks.join_next().await {
            kept += usize::from(task.expect("a renewal that is aimed"));
        }
    }
    println!("{kept} of {count} renewals came in time");
    assert!(kept > 0, "none came in time");
    assert!(kept < count, "none came too late");
}

/// Whether it came in time.
async fn renews_at_the_deadline(locks: Locks, other: Locks, mut rng: Rng, name: String) -> bool {
    let lock = locks.mutex(&name).expect("a name").renewal(Renewal::Never);
    let guard = take(&lock).await;
    let deadline = guard.deadline();
    let aim = Duration::from_micros(rng.u64(..scaled(AIM).as_micros() as u64));
    lockcore::sleep_until(deadline.saturating_add(LATE).saturating_sub(aim)).await;
    let kept = match soon("a renewal", guard.renew()).await {
        Ok(()) => {
            assert!(guard.deadline() > deadline || !guard.is_held(), "no time was won");
            let rival = other.mutex(&name).expect("a name").try_lock().await;
            // It may have been over meanwhile, and a busy machine may not answer.
            if guard.is_held() {
                let granted = rival.is_ok_and(|rival| rival.is_some());
                assert!(!granted, "renewed, and somebody else has it");
            }
            true
        }
        Err(error) => {
            let is_lost = error.kind() == ErrorKind::Lost;
            assert!(is_lost || error.is_transient(), "{error}");
            assert!(!is_lost || !guard.is_held(), "refused, and still believed");
            false
        }
    };
    soon("the loss", guard.lost()).await;
    let next = soon("the next one", take(&other.mutex(&name).expect("a name"))).await;
    assert!(next.token() > guard.token() && !guard.is_held());
    next.release().await.expect("it is held");
    kept
}

/// Renews `count` holds again and again while `removes` takes them out of the store, which it has
/// done when it returns. A renewal that begins after that is refused, moves no deadline, and ends the
/// belief.
///
/// # Panics
///
/// If it does not.
pub async fn at_the_removal<R>(locks: &Locks, seed: u64, count: usize, removes: R)
where
    R: AsyncFn(&str, Renewal),
{
    let mut rng = Rng::with_seed(seed);
    let mut renewed = 0;
    for number in 0..count {
        let renewal = if number % 2 == 0 { Renewal::Never } else { Renewal::Auto };
        let name = format!("removed-{number}");
        let lock = locks.mutex(&name).expect("a name").renewal(renewal);
        let guard = Arc::new(soon("a free lock", lock.lock()).await.expect("a free lock"));
        let removed = Arc::new(AtomicU64::new(BootInstant::FAR.as_nanos()));
        let seed = Rng::with_seed(rng.u64(..));
        let renews = tokio::spawn(renews_until_lost(guard.clone(), removed.clone(), seed));
        pause(Duration::from_micros(rng.u64(..2_000))).await;
        removes(&name, renewal).await;
        removed.store(BootInstant::now().as_nanos(), SeqCst);
        renewed += soon("a renewal is refused", renews).await.expect("renewals");
        assert!(!guard.is_held(), "{renewal:?}: it believes in what is gone");
        let guard = Arc::into_inner(guard).expect("nobody renews it any more");
        let error = guard.release().await.expect_err("it is gone");
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{renewal:?}: {error}");
    }
    println!("{renewed} renewals of {count} holds that were taken away meanwhile");
}

/// How many came before the removal.
async fn renews_until_lost(guard: Arc<Guard>, removed: Arc<AtomicU64>, mut rng: Rng) -> usize {
    for renewals in 0.. {
        pause(Duration::from_micros(rng.u64(..3_000))).await;
        let begun = BootInstant::now();
        match guard.renew().await {
            Ok(()) => {
                let removed = BootInstant::from_nanos(removed.load(SeqCst));
                assert!(begun < removed, "renewed though it was gone before");
            }
            Err(error) if error.kind() == ErrorKind::Lost => {
                let cause = error.loss_cause();
                let known = [LossCause::Revoked, LossCause::SessionEnded, LossCause::Expired];
                assert!(cause.is_some_and(|cause| known.contains(&cause)), "{error}");
                return renewals;
            }
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    unreachable!("BUG: it renews until it is refused")
}

/// So many at a time, for each lives for a TTL; one after the other, so that they are not in each
/// other's way.
const BATCH: usize = 250;
const GAP: Duration = Duration::from_millis(8);
/// So early is the first aimed at, before and after the last.
const AIM: Duration = Duration::from_millis(80);
const LATE: Duration = Duration::from_millis(2);
