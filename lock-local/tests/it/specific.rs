//! What only a store in one process can show.

use std::time::Duration;

use lock_conformance::time::{eventually, patience, soon};
use lock_local::{LocalConfig, LocalLock};
use lockcore::{
    BootInstant, ErrorKind, Lease as _, Lock as _, LockName, LossCause, Mode, Renewal, Request,
    Rule, Ttl,
};

fn request(name: &str) -> Request {
    Request::new(LockName::new(name).unwrap(), Mode::Exclusive)
}

fn brief(name: &str, ttl: Duration) -> Request {
    let request = request(name).with_ttl(Ttl::new(ttl).unwrap()).unwrap();
    request.with_renewal(Renewal::Never).unwrap()
}

#[test]
fn clients_of_the_process_share_what_is_under_one_prefix() {
    let [first, second] = [(); 2].map(|()| LocalConfig::new().prefix("share").connect());
    let other = LocalConfig::new().prefix("apart").connect();
    let held = first.try_acquire(&request("a")).unwrap().unwrap();
    assert!(second.try_acquire(&request("a")).unwrap().is_none());
    assert!(other.try_acquire(&request("a")).unwrap().is_some());
    assert!(LocalLock::new().try_acquire(&request("a")).unwrap().is_some());
    // The lease alone keeps the store alive.
    drop((first, second));
    let late = LocalConfig::new().prefix("share").connect();
    assert!(late.try_acquire(&request("a")).unwrap().is_none());
    drop(held);
    assert!(late.try_acquire(&request("a")).unwrap().is_some());
}

#[test]
fn no_runtime_is_needed_to_try_and_to_give_back() {
    let store = LocalLock::new();
    let lease = store.try_acquire(&request("a")).unwrap().unwrap();
    assert!(lease.is_held());
    let released = lease.give_back().unwrap();
    assert_eq!(released.token, lease.token());
    assert_eq!(lease.give_back().unwrap_err().kind(), ErrorKind::NotHeld);
    drop(lease);
    assert_eq!(store.claims(), 0);
}

#[test]
fn the_deadline_of_a_renewed_hold_is_always_a_belief_away() {
    let store = LocalLock::new();
    let lease = store.try_acquire(&request("a")).unwrap().unwrap();
    let before = BootInstant::now();
    let deadline = lease.deadline();
    assert!(deadline >= before.saturating_add(Ttl::DEFAULT.belief()));
    assert!(deadline <= BootInstant::now().saturating_add(Ttl::DEFAULT.belief()));
    lease.give_back().unwrap();
    assert!(lease.deadline() < before, "a hold that ended has no deadline to come");
}

#[test]
fn holds_end_without_a_runtime_and_in_their_order() {
    let store = LocalLock::new();
    let waits = std::thread::spawn({
        let store = store.clone();
        move || {
            let long =
                store.try_acquire(&brief("long", Duration::from_millis(300))).unwrap().unwrap();
            let short =
                store.try_acquire(&brief("short", Duration::from_millis(150))).unwrap().unwrap();
            // The runtime of this thread ends before the holds do.
            (long, short)
        }
    });
    let (long, short) = waits.join().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let next = soon("the short one", store.acquire(&request("short"))).await.unwrap();
        assert!(!short.is_held() && next.is_held());
        let next = soon("the long one", store.acquire(&request("long"))).await.unwrap();
        assert!(!long.is_held() && next.is_held());
    });
}

#[test]
fn the_thread_of_ends_runs_only_while_there_are_some() {
    let store = LocalLock::new();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("leasehold-expir")).count()
    };
    // Other tests of this process have stores of their own, with ends of their own.
    drop(store.try_acquire(&request("a")).unwrap());
    let lease = store.try_acquire(&brief("a", Duration::from_secs(30))).unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(eventually("the thread has its name", || async { threads() >= 1 }));
    lease.give_back().unwrap();
    // The last of the others' ends is less than this away.
    runtime.block_on(eventually("the thread ends", || async { threads() == 0 }));
}

#[tokio::test]
async fn a_renewal_moves_the_end_for_those_who_wait() {
    let store = LocalLock::new();
    let ttl = Duration::from_millis(300);
    let mut renewed = BootInstant::now();
    let lease = store.acquire(&brief("a", ttl)).await.unwrap();
    let waiter = {
        let store = store.clone();
        tokio::spawn(async move { store.acquire(&request("a")).await.unwrap() })
    };
    for _ in 0..3 {
        let half = lease.deadline().saturating_sub(ttl / 2);
        lockcore::sleep_until(half).await;
        renewed = BootInstant::now();
        lease.renew().await.unwrap();
        assert!(lease.is_held());
    }
    assert_eq!(soon("the loss", lease.lost()).await, LossCause::Expired);
    let next = soon("the waiter's turn", waiter).await.unwrap();
    assert!(renewed.elapsed() >= ttl, "granted {:?} after a renewal", renewed.elapsed());
    drop(next);
    assert_eq!(store.claims(), 0);
}

#[tokio::test]
async fn an_old_end_does_not_end_the_next_hold() {
    let store = LocalLock::new();
    let ttl = Duration::from_millis(200);
    let first = store.acquire(&brief("a", ttl)).await.unwrap();
    let end = first.deadline().saturating_add(ttl);
    first.give_back().unwrap();
    let second = store.acquire(&request("a")).await.unwrap();
    lockcore::sleep_until(end).await;
    assert!(second.is_held());
    assert!(store.try_acquire(&request("a")).unwrap().is_none());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let error = LocalConfig::new().max_waiters(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("max_waiters"), "{error}");
}

#[test]
fn exceptions_are_declared_with_their_reasons() {
    let store = LocalLock::new();
    let excepted: Vec<_> = store.guarantees().exceptions().iter().map(|(rule, _)| *rule).collect();
    assert_eq!(excepted, [Rule::R2, Rule::R7, Rule::R12]);
    assert!(patience() > Duration::ZERO);
}

#[test]
fn tokens_do_not_run_ahead_of_the_clock() {
    let nanos = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let store = LocalLock::new();
    let mut last = 0;
    for _ in 0..200_000 {
        last = store.try_acquire(&request("a")).unwrap().unwrap().token().as_u64();
    }
    // Another run of the program begins at its clock, which is later than now.
    assert!(last <= nanos(), "the next run would begin {} ns below", last - nanos());
}
