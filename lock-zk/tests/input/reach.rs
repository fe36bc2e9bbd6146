//! Servers that are not there, or not what they should be.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::time::{eventually, soon};
use lock_testkit::{Flavour, Port, Proxy, RedisOptions, Zk};
use lock_zk::ZkConfig;
use lockcore::ErrorKind::{Indeterminate, InvalidConfig, Unavailable};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{CANARY, Stage, connect, fails, fails_within, says};

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let port = Port::claim();
    for config in with_and_without_login([("127.0.0.1", port.number())]) {
        let limit = Duration::from_millis(500);
        let error = fails_within(limit, "a closed port", config.connect()).await;
        says(&error, Unavailable, &["connect", "is the server up"]);
    }
}

#[tokio::test]
async fn a_host_without_a_name_is_told_in_time() {
    for config in with_and_without_login([("no-such-host.invalid", 2181)]) {
        let error = fails("a name that nobody has", config.connect()).await;
        says(&error, Unavailable, &["connect", "name", "is it right"]);
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_one_is_refused() {
    for host in [
        "",
        "a b",
        "a/b",
        "a,b",
        "tcp://a",
        "a\n",
        "[::1",
        "::1]",
        "a:b",
        "w:c4nary-7f31e9@a",
        "c4nary-7f31e9@a",
    ] {
        let config = ZkConfig::new([(host, 2181)]).login("worker", CANARY);
        says(&fails(host, config.connect()).await, InvalidConfig, &["connect", "host"]);
    }
    let nobody = ZkConfig::new(std::iter::empty::<(&str, u16)>());
    says(&fails("nobody", nobody.connect()).await, InvalidConfig, &["connect", "member"]);
}

#[tokio::test]
async fn a_silent_server_is_told_in_time() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.server.addr()).await;
    proxy.cut();
    for config in with_and_without_login([("127.0.0.1", proxy.addr().port())]) {
        let limit = Duration::from_secs(5);
        let error = fails_within(limit, "a silent port", config.connect()).await;
        says(&error, Unavailable, &["connect", "port for clients", "most members up"]);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_told_in_time() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.server.addr()).await;
    let config = ZkConfig::new([("127.0.0.1", proxy.addr().port())]);
    let config = config.prefix(stage.prefix.as_str()).unwrap();
    let locks = connect(config.request_timeout(Duration::from_millis(300)).unwrap()).await;
    let held = locks.mutex("held").unwrap().lock().await.unwrap();
    proxy.cut();
    let limit = Duration::from_millis(1_500);
    let error = fails_within(limit, "a look", locks.inspect("silent")).await;
    assert!(error.is_transient(), "{error:?}");
    let mutex = locks.mutex("silent").unwrap();
    let error = fails_within(limit, "a lock", mutex.try_lock()).await;
    assert!([Indeterminate, Unavailable].contains(&error.kind()), "{error:?}");
    assert_eq!(error.may_hold_until().is_some(), error.kind() == Indeterminate, "{error:?}");
    let error = fails_within(limit, "a renewal", held.renew()).await;
    assert!(error.is_transient() && held.is_held(), "{error:?}");
    proxy.restore();
    soon("it is back", held.release()).await.unwrap();
}

#[tokio::test]
async fn what_speaks_something_else_is_told() {
    let redis = RedisOptions::new(Flavour::Redis).start().await;
    let closing = speaker(b"").await;
    let web = speaker(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let garbage = speaker(&[0xff; 4_000]).await;
    let huge = speaker(&[0x7f, 0xff, 0xff, 0xff]).await;
    let nothing = speaker(&[0; 64]).await;
    let speakers = [redis.addr(), closing, web, garbage, huge, nothing];
    join_all(speakers.map(async |addr| {
        for config in with_and_without_login([("127.0.0.1", addr.port())]) {
            let limit = Duration::from_secs(5);
            let what = format!("not a ZooKeeper: {addr}");
            let error = fails_within(limit, &what, config.connect()).await;
            says(&error, Unavailable, &["connect", "ZooKeeper's port for clients"]);
        }
    }))
    .await;
}

#[tokio::test]
async fn members_that_are_gone_or_silent_are_passed_over() {
    let stage = Stage::new().await;
    let refused = Port::claim();
    let silent = Proxy::start(stage.server.addr()).await;
    silent.cut();
    let own = stage.server.port();
    for dead in [refused.number(), silent.addr().port()] {
        // Which one is asked first is chosen at random.
        for members in [vec![dead, own], vec![dead, own, own], vec![own, dead], vec![dead, own]] {
            let members = members.into_iter().map(|port| ("127.0.0.1", port));
            let config = ZkConfig::new(members).prefix(stage.prefix.as_str()).unwrap();
            let locks = connect(config.request_timeout(Duration::from_secs(1)).unwrap()).await;
            let mutex = locks.mutex("cycle").unwrap();
            for _ in 0..20 {
                mutex.lock().await.unwrap().release().await.unwrap();
            }
            soon("its end", locks.shutdown()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_outlives_all_its_members() {
    let server = Zk::start().await;
    let locks = connect(super::at(&server)).await;
    let mutex = locks.mutex("again").unwrap();
    mutex.lock().await.unwrap().release().await.unwrap();
    server.kill();
    // What was sent when the connection broke may be unknown, and is not after that.
    let _ = soon("the first to notice", mutex.try_lock()).await;
    let limit = Duration::from_secs(5);
    let error = fails_within(limit, "nobody", mutex.try_lock()).await;
    says(&error, Unavailable, &["try_lock"]);
    says(&fails_within(limit, "nobody", locks.inspect("again")).await, Unavailable, &["inspect"]);
    server.restart().await;
    // The client library pauses before it connects again, for as long as the outage was at the most.
    eventually("the server is back", || async {
        let guard = mutex.try_lock().await;
        guard.is_ok_and(|guard| guard.is_some_and(|guard| guard.is_held()))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections_is_told() {
    let server = Zk::options().max_client_connections(2).start().await;
    let (one, other) = (client(&server).await, client(&server).await);
    let limit = Duration::from_secs(5);
    let error = fails_within(limit, "full", super::at(&server).connect()).await;
    says(&error, Unavailable, &["connect", "maxClientCnxns"]);
    one.close().await.unwrap();
    other.close().await.unwrap();
    connect(super::at(&server)).await;
}

async fn client(server: &Zk) -> lock_testkit::ZkClient {
    let timeout = Duration::from_secs(20);
    lock_testkit::ZkClient::connect(server.addr(), timeout).await.unwrap()
}

fn with_and_without_login<const N: usize>(members: [(&str, u16); N]) -> [ZkConfig; 2] {
    let config = ZkConfig::new(members);
    [config.clone(), config.login("worker", CANARY)]
}

/// Says the same to everybody who comes, and hangs up.
async fn speaker(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever has hung up before does not matter.
            let _ = stream.write_all(words).await;
        }
    });
    addr
}
