//! URLs of ZooKeeper: what they mean, and what is said about those that mean nothing.

#![cfg(feature = "zk")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use leasehold::{ErrorKind, connect};
use lock_testkit::{Port, TlsOptions, Zk, ZkAcl, ZkMode};

async fn refused(url: &str) -> String {
    let error = connect(url).await.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}: {error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    error.to_string()
}

/// A server on which these nodes are, to be chroots.
async fn server_with(nodes: &[&str]) -> Zk {
    let server = Zk::start().await;
    for node in nodes {
        server.create(node, "", ZkMode::Persistent).await;
    }
    server
}

#[tokio::test]
async fn every_part_does_what_it_says() {
    let server = server_with(&["/apps", "/apps/eu"]).await;
    let url = format!(
        "zk://worker:p%40ss:%25@127.0.0.1:{}/apps/eu?prefix=shop&ttl=30s&owner=me&max_waiters=1\
         &recheck=1s&request_timeout=1s",
        server.port()
    );
    let locks = connect(&url).await.unwrap();
    assert_eq!(locks.backend(), "zk");
    let mutex = locks.mutex("orders").unwrap();
    let guard = mutex.lock().await.unwrap();
    assert!(guard.deadline().remaining() > Duration::from_secs(20));

    let directory = "/apps/eu/shop/orders";
    let nodes = server.children(directory).await;
    assert_eq!(nodes.len(), 1);
    let acl = server.acl(&format!("{directory}/{}", nodes[0])).await.unwrap();
    assert_eq!(acl, [ZkAcl::user("worker", "p@ss:%", ZkAcl::ALL)]);
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
    assert_eq!(server.sessions().await, []);
}

#[tokio::test]
async fn the_chroot_is_the_path_and_the_prefix_is_below_it() {
    let server = server_with(&["/apps", "/apps/eu", "/my apps"]).await;
    for (tail, directory) in [
        ("", "/leasehold/a"),
        ("/", "/leasehold/a"),
        ("/apps", "/apps/leasehold/a"),
        ("/apps/eu?prefix=shop", "/apps/eu/shop/a"),
        ("/my%20apps?prefix=shop/eu", "/my apps/shop/eu/a"),
        ("?prefix=yard", "/yard/a"),
        ("/apps?prefix=", "/apps/a"),
    ] {
        let url = format!("zk://{}{tail}", server.connect_string());
        let locks = connect(&url).await.unwrap();
        let guard = locks.mutex("a").unwrap().lock().await.unwrap();
        assert_eq!(server.children(directory).await.len(), 1, "{tail:?}: {directory}");
        guard.release().await.unwrap();
        locks.shutdown().await.unwrap();
    }
    let text = refused(&format!("zk://{}/nowhere", server.connect_string())).await;
    assert!(text.contains("chroot of the URL is not there"), "{text}");
}

#[tokio::test]
async fn two_clients_exclude_each_other_and_pass_by_a_host_that_is_down() {
    let (server, down) = (Zk::start().await, Port::claim());
    let url = format!("zk://127.0.0.1:{},{}", down.number(), server.connect_string());
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
    let server = Zk::options().tls(TlsOptions::new().client_certificates()).start().await;
    let tls = server.tls().unwrap();
    let plain = format!("zks://{}", server.connect_string());
    let ca = format!("{plain}?tls_ca={}", tls.ca_path().display());
    let (certificate, key) = (tls.client_cert_path(), tls.client_key_path());
    let url = format!("{ca}&tls_cert={}&tls_key={}", certificate.display(), key.display());
    let locks = connect(&url).await.unwrap();
    locks.mutex("a").unwrap().lock().await.unwrap().release().await.unwrap();
    locks.shutdown().await.unwrap();

    // Without the one file or the other two.
    for url in [plain, ca] {
        let error = connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        assert!(text.contains("`tls_ca`") && text.contains("`tls_cert` and `tls_key`"), "{text}");
    }
}

