//! Schedules of the engine's tasks, explored. Run by `cargo xtask test`, which sets `--cfg shuttle`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(shuttle)]

mod shaky;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lock_conformance::cancel::UpTo;
use lock_conformance::explore::{explore, pick, within};
use lockcore::{
    BootInstant, ErrorKind, Lease, Lock as _, LossCause, Renewal, TryLock as _, rt, term,
};
use shuttle::future::{JoinHandle, spawn};
use shuttle::sync::Mutex;

use stage::{Stage, join_all, request, ttl};

const SCHEDULES: usize = 20_000;

/// Each of the ways in which a holder may go.
async fn leave(lease: Box<dyn Lease>, is_fine: bool) {
    match pick(&[0, 1, 2, 3]) {
        0 => drop(lease),
        1 => {
            if let Err(error) = lease.release().await {
                let cause = lease.lost().await;
                assert!(cause == LossCause::Shutdown || !is_fine, "{error}, and {cause}");
            }
        }
        n => drop(UpTo::new(async move { drop(lease.release().await) }, *n - 2).await),
    }
}

/// A grant on its way meets a waiter that goes: the next one has it, never nobody.
#[test]
fn a_grant_meets_a_drop() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let held = stage.take(&request(Renewal::Auto)).await;
            let began = BootInstant::now();
            stage.shake();
            let releases = spawn(leave(held, stage.is_fine()));
            let goes = {
                let (engine, point) = (stage.engine.clone(), *pick(&[0, 1, 2, 3, 4, 6, 9]));
                spawn(async move {
                    drop(UpTo::new(engine.lock(&request(Renewal::Auto)), point).await);
                })
            };
            let stays = {
                let (engine, is_fine) = (stage.engine.clone(), stage.is_fine());
                spawn(async move {
                    let outcome = engine.lock(&request(Renewal::Auto)).await;
                    assert!(outcome.is_ok() || !is_fine, "{outcome:?}");
                })
            };
            join_all(vec![releases, goes, stays]).await;
            stage.assert_prompt(began);
            stage
        });
    });
}

/// Waiters go while the lock is held on: they are out of the queue at once.
#[test]
fn a_waiter_goes() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let held = stage.take(&request(Renewal::Auto)).await;
            stage.shake();
            let goes = |_| {
                let (engine, point) = (stage.engine.clone(), *pick(&[1, 2, 3, 4, 5, 7]));
                spawn(async move {
                    drop(UpTo::new(engine.lock(&request(Renewal::Auto)), point).await);
                })
            };
            join_all((0..2).map(goes).collect()).await;
            within(stage.limit(), "only the holder", || stage.store.records() <= 1).await;
            leave(held, stage.is_fine()).await;
            stage
        });
    });
}

/// A lock is given back when its renewal is due or under way: it is not renewed afterwards.
#[test]
fn a_renewal_meets_a_release() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let began = BootInstant::now();
            let lease = stage.take(&request(Renewal::Auto)).await;
            stage.shake();
            let due = began.saturating_add(ttl().renewal_period());
            let early = Duration::from_millis(*pick(&[0, 1, 2, 3]));
            rt::sleep(due.saturating_sub(early).remaining()).await;
            for _ in 0..*pick(&[0, 1, 2, 4]) {
                shuttle::future::yield_now().await;
            }
            if *pick(&[true, false]) {
                let outcome = lease.release().await;
                assert!(outcome.is_ok() || !stage.is_fine(), "{outcome:?}");
            } else {
                leave(lease, stage.is_fine()).await;
            }
            stage
        });
    });
}

/// Shuts down; when that is over nothing is left.
fn shut_down(stage: &Stage) -> JoinHandle<()> {
    let (engine, store) = (stage.engine.clone(), stage.store.clone());
    let (is_fine, is_prompt) = (stage.is_fine(), stage.is_prompt());
    spawn(async move {
        let outcome = engine.shutdown().await;
        assert!(outcome.is_ok() || !is_fine, "{outcome:?}");
        if outcome.is_ok() && is_prompt {
            assert_eq!(store.records(), 0, "after the shutdown");
        }
        assert!(!is_fine || store.sessions() == 0, "a session after the shutdown");
        let refused = engine.try_lock(&request(Renewal::Auto)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    })
}

/// A client shuts down while a lock of it is given back.
#[test]
fn a_shutdown_meets_a_release() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let held = stage.take(&request(Renewal::Auto)).await;
            stage.shake();
            join_all(vec![spawn(leave(held, stage.is_fine())), shut_down(&stage)]).await;
            stage
        });
    });
}

/// A client shuts down when a lock of it was held for as long as it may be.
#[test]
fn a_shutdown_meets_an_end() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let (began, limit) = (BootInstant::now(), ttl().as_duration());
            let held = stage.take(&request(Renewal::AutoUntil(limit))).await;
            stage.shake();
            rt::sleep(term::hold_limit(began, limit, ttl()).remaining()).await;
            shut_down(&stage).await.unwrap();
            let cause = held.lost().await;
            assert!(matches!(cause, LossCause::MaxHold | LossCause::Shutdown) || !stage.is_fine());
            stage
        });
    });
}

