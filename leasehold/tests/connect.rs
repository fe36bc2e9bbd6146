//! URLs: what they mean, and what is said about those that mean nothing.

#![cfg(feature = "local")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use leasehold::{ErrorKind, Guard, Renewal, connect};

async fn refused(url: &str) -> String {
    let error = connect(url).await.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
    error.to_string()
}

#[tokio::test]
async fn every_parameter_does_what_it_says() {
    let locks =
        connect("local:?prefix=params&ttl=1500ms&owner=worker-7&max_waiters=1").await.unwrap();
    assert_eq!(locks.backend(), "local");
    let mutex = locks.mutex("a").unwrap().renewal(Renewal::Never);
    let guard = mutex.lock().await.unwrap();
    assert!(guard.deadline().remaining() <= Duration::from_millis(1_500));
    assert_eq!(locks.inspect("a").await.unwrap().holders()[0].owner(), Some("worker-7"));

    let same = connect("local:?prefix=params").await.unwrap();
    assert!(same.mutex("a").unwrap().try_lock().await.unwrap().is_none());
    let other = connect("local:").await.unwrap();
    assert!(other.mutex("a").unwrap().try_lock().await.unwrap().is_some());

    let waiter = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await }
    });
    while locks.inspect("a").await.unwrap().waiters().is_empty() {
        tokio::task::yield_now().await;
    }
    let error = mutex.lock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull, "{error}");
    guard.release().await.unwrap();
    waiter.await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    for (url, named) in [
        ("", "not a URL"),
        ("orders", "not a URL"),
        ("gopher://h", "`gopher:`"),
        ("gopher://h", "knows `local:`"),
        ("local:?tttl=1s", "`tttl`"),
        ("local:?tttl=1s", "max_waiters, owner, prefix, ttl"),
        ("local:?ttl=soon", "`ttl`"),
        ("local:?ttl=", "`ttl`"),
        ("local:?ttl=0s", "100ms to 24 hours"),
        ("local:?ttl=1year", "100ms to 24 hours"),
        ("local:?ttl=1s&ttl=2s", "twice"),
        ("local:?max_waiters=0", "at least 1"),
        ("local:?max_waiters=-1", "`max_waiters`"),
        ("local:?max_waiters=many", "`max_waiters`"),
        ("local:?owner=", "owner label"),
        ("local:?owner=a%0Ab", "owner label"),
        ("local://host", "no host or path"),
        ("local:name", "prefix=NAME"),
        ("local:#part", "`#`"),
    ] {
        let said = refused(url).await;
        assert!(said.contains(named), "{url}: {named:?} is not in {said:?}");
    }
}

#[tokio::test]
async fn no_error_repeats_a_secret() {
    for url in [
        "redis://user:hunter2@host:6379?ttl=soon",
        "nonsense://user:hunter2@host",
        "local://user:hunter2@host",
        "local:?password=hunter2",
    ] {
        let said = refused(url).await;
        assert!(!said.contains("hunter2") && !said.contains("user"), "{said}");
    }
}

/// Not even if the password ends the host, as it seems.
#[tokio::test]
async fn no_error_repeats_a_secret_that_was_not_encoded() {
    for url in [
        "local://joe:12?hunter2@host",
        "local://joe:12?ttl=hunter2@host",
        "local://joe:12?max_waiters=hunter2@host",
        "local://joe:12#hunter2@host",
        "local://joe:12/hunter2@host",
        "local://joe:hunter2@a@host",
        "local://joe:hunter2@h1,joe:hunter2@h2",
        "local://joe:hunter2,host",
        "local:joe:12?hunter2@host",
        "redis//joe:hunter2@host",
    ] {
        let said = refused(url).await;
        assert!(!said.contains("hunter2") && !said.contains("joe"), "{said}");
    }
}

#[tokio::test]
async fn options_are_judged_by_the_acquisition() {
    let locks = connect("local:?prefix=options").await.unwrap();
    let mutex = || locks.mutex("a").unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    for (wrong, said) in [
        (mutex().ttl(Duration::ZERO), "100ms"),
        (mutex().ttl(day * 365), "24 hours"),
        (mutex().renewal(Renewal::AutoUntil(Duration::from_secs(1))), "1s"),
        (mutex().owner(""), "owner label"),
        (mutex().owner("a\nb"), "owner label"),
    ] {
        for result in [
            wrong.lock().await.map(drop),
            wrong.try_lock().await.map(drop),
            wrong.try_lock_for(Duration::from_secs(1)).await.map(drop),
            wrong.run(async |_| ()).await,
        ] {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.backend()), (ErrorKind::InvalidConfig, "local"));
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    // In whatever order they are set.
    let second = Duration::from_secs(1);
    let until = Renewal::AutoUntil(second * 2);
    mutex().renewal(until).ttl(second).lock().await.unwrap().release().await.unwrap();
    mutex().ttl(second).renewal(until).lock().await.unwrap().release().await.unwrap();

    assert_eq!(locks.semaphore("s", 0).unwrap_err().kind(), ErrorKind::InvalidConfig);
    let held = locks.semaphore("s", 2).unwrap().acquire().await.unwrap();
    let error = locks.semaphore("s", 3).unwrap().acquire().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("permit of 2"), "{error}");
    held.release().await.unwrap();
}

/// Guards and the work of `run` move between tasks.
#[tokio::test]
async fn everything_can_be_sent() {
    fn is_static<T: Send + Sync + 'static>() {}
    is_static::<Guard>();
    let locks = connect("local:?prefix=send").await.unwrap();
    let mutex = locks.mutex("a").unwrap();
    let number = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let task = tokio::spawn(async move {
        let shared = number.clone();
        let (token, doubled) = mutex
            .run(async |held| {
                tokio::task::yield_now().await;
                shared.store(held.token().as_u64(), std::sync::atomic::Ordering::SeqCst);
                (held.token(), shared.load(std::sync::atomic::Ordering::SeqCst))
            })
            .await
            .unwrap();
        assert_eq!(token.as_u64(), doubled);
        mutex.lock().await.unwrap()
    });
    let guard = task.await.unwrap();
    std::thread::spawn(move || drop(guard)).join().unwrap();
    assert!(locks.inspect("a").await.unwrap().is_free());
}

/// What work kept of its lock says, after `run` has ended, that it is over.
#[tokio::test]
async fn a_held_that_escapes_is_not_held() {
    let locks = connect("local:?prefix=escape").await.unwrap();
    let mutex = locks.mutex("a").unwrap();
    let escaped = mutex.run(async |held| held).await.unwrap();
    assert!(!escaped.is_held());
    assert_eq!(escaped.lost().await, leasehold::LossCause::Released);
    mutex.try_lock().await.unwrap().expect("given back").release().await.unwrap();
}