#[tokio::test]
async fn a_ttl_that_the_server_does_not_take_is_told_by_connect() {
    let server = Zk::start().await;
    let url = format!("zk://{}/", server.connect_string());
    for (ttl, said) in [("900ms", "from 1s"), ("41s", "to 40s"), ("0s", "`ttl`")] {
        let text = refused(&format!("{url}?ttl={ttl}")).await;
        assert!(text.contains("`ttl`") && text.contains(said), "{ttl}: {text}");
    }
    connect(&format!("{url}?ttl=2500ms")).await.unwrap().shutdown().await.unwrap();

    // Nor the one that nobody chose.
    let server = Zk::options().max_session_timeout(Duration::from_secs(5)).start().await;
    let url = format!("zk://{}/", server.connect_string());
    let text = refused(&url).await;
    assert!(text.contains("to 5s, not 10s") && text.contains("`ttl`"), "{text}");
    connect(&format!("{url}?ttl=5s")).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    // Nobody is `h`: all this is known before a server is asked.
    for (url, word) in [
        ("zk://u:canary@h/?ttl=nonsense", "`ttl`"),
        ("zk://u:canary@h/?prefix=a%20b", "`prefix`"),
        ("zk://u:canary@h/?prefix=zookeeper/a", "`zookeeper`"),
        ("zk://u:canary@h/shop/", "path of the URL is the chroot"),
        ("zk://u:canary@h/shop/", "no slash at the end"),
        ("zk://u:canary@h//shop", "no empty part"),
        ("zk://u:canary@h1/shop,h2/shop", "no comma"),
        ("zk://u:canary@h/a%00b", "forbids"),
        ("zk://u:canary@h/%ff", "chroot, and is not UTF-8"),
        ("zk://u:canary@h/?max_waiters=0", "`max_waiters`"),
        ("zk://u:canary@h/?max_waiters=-1", "`max_waiters`"),
        ("zk://u:canary@h/?recheck=1us", "`recheck`"),
        ("zk://u:canary@h/?request_timeout=5h", "`request_timeout`"),
        ("zk://u:canary@h/?prefiks=a", "`prefiks`"),
        ("zk://u:canary@h/?prefiks=a", "prefix, recheck, request_timeout, tls_ca"),
        ("zk://u:canary@h/?chroot=/a", "`chroot`"),
        ("zk://u:canary@h/?tls_ca=/etc/hostname", "`zks` for `zk`"),
        ("zks://u:canary@h/?tls_ca=/nowhere/ca.pem", "`tls_ca`"),
        ("zks://u:canary@h/?tls_cert=/etc/hostname", "`tls_key`"),
        ("zks://u:canary@h/?tls_key=/etc/hostname", "`tls_cert`"),
        ("zks://u:canary@h/?tls_ca=/etc/hostname", "PEM"),
        ("zk://canary@h", "USER:PASSWORD@HOST"),
        ("zk://canary:@h", "USER:PASSWORD@HOST"),
        ("zk://:canary@h", "ZooKeeper wants a user"),
        ("zk://u%3Acanary:canary@h", "choose another user"),
        ("zk://u:canary@h1,,h2", "host 2"),
        ("zk:", "`zk://HOST:2181`"),
        ("zks:///shop", "`zks://HOST:2181`"),
    ] {
        let text = refused(url).await;
        assert!(text.contains(word), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_and_not_shown() {
    let server = Zk::start().await;
    // Who knows no password may not even list.
    let acl = [ZkAcl::user("worker", "right", ZkAcl::ALL)];
    server.create_with("/leasehold", "", ZkMode::Persistent, &acl).await;
    let url = |login: &str| format!("zk://{login}{}", server.connect_string());
    for login in ["worker:canary@", "canary:right@", ""] {
        let error = connect(&url(login)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{login}: {error}");
        assert_eq!(error.backend(), "zk", "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    connect(&url("worker:right@")).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    // Nobody listens to them, and they are kept for us.
    let (one, other) = (Port::claim(), Port::claim());
    for scheme in ["zk", "zks"] {
        let (one, other) = (one.number(), other.number());
        let url = format!("{scheme}://u:canary@127.0.0.1:{one},[::1]:{other}/shop");
        let error = connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("nothing listens there"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
