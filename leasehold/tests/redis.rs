//! URLs of Redis: what they mean, and what is said about those that mean nothing.

#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use leasehold::{ErrorKind, connect};
use lock_testkit::{Cluster, Flavour, Redis, SentinelOptions};

async fn refused(url: &str) -> String {
    let error = connect(url).await.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn every_part_does_what_it_says() {
    let user = "worker on >p%40ss ~* &* +@all";
    let server = Redis::options(Flavour::Redis).user(user).start().await;
    let url = format!(
        "redis://worker:p%2540ss@127.0.0.1:{}/3?prefix=shop&ttl=30s&owner=me&max_waiters=1&recheck=1s\
         &request_timeout=1s",
        server.port()
    );
    let locks = connect(&url).await.unwrap();
    assert_eq!(locks.backend(), "redis");
    let mutex = locks.mutex("orders/1").unwrap();
    let guard = mutex.lock().await.unwrap();
    assert!(guard.deadline().remaining() > Duration::from_secs(20));

    let mut resp = server.resp().await;
    resp.command(&["SELECT", "3"]).await;
    assert_eq!(resp.command(&["EXISTS", "shop:orders/1"]).await.as_int(), Some(1));
    assert_eq!(locks.inspect("orders/1").await.unwrap().holders()[0].owner(), Some("me"));
    let first = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await }
    });
    while locks.inspect("orders/1").await.unwrap().waiters().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(mutex.lock().await.unwrap_err().kind(), ErrorKind::QueueFull);
    guard.release().await.unwrap();
    first.await.unwrap().unwrap().release().await.unwrap();
    locks.shutdown().await.unwrap();
}

#[tokio::test]
async fn sentinels_and_clusters_have_several_hosts() {
    let sentinels = SentinelOptions::new(Flavour::Redis).sentinels(1).start().await;
    let cluster = Cluster::start(Flavour::Redis).await;
    for url in [sentinels.url(), cluster.url()] {
        let locks = connect(&url).await.unwrap();
        for name in ["a", "b", "c"] {
            let mutex = locks.mutex(name).unwrap();
            let guard = mutex.lock().await.unwrap();
            assert!(mutex.try_lock().await.unwrap().is_none(), "{url}");
            guard.release().await.unwrap();
        }
        locks.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    for (url, word) in [
        ("redis://:canary@h/?ttl=nonsense", "`ttl`"),
        ("redis://:canary@h/?prefix=a%20b", "`prefix`"),
        ("redis://:canary@h/?max_waiters=0", "`max_waiters`"),
        ("redis://:canary@h/?max_waiters=-1", "`max_waiters`"),
        ("redis://:canary@h/?recheck=1us", "`recheck`"),
        ("redis://:canary@h/?request_timeout=5h", "`request_timeout`"),
        ("redis://:canary@h/?prefiks=a", "`prefiks`"),
        ("redis://:canary@h/?tls_ca=/etc/hostname", "`rediss`"),
        ("rediss://:canary@h/?tls_ca=/nowhere/ca.pem", "`tls_ca`"),
        ("rediss://:canary@h/?tls_cert=/etc/hostname", "`tls_key`"),
        ("redis://:canary@h/two", "database"),
        ("redis://canary@h", "password"),
        ("redis://:canary@h1,h2", "redis+cluster"),
        ("redis:", "HOST"),
        ("redis+cluster://:canary@h1,h2/1", "database 0"),
        ("redis+sentinel://:canary@h1,h2", "NAME"),
        ("redis+sentinel://:canary@h1/main/x", "database"),
    ] {
        let text = refused(url).await;
        assert!(text.contains(word), "{url}: {text}");
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    // A port that nobody listens to: it was free a moment ago and is claimed by us.
    let port = lock_testkit::Port::claim();
    let url = format!("redis://:canary@127.0.0.1:{}", port.number());
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"));
}
