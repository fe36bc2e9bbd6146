//! Clusters.

use std::time::Duration;

use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, Permission, eventually};
use serde_json::json;
use tokio::time::timeout;

use crate::{SOON, VERSIONS};

#[tokio::test]
async fn members_share_what_is_written() {
    for version in VERSIONS {
        let cluster = EtcdCluster::start(version).await;
        assert_eq!((cluster.len(), cluster.members().len()), (3, 3));
        let ports: Vec<_> = cluster.members().iter().map(Etcd::port).collect();
        let [a, b, c] = ports[..] else { panic!("there are three") };
        assert_eq!(cluster.url(), format!("etcd://127.0.0.1:{a},127.0.0.1:{b},127.0.0.1:{c}"));
        for index in 0..3 {
            cluster.member(index).put(format!("from/{index}"), "").await;
        }
        for member in cluster.members() {
            assert_eq!(member.keys("from/").await.len(), 3);
        }
        let hash = cluster.member(0).hash().await;
        assert_eq!(cluster.member(1).hash().await, hash);
        assert_eq!(cluster.member(2).hash().await, hash);
    }
}

#[tokio::test]
async fn leaders_are_moved_and_die() {
    for version in VERSIONS {
        let cluster = EtcdCluster::start(version).await;
        let old = cluster.leader().await;
        let next = (old + 1) % 3;
        cluster.move_leader(next).await;
        assert_eq!(cluster.leader().await, next);

        cluster.member(next).kill();
        let heir = cluster.leader_other_than(next).await;
        assert_ne!(heir, next);
        cluster.member(heir).put("key", "while one is down").await;
        cluster.member(next).restart().await;
        assert!(cluster.member(next).key("key").await.is_some());

        let leader = cluster.leader().await;
        cluster.member(leader).pause();
        let heir = cluster.leader_other_than(leader).await;
        cluster.member(leader).resume();
        assert_ne!(heir, leader);
        assert!(cluster.member(leader).key("key").await.is_some());
    }
}

#[tokio::test]
async fn a_leader_is_cut_off_and_comes_back() {
    for version in VERSIONS {
        let cluster = EtcdCluster::start(version).await;
        cluster.member(0).put("key", "before").await;
        let old = cluster.leader().await;
        let status = cluster.member(old).call("/v3/maintenance/status", json!({})).await.unwrap();
        let old_id: u64 = status["header"]["member_id"].as_str().unwrap().parse().unwrap();
        cluster.partition(old);
        let heir = cluster.leader_other_than(old).await;
        cluster.member(heir).put("key", "after").await;

        // Clients reach it, and it answers what needs no others.
        let isolated = cluster.member(old);
        let stale = json!({"key": "a2V5", "serializable": true});
        let reply = isolated.call("/v3/kv/range", stale).await.unwrap();
        assert_eq!(reply["kvs"][0]["value"], "YmVmb3Jl", "{reply}");
        let write = json!({"key": "a2V5", "value": ""});
        let heard =
            (received(isolated, None).await, received(cluster.member(heir), Some(old_id)).await);
        let written = timeout(Duration::from_secs(1), isolated.call("/v3/kv/put", write)).await;
        assert!(!matches!(written, Ok(Ok(_))), "{written:?}");
        cluster.member(heir).put("key", "after").await;
        // Neither way was open meanwhile, and what a member has received can be told.
        assert!(heard.0 > 0.0 && heard.1 > 0.0);
        assert_eq!(received(isolated, None).await, heard.0);
        assert_eq!(received(cluster.member(heir), Some(old_id)).await, heard.1);

        cluster.heal(old);
        eventually("it follows", SOON, || async {
            let read = isolated.call("/v3/kv/range", json!({"key": "a2V5"})).await.ok()?;
            (read["kvs"][0]["value"] == "YWZ0ZXI=").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn two_partitions_leave_nobody_a_majority() {
    let cluster = EtcdCluster::start(EtcdVersion::V3_7).await;
    cluster.partition(0);
    cluster.partition(1);
    eventually("the last one has no leader", SOON, || async {
        (cluster.member(2).metric("etcd_server_has_leader").await == 0.0).then_some(())
    })
    .await;
    // One and two meet again, and member 0 is still away.
    cluster.heal(1);
    assert_ne!(cluster.leader_other_than(0).await, 0);
    cluster.member(2).put("key", "").await;
    assert!(cluster.link(0, 1).connections() > 0);
    cluster.heal(0);
    eventually("all are together", SOON, || async {
        let read = cluster.member(0).call("/v3/kv/range", json!({"key": "a2V5"})).await.ok()?;
        read["kvs"].is_array().then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_members_know_the_users() {
    for version in VERSIONS {
        let options = Etcd::options(version).user("joe", "pw", &[("", Permission::ReadWrite)]);
        let cluster = EtcdCluster::start_with(options).await;
        let hosts = cluster.url();
        let hosts = hosts.strip_prefix("etcd://").unwrap();
        assert_eq!(cluster.url_as("joe", "pw"), format!("etcd://joe:pw@{hosts}"));
        for member in cluster.members() {
            let joe = member.authenticate("joe", "pw").await.unwrap();
            let body = json!({"key": "a2V5", "value": ""});
            member.call_with(&joe, "/v3/kv/put", body.clone()).await.unwrap();
            assert!(member.call_with("", "/v3/kv/put", body).await.is_err());
        }
        let leader = cluster.leader().await;
        cluster.partition(leader);
        assert_ne!(cluster.leader_other_than(leader).await, leader);
    }
}

/// How many bytes a member has received from its peers, or from this one.
async fn received(member: &Etcd, from: Option<u64>) -> f64 {
    let name = "etcd_network_peer_received_bytes_total";
    match from {
        Some(id) => member.metric(&format!("{name}{{From=\"{id:x}\"}}")).await,
        None => member.metric(name).await,
    }
}
