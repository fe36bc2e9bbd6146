//! Passwords of ZooKeeper.

use lock_conformance::time::eventually;
use lock_testkit::{Port, Proxy, TlsOptions, Zk, ZkAcl, ZkMode};
use lock_zk::ZkConfig;

use crate::watch::Canary;
use crate::{are_refused, fails_quietly, is_not_printed, work};

#[tokio::test]
async fn a_password_of_zookeeper_is_not_shown() {
    let canary = Canary::new();
    let secret = canary.secret();
    let (server, tls) = tokio::join!(Zk::start(), Zk::options().tls(TlsOptions::new()).start());
    let theirs = [ZkAcl::user("owner", "another", ZkAcl::ALL)];
    server.create_with("/theirs", "", ZkMode::Persistent, &theirs).await;
    let proxy = Proxy::zk(server.addr()).await;
    let down = Port::claim();
    let (port, tls, down) = (server.port(), tls.port(), down.number());
    are_refused(
        &canary,
        &[
            format!("zk://owner:{secret}@127.0.0.1:{port}?prefix=theirs"),
            format!("zk://worker:{secret}@127.0.0.1:{port}/nowhere"),
            format!("zk://worker:{secret}@127.0.0.1:{down}"),
            format!("zks://worker:{secret}@127.0.0.1:{port}?request_timeout=500ms"),
            format!("zk://worker:{secret}@127.0.0.1:{tls}?request_timeout=500ms"),
            format!("zks://worker:{secret}@localhost:{tls}?request_timeout=500ms"),
            format!("zk://worker:{secret}@127.0.0.1:{port}?ttl=soon"),
            format!("zk://worker%3A:{secret}@127.0.0.1:{port}"),
            format!("zk://{secret}@127.0.0.1:{port}"),
        ],
    )
    .await;
    let config = ZkConfig::new([("127.0.0.1", proxy.addr().port())]).login("worker", secret);
    is_not_printed(&canary, &config);
    let lock = config.connect().await.unwrap();
    is_not_printed(&canary, &lock);

    let url = format!("zk://worker:{secret}@127.0.0.1:{port}?request_timeout=1s&ttl=2s");
    let other = leasehold::connect(&url).await.unwrap();
    let one = leasehold::Locks::new(lock);
    let guard = work(&canary, &one, &other).await;
    // It logs in again.
    let before = proxy.requests_seen()["auth"];
    proxy.reset();
    eventually("it is back", async || one.inspect("canary").await.is_ok()).await;
    assert!(proxy.requests_seen()["auth"] > before);
    for path in ["/leasehold", "/leasehold/canary"] {
        assert!(server.set_acl(path, &theirs).await);
    }
    fails_quietly(&canary, &other, guard).await;
    canary.was_kept(&["lockcore", "zookeeper_client"]);
}
