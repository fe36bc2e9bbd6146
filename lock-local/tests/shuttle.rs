//! Schedules of the in-process store, explored: every lock of a mutex is a point where another
//! thread may go on. Run by `cargo xtask test`, which sets `--cfg shuttle`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(shuttle)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use lock_conformance::cancel::UpTo;
use lock_conformance::explore::explore;
use lock_local::{LocalLease, LocalLock};
use lockcore::{
    ErrorKind, Lease as _, Lock as _, LockName, LossCause, Mode, Renewal, Request, Ttl,
};
use shuttle::future::block_on;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::sync::Mutex;
use shuttle::thread;

const SCHEDULES: usize = 20_000;
const TTL: Duration = Duration::from_secs(10);

fn request(mode: Mode) -> Request {
    Request::new(LockName::new("name").expect("a name"), mode)
}

fn brief() -> Request {
    let request = request(Mode::Exclusive).with_ttl(Ttl::new(TTL).expect("a TTL"));
    request.and_then(|request| request.with_renewal(Renewal::Never)).expect("goes together")
}

fn run_all(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Holds a lock for a moment, alone if it is exclusive.
fn hold(inside: &AtomicUsize, mode: Mode, lease: LocalLease) {
    let (alone, with) = (1_000, 1);
    let step = if mode == Mode::Exclusive { alone } else { with };
    let before = inside.fetch_add(step, SeqCst);
    assert!(before == 0 || (mode == Mode::Shared && before < alone), "{before} were inside");
    thread::yield_now();
    inside.fetch_sub(step, SeqCst);
    if thread_rng().gen_bool(0.5) {
        lease.give_back().expect("held");
    }
}

/// Three threads lock, try, wait and give up, as readers and writers; in the end nothing is left.
#[test]
fn lock_try_cancel_release() {
    explore(SCHEDULES, || {
        let store = LocalLock::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let worker = |_| {
            let (lock, inside) = (store.sibling(), inside.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let mode =
                        if thread_rng().gen_bool(0.6) { Mode::Exclusive } else { Mode::Shared };
                    let request = request(mode);
                    let lease = match thread_rng().gen_range(0..3u32) {
                        0 => lock.try_acquire(&request).expect("open"),
                        1 => {
                            let point = thread_rng().gen_range(0..3usize);
                            block_on(UpTo::new(lock.acquire(&request), point))
                                .map(|lease| lease.expect("open"))
                        }
                        _ => Some(block_on(lock.acquire(&request)).expect("open")),
                    };
                    if let Some(lease) = lease {
                        hold(&inside, mode, lease);
                    }
                }
            })
        };
        run_all((0..3).map(worker).collect());
        assert_eq!(store.claims(), 0, "somebody is left");
    });
}

/// A grant on its way meets a waiter that goes: the next one has it, never nobody.
#[test]
fn a_grant_meets_a_drop() {
    explore(SCHEDULES, || {
        let store = LocalLock::new();
        let held = store.try_acquire(&request(Mode::Exclusive)).expect("open").expect("free");
        let releases = thread::spawn(move || drop(held));
        let goes = {
            let lock = store.sibling();
            thread::spawn(move || {
                drop(block_on(UpTo::new(lock.acquire(&request(Mode::Exclusive)), 1)));
            })
        };
        let stays = {
            let lock = store.sibling();
            thread::spawn(move || {
                drop(block_on(lock.acquire(&request(Mode::Exclusive))).expect("granted"));
            })
        };
        run_all(vec![releases, goes, stays]);
        assert_eq!(store.claims(), 0, "somebody is left");
    });
}

/// Holds end by themselves while others wait, release late and renew: two never believe at once,
/// and no token comes twice.
#[test]
fn expire_renew_release() {
    explore(SCHEDULES, || {
        let store = LocalLock::new();
        let held: Arc<Mutex<Vec<Arc<LocalLease>>>> = Arc::default();
        let worker = |renews: bool| {
            let (lock, held) = (store.sibling(), held.clone());
            thread::spawn(move || {
                let lease = Arc::new(block_on(lock.acquire(&brief())).expect("open"));
                let mut all = held.lock().expect("no panic");
                all.push(lease.clone());
                let believers = all.iter().filter(|lease| lease.is_held()).count();
                drop(all);
                assert!(believers <= 1, "{believers} believe at once");
                if renews {
                    let renewed = block_on(lease.renew());
                    assert!(renewed.is_ok() || !lease.is_held(), "held, and not renewed");
                }
                let was_held = lease.is_held();
                match lease.give_back() {
                    Ok(released) => assert_eq!(released.token, lease.token()),
                    // Its end may have come between the two.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotHeld),
                }
                assert!(!lease.is_held(), "held after the release ({was_held} before)");
            })
        };
        let time = {
            let lock = store.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    lock.advance(TTL / 2 + Duration::from_millis(1));
                }
            })
        };
        run_all(vec![worker(false), worker(true), worker(false), time]);
        assert_eq!(store.claims(), 0, "somebody is left");
        let all = held.lock().expect("no panic");
        let tokens: BTreeSet<_> = all.iter().map(|lease| lease.token()).collect();
        assert_eq!(tokens.len(), 3, "a token came twice");
    });
}

/// A client shuts down while it takes, holds and waits: its waiters fail, its locks go on, and
/// whoever belongs to another client is served.
#[test]
fn shutdown_meets_everything() {
    explore(SCHEDULES, || {
        let store = LocalLock::new();
        let closing = store.sibling();
        let ends = {
            let lock = closing.clone();
            thread::spawn(move || block_on(lock.shutdown()).expect("no error"))
        };
        let ours = || {
            let lock = closing.clone();
            thread::spawn(move || match block_on(lock.acquire(&request(Mode::Exclusive))) {
                Ok(lease) => {
                    // The shutdown may come while it is held; then it is lost, and not held.
                    if let Err(error) = lease.give_back() {
                        assert_eq!(error.kind(), ErrorKind::NotHeld);
                        assert_eq!(block_on(lease.lost()), LossCause::Shutdown);
                    }
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
            })
        };
        let theirs = {
            let lock = store.sibling();
            thread::spawn(move || {
                drop(block_on(lock.acquire(&request(Mode::Exclusive))).expect("served"));
            })
        };
        run_all(vec![ends, ours(), ours(), theirs]);
        let error = closing.try_acquire(&request(Mode::Exclusive)).expect_err("shut down");
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(store.claims(), 0, "somebody is left");
    });
}
