//! A cluster.

use std::time::Duration;

use lock_testkit::{Cluster, Flavour, eventually, key_slot};

#[tokio::test]
async fn every_key_has_its_node() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let cluster = Cluster::start(flavour).await;
        let ports: Vec<_> = cluster.nodes().iter().map(|node| node.port()).collect();
        assert_eq!(
            cluster.url(),
            format!(
                "redis+cluster://127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}",
                ports[0], ports[1], ports[2]
            )
        );
        let mut keys: Vec<_> = (0..30).map(|n| format!("{{tag-{n}}}:key")).collect();
        for key in &keys {
            let slot = key_slot(key.as_bytes());
            let mut resp = cluster.node_of_key(key).resp().await;
            let said = resp.command(&["CLUSTER", "KEYSLOT", key]).await;
            assert_eq!(said.as_int(), Some(i64::from(slot)));
            assert_eq!(resp.command(&["SET", key, "v"]).await.as_str(), Some("OK"));
            let mut resp = cluster.resp_for_slot(slot).await;
            assert_eq!(resp.command(&["GET", key]).await.as_str(), Some("v"));
            for other in cluster.nodes() {
                if other.port() != cluster.node_of_key(key).port() {
                    let moved = other.resp().await.command(&["GET", key]).await;
                    assert!(moved.as_error().unwrap().starts_with("MOVED"), "{moved:?}");
                }
            }
        }
        keys.sort_unstable();
        assert_eq!(cluster.keys().await, keys);
    }
}

#[tokio::test]
async fn a_node_that_dies_and_returns_is_noticed() {
    let cluster = Cluster::start(Flavour::Redis).await;
    let [first, second, _] = cluster.nodes() else { panic!("there are three") };
    first.kill();
    eventually("the cluster is down", Duration::from_secs(20), || async {
        let info = second.resp().await.command(&["CLUSTER", "INFO"]).await;
        info.as_str().unwrap().contains("cluster_state:fail").then_some(())
    })
    .await;
    first.restart().await;
    cluster.whole().await;
}
