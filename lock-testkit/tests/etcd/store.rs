//! What is seen in a server.

use lock_testkit::{Etcd, eventually};
use serde_json::json;
use tokio::net::TcpStream;

use crate::http::post;
use crate::{SOON, VERSIONS};

#[tokio::test]
async fn keys_are_seen() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        assert_eq!(server.revision().await, 1);
        let lease = server.grant_lease(60).await;
        assert_eq!(server.put_with_lease("lock/b", [0, 255], lease).await, 2);
        server.put("lock/a", "1").await;
        server.put("lock/a", "2").await;
        server.put("lockless", "").await;

        let keys = server.keys("lock/").await;
        let names: Vec<_> = keys.iter().map(|key| key.key.as_str()).collect();
        assert_eq!(names, ["lock/a", "lock/b"]);
        let [a, b] = &keys[..] else { panic!("there are two") };
        assert_eq!((a.create_revision, a.mod_revision, a.lease), (3, 4, 0));
        assert_eq!((&a.value[..], &b.value[..]), (&b"2"[..], &[0, 255][..]));
        assert_eq!((b.create_revision, b.mod_revision, b.lease), (2, 2, lease));
        assert_eq!(server.keys("").await.len(), 3);
        assert_eq!(server.key("lock/b").await.as_ref(), Some(b));
        assert_eq!(server.key("lock/").await, None);

        assert!(server.delete("lockless").await && !server.delete("lockless").await);
        assert_eq!(server.delete_prefix("lock/").await, 2);
        assert!(server.keys("").await.is_empty());
    }
}

#[tokio::test]
async fn leases_are_seen_and_end() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let [long, short] = [server.grant_lease(60).await, server.grant_lease(1).await];
        server.put_with_lease("long", "", long).await;
        server.put_with_lease("short", "", short).await;
        let mut both = [long, short];
        both.sort_unstable();
        let mut seen = server.leases().await;
        seen.sort_unstable();
        assert_eq!(seen, both);
        assert!((50..=60).contains(&server.lease_ttl(long).await.unwrap()));
        eventually("the short one ends", SOON, || async {
            server.key("short").await.is_none().then_some(())
        })
        .await;
        assert_eq!(server.leases().await, [long]);
        assert_eq!(server.lease_ttl(short).await, None);
        server.revoke_lease(long).await;
        assert!(server.leases().await.is_empty() && server.keys("").await.is_empty());
    }
}

#[tokio::test]
async fn compaction_forgets() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let first = server.put("key", "1").await;
        let last = server.put("key", "2").await;
        let old = json!({"key": "a2V5", "revision": first.to_string()});
        assert!(server.call("/v3/kv/range", old.clone()).await.is_ok());
        assert_eq!(server.compact().await, last);
        let error = server.call("/v3/kv/range", old).await.unwrap_err();
        assert_eq!(error.code(), Some(11));
        assert!(error.message().contains("compacted"), "{error}");
        assert_eq!(server.compact().await, last);
    }
}

#[tokio::test]
async fn a_full_server_raises_an_alarm() {
    for version in VERSIONS {
        let server = Etcd::options(version).quota_bytes(1_000_000).start().await;
        assert!(server.alarms().await.is_empty());
        assert_eq!(server.fill("fill/").await.code(), Some(8));
        assert_eq!(server.alarms().await, ["NOSPACE"]);
        // It is looked into and restarted nevertheless.
        assert!(!server.keys("fill/").await.is_empty());
        server.restart().await;
        assert_eq!(server.alarms().await, ["NOSPACE"]);

        server.delete_prefix("fill/").await;
        server.compact().await;
        server.defrag().await;
        server.disarm().await;
        assert!(server.alarms().await.is_empty());
        server.put("key", "value").await;
    }
}

#[tokio::test]
async fn it_counts() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        let (puts, ranges) = (server.rpcs("Put").await, server.rpcs("Range").await);
        server.put("key", "1").await;
        server.put("key", "2").await;
        assert_eq!(server.rpcs("Put").await, puts + 2);
        assert_eq!(server.messages_received("Put").await, puts + 2);
        assert_eq!(server.messages_sent("Put").await, puts + 2);
        assert_eq!(server.rpcs("Range").await, ranges);
        assert_eq!(server.metric("etcd_mvcc_put_total").await, 2.0);
        let handled = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",\
                       grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}";
        assert_eq!(server.metric(handled).await, 2.0);
        assert!(server.metric("grpc_server_handled_total").await > 2.0);
        assert_eq!(server.metric("no_such_thing").await, 0.0);
    }
}

#[tokio::test]
async fn watches_are_counted() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        assert_eq!((server.watchers().await, server.watch_streams().await), (0, 0));
        let mut client = TcpStream::connect(server.addr()).await.unwrap();
        let body = r#"{"create_request":{"key":"a2V5"}}"#;
        post(&mut client, "/v3/watch", body, r#""created":true"#).await.unwrap();
        assert_eq!((server.watchers().await, server.watch_streams().await), (1, 1));
        assert_eq!((server.rpcs("Watch").await, server.slow_watchers().await), (1, 0));
        let sent = server.messages_sent("Watch").await;
        server.put("key", "").await;
        eventually("the event is sent", SOON, || async {
            (server.messages_sent("Watch").await == sent + 1).then_some(())
        })
        .await;
        drop(client);
        eventually("the watch ends", SOON, || async {
            (server.watchers().await == 0).then_some(())
        })
        .await;
    }
}
