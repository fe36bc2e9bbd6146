//! Who holds a lock and who waits for it.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use lock_conformance::time::soon;
use lockcore::{Claim, Guard, Mode, Result};
use tokio::task::JoinHandle;

use super::{at, connect, run, server, waiting};

#[tokio::test]
async fn a_mutex_shows_its_holder_and_its_waiters_in_order() {
    let server = server().await;
    let (locks, other) = (connect(at(&server)).await, connect(at(&server)).await);
    let start = SystemTime::now() - Duration::from_millis(1);
    let mutex = locks.mutex("a").unwrap();
    let held = mutex.clone().owner(LABELS[0]).lock().await.unwrap();
    let mut waiters = Vec::new();
    for (index, label) in LABELS.iter().enumerate().skip(1) {
        let mutex = mutex.clone().owner(label);
        waiters.push(tokio::spawn(async move { mutex.lock().await }));
        waiting(&locks, "a", index).await;
    }
    let nameless = mutex.clone();
    waiters.push(tokio::spawn(async move { nameless.lock().await }));
    waiting(&locks, "a", LABELS.len()).await;

    let picture = other.inspect("a").await.unwrap();
    let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
    assert_eq!(holder.token(), Some(held.token()));
    assert_eq!((holder.owner(), holder.mode()), (Some(LABELS[0]), Mode::Exclusive));
    let owners: Vec<_> = picture.waiters().iter().map(Claim::owner).collect();
    let expected: Vec<_> = LABELS[1..].iter().copied().map(Some).chain([None]).collect();
    assert_eq!(owners, expected);
    for (index, claim) in picture.waiters().iter().enumerate() {
        assert_eq!((claim.place(), claim.token()), (Some(index + 1), None));
    }
    let mut since: Vec<_> = picture.waiters().iter().map(Claim::since).collect();
    since.insert(0, holder.since());
    assert!(since.is_sorted() && since[0] >= start && since[since.len() - 1] <= SystemTime::now());

    // The next one takes its label along, and the others move up.
    held.release().await.unwrap();
    let next = soon("the first waiter", waiters.remove(0)).await.unwrap().unwrap();
    let picture = other.inspect("a").await.unwrap();
    assert_eq!(picture.holders()[0].owner(), Some(LABELS[1]));
    assert_eq!(picture.holders()[0].token(), Some(next.token()));
    assert_eq!(picture.waiters()[0].owner(), Some(LABELS[2]));
    next.release().await.unwrap();
    end(waiters).await;
    assert!(other.inspect("a").await.unwrap().is_free());
}

#[tokio::test]
async fn readers_and_writers_are_told_apart() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let rw_lock = locks.rw_lock("rw").unwrap();
    let readers = [
        rw_lock.clone().owner("first").read().await.unwrap(),
        rw_lock.clone().owner("second").read().await.unwrap(),
    ];
    let (write, read) = (rw_lock.clone().owner("writer"), rw_lock.clone().owner("reader"));
    let mut waiters = vec![tokio::spawn(async move { write.write().await })];
    waiting(&locks, "rw", 1).await;
    waiters.push(tokio::spawn(async move { read.read().await }));
    waiting(&locks, "rw", 2).await;

    let picture = locks.inspect("rw").await.unwrap();
    let held: Vec<_> = picture.holders().iter().map(shown).collect();
    assert_eq!(held, [(Some("first"), Mode::Shared), (Some("second"), Mode::Shared)]);
    let tokens: Vec<_> = picture.holders().iter().map(|claim| claim.token().unwrap()).collect();
    assert_eq!(tokens, readers.each_ref().map(Guard::token));
    let queued: Vec<_> = picture.waiters().iter().map(shown).collect();
    assert_eq!(queued, [(Some("writer"), Mode::Exclusive), (Some("reader"), Mode::Shared)]);
    for reader in readers {
        reader.release().await.unwrap();
    }
    end(waiters).await;
}

#[tokio::test]
async fn permits_are_shown_with_their_count() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let semaphore = locks.semaphore("permits", 3).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(semaphore.acquire().await.unwrap());
    }
    let queued = semaphore.clone();
    let waiters = vec![tokio::spawn(async move { queued.acquire().await })];
    waiting(&locks, "permits", 1).await;
    let picture = locks.inspect("permits").await.unwrap();
    let mode = Mode::Permit { of: NonZeroU32::new(3).unwrap() };
    assert_eq!(picture.holders().len(), 3);
    assert!(picture.holders().iter().chain(picture.waiters()).all(|claim| claim.mode() == mode));
    for guard in held {
        guard.release().await.unwrap();
    }
    end(waiters).await;
}

#[tokio::test]
async fn those_who_wait_for_a_foreign_holder_are_shown_behind_it() {
    let server = server().await;
    let locks = connect(at(&server).recheck(Duration::from_millis(200)).unwrap()).await;
    run(&server, &["SET", "leasehold:foreign", "x y\r\nz \u{1b}[31m", "PX", "60000"]).await;
    let mutex = locks.mutex("foreign").unwrap().owner("ours");
    let waiters = vec![tokio::spawn(async move { mutex.lock().await })];
    waiting(&locks, "foreign", 1).await;
    let picture = locks.inspect("foreign").await.unwrap();
    let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
    assert_eq!((holder.owner(), holder.token(), holder.mode()), (None, None, Mode::Exclusive));
    assert_eq!(shown(&picture.waiters()[0]), (Some("ours"), Mode::Exclusive));
    run(&server, &["DEL", "leasehold:foreign"]).await;
    end(waiters).await;
}

#[tokio::test]
async fn a_value_in_our_words_that_is_not_ours_is_a_foreign_holder() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    for value in ["", "lh", "lh x", "lh x ", "lh x zz 1 a", "lh sx", "lh s", "lh p3", "lh pq"] {
        run(&server, &["SET", "leasehold:odd", value, "PX", "60000"]).await;
        let picture = locks.inspect("odd").await.unwrap();
        // Nobody shares it, so nobody holds what says that it is shared.
        let free = ["lh s", "lh p3"].contains(&value);
        assert_eq!(picture.holders().len(), usize::from(!free), "{value:?}: {picture:?}");
        let guard = locks.mutex("odd").unwrap().try_lock().await.unwrap();
        assert_eq!(guard.is_some(), free, "{value:?}");
        run(&server, &["FLUSHALL"]).await;
    }
}

fn shown(claim: &Claim) -> (Option<&str>, Mode) {
    (claim.owner(), claim.mode())
}

/// Lets all who wait have their turn.
async fn end(waiters: Vec<JoinHandle<Result<Guard>>>) {
    for waiter in waiters {
        soon("a waiter's turn", waiter).await.unwrap().unwrap().release().await.unwrap();
    }
}

/// What looks like our own marks, or like the end of something.
const LABELS: [&str; 7] = ["+", "a +", " ", "%20%", "wörker 7/🔒", "lh x 0 0", "\" ' \\ 0 x"];
