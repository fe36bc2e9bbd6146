//! One server, and how it is broken.

use std::path::Path;
use std::time::Duration;

use lock_testkit::{Proxy, Zk, ZkClient, ZkMode, eventually};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{LONG, SOON, client, ephemeral};

#[tokio::test]
async fn it_answers() {
    let server = Zk::start().await;
    assert_eq!(server.connect_string(), format!("127.0.0.1:{}", server.port()));
    assert_eq!(server.plain_addr(), Some(server.addr()));
    assert_eq!(server.word("ruok").await.unwrap(), "imok");
    let proxy = Proxy::start(server.addr()).await;
    assert_eq!(server.connect_string_via(&proxy), proxy.addr().to_string());
    let mut client = ZkClient::connect(proxy.addr(), LONG).await.unwrap();
    assert_eq!(client.children("/", false).await.unwrap(), ["zookeeper"]);
    client.ping().await.unwrap();
    client.close().await.unwrap();
    assert!(server.word("srvr").await.unwrap().starts_with("Zookeeper version: 3.8."));
    assert!(server.logs().contains("binding to port"), "{}", server.logs());
}

#[tokio::test]
async fn data_survives_kill_and_restart() {
    let server = Zk::start().await;
    server.create("/lock", "kept", ZkMode::Persistent).await;
    let mut holder = client(&server).await;
    ephemeral(&mut holder, "/lock/a").await;
    let (pid, addr) = (server.pid(), server.addr());
    server.kill();
    assert!(!server.is_running() && TcpStream::connect(addr).await.is_err());
    assert!(holder.ping().await.is_err());
    server.restart().await;
    assert_ne!(server.pid(), pid);
    assert_eq!(server.addr(), addr);
    assert_eq!(server.data("/lock").await.unwrap(), b"kept");
    assert_eq!(server.children("/lock").await, ["a"]);
    let again = ZkClient::reconnect(addr, LONG, holder.session(), holder.password()).await;
    assert_eq!(again.unwrap().session(), holder.session());

    server.restart_empty().await;
    assert_eq!(server.addr(), addr);
    assert!(server.tree("/").await.is_empty() && server.sessions().await.is_empty());
}

#[tokio::test]
async fn a_paused_server_is_silent_and_forgets_nothing() {
    let server = Zk::start().await;
    let mut client = client(&server).await;
    server.pause();
    assert!(server.is_running());
    let created = ephemeral(&mut client, "/late");
    assert!(timeout(Duration::from_millis(200), created).await.is_err());
    server.resume();
    eventually("the node", SOON, || async { server.stat("/late").await }).await;
}

#[tokio::test]
async fn a_server_ends_with_its_test() {
    let server = Zk::start().await;
    let process = format!("/proc/{}", server.pid());
    assert!(Path::new(&process).exists());
    drop(server);
    assert!(!Path::new(&process).exists());
}

#[tokio::test]
async fn sessions_are_as_long_as_it_allows() {
    let server = Zk::start().await;
    let granted = async |millis| {
        let wanted = Duration::from_millis(millis);
        ZkClient::connect(server.addr(), wanted).await.unwrap().timeout()
    };
    assert_eq!(granted(1).await, server.min_session_timeout());
    assert_eq!(granted(1000).await, Duration::from_secs(1));
    assert_eq!(granted(100_000).await, server.max_session_timeout());
}

#[tokio::test]
async fn a_session_ends_when_its_client_is_silent() {
    let server = Zk::start().await;
    let timeout = Duration::from_millis(400);
    let mut client = ZkClient::connect(server.addr(), timeout).await.unwrap();
    ephemeral(&mut client, "/held").await;
    eventually("it has ended", SOON, || async {
        server.stat("/held").await.is_none().then_some(())
    })
    .await;
    assert_eq!(server.session(client.session()).await, None);
}

#[tokio::test]
#[should_panic(expected = "did not start")]
async fn a_bad_setting_is_shown() {
    Zk::options().setting("maxClientCnxns", "many").start().await;
}