/// A client shuts down while it takes, waits and holds, and while locks are given back.
#[test]
fn a_shutdown_meets_everything() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let held = stage.take(&request(Renewal::Auto)).await;
            let began = BootInstant::now();
            stage.shake();
            let mut tasks = vec![spawn(leave(held, stage.is_fine()))];
            for waits in [true, false] {
                let (engine, is_fine) = (stage.engine.clone(), stage.is_fine());
                tasks.push(spawn(async move {
                    let request = request(*pick(&[Renewal::Auto, Renewal::Never]));
                    let outcome = if waits {
                        engine.lock(&request).await.map(Some)
                    } else {
                        engine.try_lock(&request).await
                    };
                    match outcome {
                        Ok(Some(lease)) if *pick(&[true, false]) => {
                            let cause = lease.lost().await;
                            assert!(cause == LossCause::Shutdown || !is_fine, "{cause}");
                        }
                        Ok(_) => {}
                        Err(error) => {
                            assert!(error.kind() == ErrorKind::Closed || !is_fine, "{error}");
                        }
                    }
                }));
            }
            tasks.extend([shut_down(&stage), shut_down(&stage)]);
            join_all(tasks).await;
            stage.assert_prompt(began);
            stage
        });
    });
}

/// A lock is lost while it is released, twice, and while somebody waits for the loss: one of them is
/// told, and all agree.
#[test]
fn a_loss_meets_a_release() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            let began = BootInstant::now();
            let limit = ttl().as_duration();
            let renewal = *pick(&[Renewal::Auto, Renewal::Never, Renewal::AutoUntil(limit)]);
            let lease: Arc<dyn Lease> = stage.take(&request(renewal)).await.into();
            stage.shake();
            let told = {
                let lease = lease.clone();
                spawn(async move { lease.lost().await })
            };
            let released = Arc::new(Mutex::new(0));
            let mut tasks = Vec::new();
            for _ in 0..2 {
                let (lease, released) = (lease.clone(), released.clone());
                let at = match renewal {
                    Renewal::Auto => began.saturating_add(ttl().renewal_period()),
                    Renewal::AutoUntil(limit) => term::hold_limit(began, limit, ttl()),
                    Renewal::Never => term::deadline(began, ttl()),
                };
                let early = Duration::from_millis(*pick(&[0, 0, 1, 2, 5]));
                tasks.push(spawn(async move {
                    rt::sleep(at.saturating_sub(early).remaining()).await;
                    match lease.release().await {
                        Ok(_) => *released.lock().unwrap() += 1,
                        Err(error) if error.kind() == ErrorKind::NotHeld => {}
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Indeterminate),
                    }
                    assert!(!lease.is_held(), "held after the release");
                }));
            }
            if *pick(&[true, false]) {
                let store = stage.store.clone();
                tasks.push(spawn(async move { store.revoke("name") }));
            }
            join_all(tasks).await;
            let over = BootInstant::now();
            let cause = told.await.unwrap();
            stage.assert_prompt(over);
            let released = *released.lock().unwrap();
            assert!(released <= 1, "released twice");
            assert!(released == 0 || cause == LossCause::Released, "released, and lost by {cause}");
            drop(lease);
            stage
        });
    });
}

/// Three take, try, wait, give up and hold for a time, and none sees another inside.
#[test]
fn nobody_is_inside_with_another() {
    explore(SCHEDULES, || {
        Stage::play(async |stage| {
            stage.shake();
            let all: Arc<Mutex<Vec<Arc<dyn Lease>>>> = Arc::default();
            let worker = |_| {
                let (engine, all) = (stage.engine.clone(), all.clone());
                spawn(async move {
                    let renewal = *pick(&[Renewal::Auto, Renewal::Auto, Renewal::Never]);
                    let request = request(renewal);
                    let lease = match pick(&[0, 1, 2, 2]) {
                        0 => engine.try_lock(&request).await.ok().flatten(),
                        1 => {
                            let point = *pick(&[1, 2, 3, 5, 8]);
                            UpTo::new(engine.lock(&request), point).await.and_then(Result::ok)
                        }
                        _ => engine.lock(&request).await.ok(),
                    };
                    let Some(lease) = lease.map(Arc::<dyn Lease>::from) else { return };
                    let believers = {
                        let mut all = all.lock().unwrap();
                        all.push(lease.clone());
                        all.iter().filter(|lease| lease.is_held()).count()
                    };
                    assert!(believers <= 1, "{believers} believe at once");
                    rt::sleep(Duration::from_millis(*pick(&[0, 1, 3_000, 10_000]))).await;
                    if *pick(&[true, false]) {
                        let _ = lease.release().await;
                    } else {
                        lease.give_up();
                    }
                })
            };
            join_all((0..3).map(worker).collect()).await;
            let all = all.lock().unwrap();
            let tokens: BTreeSet<_> = all.iter().map(|lease| lease.token()).collect();
            assert_eq!(tokens.len(), all.len(), "a token came twice");
            stage
        });
    });
}
