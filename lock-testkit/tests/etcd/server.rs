//! One server, and how it is broken.

use std::path::Path;
use std::time::Duration;

use lock_testkit::{Etcd, EtcdVersion, Proxy, eventually};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::post;
use crate::{SOON, VERSIONS};

#[tokio::test]
async fn each_version_answers() {
    for (version, number) in [(EtcdVersion::V3_4, "3.4."), (EtcdVersion::V3_7, "3.7.")] {
        let server = Etcd::options(version).start().await;
        assert_eq!(server.version(), version);
        assert_eq!(server.url(), format!("etcd://127.0.0.1:{}", server.port()));
        assert_eq!(server.url_as("joe", "pw"), format!("etcd://joe:pw@{}", server.addr()));
        assert_eq!(server.plain_addr(), Some(server.addr()));
        let proxy = Proxy::start(server.addr()).await;
        assert_eq!(server.url_via(&proxy), format!("etcd://{}", proxy.addr()));
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let reply = post(&mut client, "/v3/maintenance/status", "{}", "}").await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        let status = server.call("/v3/maintenance/status", json!({})).await.unwrap();
        assert!(status["version"].as_str().unwrap().starts_with(number), "{status}");
        assert!(server.logs().contains("serving client traffic"));
    }
}

#[tokio::test]
async fn data_survives_kill_and_restart() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let lease = server.grant_lease(60).await;
        server.put_with_lease("lock/a", "kept", lease).await;
        let (pid, addr) = (server.pid(), server.addr());
        server.kill();
        assert!(!server.is_running() && TcpStream::connect(addr).await.is_err());
        server.restart().await;
        assert_ne!(server.pid(), pid);
        assert_eq!(server.addr(), addr);
        assert_eq!(server.key("lock/a").await.unwrap().value, b"kept");
        assert_eq!(server.leases().await, [lease]);

        server.restart_empty().await;
        assert_eq!(server.addr(), addr);
        assert!(server.keys("").await.is_empty() && server.leases().await.is_empty());
    }
}

#[tokio::test]
async fn a_paused_server_is_silent_and_forgets_nothing() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let mut client = TcpStream::connect(server.addr()).await.unwrap();
        server.pause();
        assert!(server.is_running());
        let body = r#"{"key":"a2V5","value":"bGF0ZQ=="}"#;
        let written = post(&mut client, "/v3/kv/put", body, "}");
        assert!(timeout(Duration::from_millis(200), written).await.is_err());
        server.resume();
        eventually("the write", SOON, || async { server.key("key").await }).await;
    }
}

#[tokio::test]
async fn a_call_to_a_dead_server_fails() {
    let server = Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync().start().await;
    server.kill();
    let error = server.call("/v3/kv/range", json!({"key": "AA=="})).await.unwrap_err();
    assert_eq!(error.code(), None, "{error}");
}

#[tokio::test]
async fn a_server_ends_with_its_test() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let process = format!("/proc/{}", server.pid());
        assert!(Path::new(&process).exists());
        drop(server);
        assert!(!Path::new(&process).exists());
    }
}

#[tokio::test]
async fn elections_set_the_shortest_lease() {
    for version in VERSIONS {
        let slow = Etcd::options(version).start().await;
        assert_eq!(slow.min_lease_ttl(), Duration::from_secs(2));
        let lease = slow.grant_lease(1).await;
        assert!((1..=2).contains(&slow.lease_ttl(lease).await.unwrap()));
        assert_eq!(granted(&slow, 1).await, "2");

        let (heartbeat, election) = (Duration::from_millis(20), Duration::from_millis(200));
        let quick = Etcd::options(version).election(heartbeat, election).start().await;
        assert_eq!(quick.min_lease_ttl(), Duration::from_secs(1));
        assert_eq!(granted(&quick, 1).await, "1");
    }
}

#[tokio::test]
#[should_panic(expected = "did not start")]
async fn a_bad_flag_is_shown() {
    Etcd::options(EtcdVersion::V3_7).flag("--no-such-flag").start().await;
}

async fn granted(server: &Etcd, ttl: i64) -> String {
    let reply = server.call("/v3/lease/grant", json!({"TTL": ttl.to_string()})).await.unwrap();
    reply["TTL"].as_str().unwrap().to_owned()
}
