//! Many names and many waiters. Run in release mode by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use lock_conformance::time::soon;
use lock_local::LocalLock;
use lockcore::{LockName, Mode, Request};
use tokio::task::JoinSet;

fn request(name: &str) -> Request {
    Request::new(LockName::new(name).unwrap(), Mode::Exclusive)
}

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Both need the process for themselves: one measures its memory, the other one fills it.
#[test]
fn memory_and_crowds() {
    a_million_names();
    a_hundred_thousand_waiters();
}

/// A million names, one after the other and then a hundred thousand at a time, leave no memory.
fn a_million_names() {
    let store = LocalLock::new();
    let names =
        |from: usize, to: usize| (from..to).map(|number| request(&format!("name/{number}")));
    // The first round brings the allocator and the table to their working size.
    for request in names(0, 100_000) {
        store.try_acquire(&request).unwrap().unwrap().give_back().unwrap();
    }
    let before = resident();
    for request in names(0, 1_000_000) {
        store.try_acquire(&request).unwrap().unwrap().give_back().unwrap();
    }
    assert_eq!(store.claims(), 0);
    let after = resident();
    println!("1,000,000 names locked and released: {before} KiB before, {after} KiB after");
    assert!(after * 100 <= before * 105, "{before} KiB grew to {after} KiB");

    // All at once, again and again. What the allocator keeps after one round is its own affair, but
    // it must serve the next: were something left behind, each peak would top the one before.
    let peaks = [(); 4].map(|()| {
        let held: Vec<_> = names(0, 1_000_000)
            .map(|request| store.try_acquire(&request).unwrap().unwrap())
            .collect();
        assert_eq!(store.claims(), held.len());
        let peak = resident();
        drop(held);
        assert_eq!(store.claims(), 0);
        println!("1,000,000 names held at once: {peak} KiB, {} KiB after", resident());
        peak
    });
    let [.., before, last] = peaks;
    assert!(last * 100 <= before * 105, "the peaks grow: {peaks:?} KiB");
}

/// A hundred thousand tasks wait for one name; half of them are cancelled at random while the
/// others are served, in order.
fn a_hundred_thousand_waiters() {
    const TASKS: usize = 100_000;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let store = LocalLock::new();
        let request = Arc::new(request("crowd"));
        let holder = store.acquire(&request).await.unwrap();
        let served = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let mut handles = Vec::with_capacity(TASKS);
        let queued = Arc::new(AtomicUsize::new(0));
        for number in 0..TASKS {
            let (store, request) = (store.clone(), request.clone());
            let (served, arrived) = (served.clone(), queued.clone());
            handles.push(tasks.spawn(async move {
                let wait = store.acquire(&request);
                tokio::pin!(wait);
                // Queued at the first poll, and so in the order of the numbers.
                let lease = std::future::poll_fn(|context| {
                    let polled = wait.as_mut().poll(context);
                    arrived.fetch_max(number + 1, SeqCst);
                    polled
                })
                .await
                .unwrap();
                served.lock().unwrap().push(number);
                lease.give_back().unwrap();
            }));
            while queued.load(SeqCst) <= number {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(store.claims(), TASKS + 1);

        let cancelled: Vec<usize> = (0..TASKS).filter(|_| fastrand::bool()).collect();
        let mut order = cancelled.clone();
        fastrand::shuffle(&mut order);
        let (early, late) = order.split_at(order.len() / 2);
        early.iter().for_each(|number| handles[*number].abort());
        holder.give_back().unwrap();
        // While the others are being served.
        for (count, number) in late.iter().enumerate() {
            handles[*number].abort();
            if count % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let ended = async {
            while let Some(done) = tasks.join_next().await {
                assert!(done.is_ok() || done.is_err_and(|error| error.is_cancelled()), "panicked");
            }
        };
        soon("all tasks end", ended).await;
        assert_eq!(store.claims(), 0, "somebody is left in the queue");

        let served = std::mem::take(&mut *served.lock().unwrap());
        assert!(served.is_sorted(), "served out of order");
        let spared: Vec<usize> =
            (0..TASKS).filter(|number| cancelled.binary_search(number).is_err()).collect();
        let was_served = |number: &usize| served.binary_search(number).is_ok();
        assert!(spared.iter().all(was_served), "somebody who stayed was not served");
        println!(
            "{TASKS} tasks waited for one name: {} cancelled, {} served in order, queue empty",
            TASKS - served.len(),
            served.len()
        );
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        // Free, and at once.
        let lease = tokio::time::timeout(Duration::from_secs(1), store.acquire(&request)).await;
        lease.unwrap().unwrap().give_back().unwrap();
    });
}
