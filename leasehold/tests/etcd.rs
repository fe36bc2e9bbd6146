//! URLs of etcd: what they mean, and what is said about those that mean nothing.

#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use leasehold::{ErrorKind, connect};
use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, Permission, Port, TlsOptions};

async fn refused(url: &str) -> String {
    let error = connect(url).await.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    error.to_string()
}

async fn server() -> Etcd {
    Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync().start().await
}

#[tokio::test]
async fn every_part_does_what_it_says() {
    let rights = [("shop/eu/", Permission::ReadWrite)];
    let options = Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync();
    let server = options.user("worker", "p@ss%", &rights).start().await;
    let url = format!(
        "etcd://worker:p%40ss%25@127.0.0.1:{}/shop%2Feu?ttl=30s&owner=me&max_waiters=1&recheck=1s\
         &request_timeout=1s",
        server.port()
    );
    let locks = connect(&url).await.unwrap();
    assert_eq!(locks.backend(), "etcd");
    let mutex = locks.mutex("orders").unwrap();
    let guard = mutex.lock().await.unwrap();
    assert!(guard.deadline().remaining() > Duration::from_secs(20));

    assert_eq!(server.keys("shop/eu/orders/").await.len(), 1);
    assert_eq!(locks.inspect("orders").await.unwrap().holders()[0].owner(), Some("me"));
    let first = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await }
    });
    while locks.inspect("orders").await.unwrap().waiters().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(mutex.lock().await.unwrap_err().kind(), ErrorKind::QueueFull);
    guard.release().await.unwrap();
    first.await.unwrap().unwrap().release().await.unwrap();
    locks.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_prefix_is_the_path_or_the_parameter() {
    let server = server().await;
    for (tail, key) in [
        ("", "leasehold/a/"),
        ("/", "leasehold/a/"),
        ("/shop", "shop/a/"),
        ("/shop/eu", "shop/eu/a/"),
        ("//shop", "/shop/a/"),
        ("?prefix=yard", "yard/a/"),
        ("/?prefix=yard/eu", "yard/eu/a/"),
    ] {
        let locks = connect(&format!("{}{tail}", server.url())).await.unwrap();
        let guard = locks.mutex("a").unwrap().lock().await.unwrap();
        assert_eq!(server.keys(key).await.len(), 1, "{tail:?}: {key}");
        guard.release().await.unwrap();
        locks.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn two_clients_of_a_cluster_exclude_each_other() {
    let cluster = EtcdCluster::start(EtcdVersion::V3_7).await;
    let url = cluster.url();
    let (one, other) = tokio::join!(connect(&url), connect(&url));
    let (one, other) = (one.unwrap(), other.unwrap());
    let guard = one.mutex("a").unwrap().lock().await.unwrap();
    assert!(other.mutex("a").unwrap().try_lock().await.unwrap().is_none());

    let waiter = tokio::spawn({
        let mutex = other.mutex("a").unwrap();
        async move { mutex.lock().await }
    });
    while one.inspect("a").await.unwrap().waiters().is_empty() {
        tokio::task::yield_now().await;
    }
    let token = guard.token();
    guard.release().await.unwrap();
    let guard = waiter.await.unwrap().unwrap();
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    one.shutdown().await.unwrap();
    other.shutdown().await.unwrap();
}

#[tokio::test]
async fn files_for_tls_are_read() {
    let tls = TlsOptions::new().client_certificates();
    let server = Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync().tls(tls).start().await;
    let tls = server.tls().unwrap();
    let ca = format!("{}?tls_ca={}", server.url(), tls.ca_path().display());
    let (certificate, key) = (tls.client_cert_path(), tls.client_key_path());
    let url = format!("{ca}&tls_cert={}&tls_key={}", certificate.display(), key.display());
    let locks = connect(&url).await.unwrap();
    locks.mutex("a").unwrap().lock().await.unwrap().release().await.unwrap();
    locks.shutdown().await.unwrap();

    // Without the one file or the other two.
    for url in [server.url(), ca] {
        let error = connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn a_ttl_that_the_server_does_not_take_is_told_by_connect() {
    let server = server().await;
    for (ttl, said) in [("1s", "from 2s"), ("2500ms", "2s or 3s"), ("0s", "`ttl`")] {
        let text = refused(&format!("{}/?ttl={ttl}", server.url())).await;
        assert!(text.contains("`ttl`") && text.contains(said), "{ttl}: {text}");
    }
    connect(&format!("{}/?ttl=2s", server.url())).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    // Nobody is `h`: all this is known before a server is asked.
    for (url, word) in [
        ("etcd://u:canary@h/?ttl=nonsense", "`ttl`"),
        ("etcd://u:canary@h/?prefix=a%20b", "`prefix`"),
        ("etcd://u:canary@h/a%20b", "`prefix`"),
        ("etcd://u:canary@h/shop/", "slash"),
        ("etcd://u:canary@h/%ff", "UTF-8"),
        ("etcd://u:canary@h/shop?prefix=shop", "path of the URL is the prefix, and `prefix`"),
        ("etcd://u:canary@h/?max_waiters=0", "`max_waiters`"),
        ("etcd://u:canary@h/?max_waiters=-1", "`max_waiters`"),
        ("etcd://u:canary@h/?recheck=1us", "`recheck`"),
        ("etcd://u:canary@h/?request_timeout=5h", "`request_timeout`"),
        ("etcd://u:canary@h/?prefiks=a", "`prefiks`"),
        ("etcd://u:canary@h/?prefiks=a", "prefix, recheck, request_timeout, tls_ca"),
        ("etcd://u:canary@h/?sentinel_username=a", "`sentinel_username`"),
        ("etcd://u:canary@h/?tls_ca=/etc/hostname", "`etcds` for `etcd`"),
        ("etcds://u:canary@h/?tls_ca=/nowhere/ca.pem", "`tls_ca`"),
        ("etcds://u:canary@h/?tls_cert=/etc/hostname", "`tls_key`"),
        ("etcds://u:canary@h/?tls_key=/etc/hostname", "`tls_cert`"),
        ("etcd://canary@h", "USER:PASSWORD@HOST"),
        ("etcd://canary:@h", "USER:PASSWORD@HOST"),
        ("etcd://:canary@h", "USER:PASSWORD@HOST"),
        ("etcd://u:canary@h1,,h2", "host 2"),
        ("etcd:", "`etcd://HOST:2379`"),
        ("etcds:///shop", "`etcds://HOST:2379`"),
    ] {
        let text = refused(url).await;
        assert!(text.contains(word), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_and_not_shown() {
    let rights = [("leasehold/", Permission::ReadWrite)];
    let options = Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync();
    let server = options.user("worker", "right", &rights).start().await;
    for url in [
        server.url_as("worker", "canary"),
        server.url_as("canary", "right"),
        server.url(),
        format!("{}/canary", server.url_as("worker", "right")),
    ] {
        let error = connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        assert_eq!(error.backend(), "etcd", "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    connect(&server.url_as("worker", "right")).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    // Nobody listens to them, and they are kept for us.
    let (one, other) = (Port::claim(), Port::claim());
    let url = format!("etcd://u:canary@127.0.0.1:{},[::1]:{}", one.number(), other.number());
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"));
}
