//! Permits and readers whose replies never came.

use std::time::Duration;

use lock_conformance::time::{pause, soon};
use lock_testkit::{Flavour, Swallow};
use lockcore::{ErrorKind, Guard, Locks, Semaphore};

use crate::stage::{Kind, config, connect, kind, ms, only_fences, until_waiting};
use crate::vanishing::{NAME, Stage, WAYS};

const LONG: Duration = Duration::from_secs(60);

impl Stage {
    fn semaphores(&self) -> (Semaphore, Semaphore) {
        let of = |locks: &Locks| locks.semaphore(NAME, 2).unwrap();
        (of(&self.victim), of(&self.other))
    }

    /// Those who hold a permit are these, and nobody waits.
    async fn are_all(&self, guards: &[&Guard]) {
        let seen = self.other.inspect(NAME).await.unwrap();
        let mut tokens: Vec<_> = guards.iter().map(|guard| Some(guard.token())).collect();
        tokens.sort();
        let holders: Vec<_> = seen.holders().iter().map(lockcore::Claim::token).collect();
        assert_eq!(holders, tokens, "{seen:?}");
        assert!(seen.waiters().is_empty(), "a ghost waits: {seen:?}");
    }
}

#[tokio::test]
async fn a_permit_whose_reply_vanished_is_one_permit() {
    for then in WAYS {
        for what in [Kind::Try, Kind::Enqueue] {
            let stage = Stage::new(Flavour::Redis, LONG).await;
            let (victim, other) = stage.semaphores();
            let swallowed = stage.swallow(what, then);
            let first = match what {
                Kind::Try => victim.try_acquire().await.unwrap().expect("one is free"),
                _ => soon("a free permit", victim.acquire()).await.unwrap(),
            };
            assert!(swallowed.has_landed());
            stage.are_all(&[&first]).await;
            let second = other.try_acquire().await.unwrap().expect("the second one is free");
            assert!(other.try_acquire().await.unwrap().is_none());
            stage.are_all(&[&first, &second]).await;
            first.renew().await.unwrap();
            first.release().await.unwrap();
            second.release().await.unwrap();
            only_fences(&stage.server, NAME).await;
        }
    }
}

#[tokio::test]
async fn a_permit_whose_release_was_not_confirmed_is_given_back_once() {
    for then in WAYS {
        let stage = Stage::new(Flavour::Redis, LONG).await;
        let (victim, other) = stage.semaphores();
        let first = victim.acquire().await.unwrap();
        let second = other.acquire().await.unwrap();
        let waiter = tokio::spawn(async move { other.acquire().await });
        until_waiting(&stage.server, NAME, 1).await;
        let swallowed = stage.proxy.swallow_reply_then(then, |words| kind(words) == Kind::Release);
        if let Err(error) = first.release().await {
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        }
        assert!(swallowed.has_landed());
        let third = soon("the waiter gets it", waiter).await.unwrap().unwrap();
        stage.are_all(&[&second, &third]).await;
        assert!(victim.try_acquire().await.unwrap().is_none(), "it was given back twice");
        second.release().await.unwrap();
        third.release().await.unwrap();
        only_fences(&stage.server, NAME).await;
    }
}

#[tokio::test]
async fn a_reader_whose_reply_vanished_keeps_a_writer_out_for_as_long_as_it_reads() {
    for then in WAYS {
        let stage = Stage::new(Flavour::Redis, LONG).await;
        let (victim, other) =
            (stage.victim.rw_lock(NAME).unwrap(), stage.other.rw_lock(NAME).unwrap());
        let swallowed = stage.proxy.swallow_reply_then(then, |words| kind(words) == Kind::Enqueue);
        let reader = soon("a free lock", victim.read()).await.unwrap();
        assert!(swallowed.has_landed());
        stage.are_all(&[&reader]).await;
        let writer = tokio::spawn(async move { other.write().await });
        until_waiting(&stage.server, NAME, 1).await;
        let swallowed = stage.proxy.swallow_reply_then(then, |words| kind(words) == Kind::Release);
        if let Err(error) = reader.release().await {
            assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        }
        assert!(swallowed.has_landed());
        let writer = soon("the writer gets it", writer).await.unwrap().unwrap();
        stage.are_all(&[&writer]).await;
        assert!(victim.try_read().await.unwrap().is_none());
        writer.release().await.unwrap();
        only_fences(&stage.server, NAME).await;
    }
}

/// As of a mutex: a connection that swallows renewals is given up in time.
#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced_before_a_permit_is_lost() {
    let stage = Stage::new(Flavour::Redis, LONG).await;
    // No command is given up before two of its renewals could have come through.
    let victim = connect(config(stage.proxy.addr()), ms(2_400)).await;
    let guard = victim.semaphore(NAME, 2).unwrap().acquire().await.unwrap();
    let silence = Swallow::ThenSilence;
    let swallowed =
        stage.proxy.swallow_reply_then(silence, |words| kind(words) == Kind::RenewShared);
    swallowed.landed(Duration::from_secs(10)).await;
    pause(ms(4_000)).await;
    stage.are_all(&[&guard]).await;
    assert!(guard.is_held());
    guard.release().await.unwrap();
    only_fences(&stage.server, NAME).await;
}

#[tokio::test]
async fn readers_that_are_let_in_together_have_tokens_of_their_own() {
    let stage = Stage::new(Flavour::Redis, LONG).await;
    let lock = stage.other.rw_lock(NAME).unwrap();
    let writer = lock.write().await.unwrap();
    let mut waits = Vec::new();
    for place in 1..4 {
        let lock = lock.clone();
        waits.push(tokio::spawn(async move { lock.read().await.unwrap() }));
        until_waiting(&stage.server, NAME, place).await;
    }
    let mut tokens = vec![writer.token()];
    writer.release().await.unwrap();
    let mut readers = Vec::new();
    for wait in waits {
        let reader = soon("the readers are let in", wait).await.unwrap();
        tokens.push(reader.token());
        readers.push(reader);
    }
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    stage.are_all(&readers.iter().collect::<Vec<_>>()).await;
    drop(readers);
    only_fences(&stage.server, NAME).await;
}
