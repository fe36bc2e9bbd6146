//! Sentinels.

use std::time::Duration;

use lock_testkit::{Flavour, RedisOptions, SentinelOptions, Sentinels, eventually};

#[tokio::test]
async fn the_replica_follows_a_dead_master() {
    let group = Sentinels::start(Flavour::Redis).await;
    let hosts: Vec<_> = group.addrs().iter().map(ToString::to_string).collect();
    assert_eq!(hosts.len(), 3);
    assert_eq!(group.url(), format!("redis+sentinel://{}/mymaster", hosts.join(",")));
    assert_eq!(group.master_name(), "mymaster");

    let [master, replica] = group.servers();
    assert_eq!(group.master().await, master.addr());
    let mut resp = master.resp().await;
    assert_eq!(resp.command(&["SET", "key", "v"]).await.as_str(), Some("OK"));
    // It waits for the writes of its own connection only.
    assert_eq!(resp.command(&["WAIT", "1", "5000"]).await.as_int(), Some(1));

    let old = group.kill_master().await;
    assert_eq!(old, master.addr());
    assert!(!master.is_running());
    assert_eq!(group.master_after(old).await, replica.addr());
    let read = replica.resp().await.command(&["GET", "key"]).await;
    assert_eq!(read.as_str(), Some("v"));
    let written = replica.resp().await.command(&["SET", "key", "w"]).await;
    assert_eq!(written.as_str(), Some("OK"));

    // The old one comes back as a replica.
    master.restart().await;
    eventually("the copy", Duration::from_secs(30), || async {
        let read = master.resp().await.command(&["GET", "key"]).await;
        (read.as_str() == Some("w")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn roles_are_exchanged_on_command() {
    exchange_roles(Flavour::Redis).await;
}

#[tokio::test]
async fn roles_are_exchanged_in_a_valkey() {
    exchange_roles(Flavour::Valkey).await;
}

async fn exchange_roles(flavour: Flavour) {
    let servers = RedisOptions::new(flavour).password("pw").append_only();
    let group = SentinelOptions::new(flavour).sentinels(1).servers(servers).start().await;
    let [first, second] = group.servers();
    let sentinel = group.addrs()[0];
    assert_eq!(group.url(), format!("redis+sentinel://:pw@{sentinel}/mymaster"));
    assert_eq!(group.failover().await, second.addr());
    let refusal = first.resp().await.command(&["SET", "key", "v"]).await;
    assert!(refusal.as_error().unwrap().starts_with("READONLY"), "{refusal:?}");
    assert_eq!(group.failover().await, first.addr());
    assert!(first.is_running() && second.is_running());
}
