//! Servers that are not there, or not what they should be.

use std::time::Duration;

use lock_conformance::time::{eventually, soon};
use lock_redis::RedisConfig;
use lock_testkit::{Cluster, Flavour, Port, Proxy, RedisOptions, SentinelOptions};
use lockcore::ErrorKind::{Indeterminate, InvalidConfig, Unauthorized, Unavailable};

use super::{CANARY, at, connect, fails, fails_within, says, server};

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let port = Port::claim();
    let config = RedisConfig::single("127.0.0.1", port.number()).login(None, CANARY);
    let connecting = config.connect();
    let error = fails_within(Duration::from_millis(500), "a closed port", connecting).await;
    says(&error, Unavailable, &["connect", "is the server up"]);
}

#[tokio::test]
async fn a_host_without_a_name_is_told_in_time() {
    let config = RedisConfig::single("no-such-host.invalid", 6379).login(None, CANARY);
    let error = fails("a name that nobody has", config.connect()).await;
    says(&error, Unavailable, &["connect", "name"]);
}

#[tokio::test]
async fn a_silent_server_is_told_in_time() {
    let server = server().await;
    let proxy = Proxy::start(server.addr()).await;
    proxy.black_hole(true, true);
    let config = RedisConfig::single("127.0.0.1", proxy.addr().port()).login(None, CANARY);
    says(&fails("a black hole", config.connect()).await, Unavailable, &["connect", "in time"]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_told_in_time() {
    let server = server().await;
    let proxy = Proxy::start(server.addr()).await;
    let config = RedisConfig::single("127.0.0.1", proxy.addr().port());
    let short = config.clone().request_timeout(Duration::from_millis(300)).unwrap();
    let (locks, hasty) = (connect(config).await, connect(short).await);
    let held = hasty.mutex("held").unwrap().lock().await.unwrap();
    proxy.black_hole(true, true);
    let error = fails("a look", locks.inspect("silent")).await;
    says(&error, Unavailable, &["inspect"]);
    // It may have been applied: three requests are made before that is said.
    let limit = Duration::from_millis(1_500);
    let mutex = hasty.mutex("silent").unwrap();
    let error = fails_within(limit, "a lock", mutex.try_lock()).await;
    assert!([Indeterminate, Unavailable].contains(&error.kind()), "{error:?}");
    assert_eq!(error.may_hold_until().is_some(), error.kind() == Indeterminate, "{error:?}");
    let error = fails_within(limit, "a renewal", held.renew()).await;
    assert!(error.is_transient() && held.is_held(), "{error:?}");
}

#[tokio::test]
async fn a_read_only_replica_is_told_at_connect() {
    let master = server().await;
    let replica = RedisOptions::new(Flavour::Redis).replica_of(master.addr()).start().await;
    eventually("the replica is in step", async || {
        let role = super::run(&replica, &["ROLE"]).await;
        role.as_slice().unwrap()[3].as_str() == Some("connected")
    })
    .await;
    let error = fails("a replica", at(&replica).connect()).await;
    says(&error, Unavailable, &["connect", "replica", "sentinel"]);

    let locks = connect(at(&master)).await;
    let guard = locks.mutex("demoted").unwrap().lock().await.unwrap();
    // The two change places.
    super::run(&replica, &["REPLICAOF", "NO", "ONE"]).await;
    let port = replica.port().to_string();
    super::run(&master, &["REPLICAOF", "127.0.0.1", &port]).await;
    let error = fails("a lock", locks.mutex("other").unwrap().try_lock()).await;
    says(&error, Unavailable, &["try_lock", "replica"]);
    drop(guard);
}

#[tokio::test]
async fn sentinels_that_do_not_know_the_master_or_do_not_answer_are_told() {
    let options = RedisOptions::new(Flavour::Redis).password("right");
    let group = SentinelOptions::new(Flavour::Redis).sentinels(1).servers(options).start().await;
    let sentinels = || group.addrs().into_iter().map(|addr| ("127.0.0.1", addr.port()));

    let config = RedisConfig::sentinel(sentinels(), "nosuchmaster").login(None, "right");
    let error = fails("a wrong name", config.connect()).await;
    says(&error, InvalidConfig, &["connect", "master of this name"]);

    let config = RedisConfig::sentinel(sentinels(), group.master_name()).login(None, CANARY);
    let error = fails("a wrong password", config.connect()).await;
    says(&error, Unauthorized, &["connect", "password"]);

    let config = RedisConfig::sentinel(sentinels(), group.master_name()).login(None, "right");
    connect(config.clone()).await.shutdown().await.unwrap();
    group.kill_sentinel(0);
    let error = fails("no sentinel", config.connect()).await;
    says(&error, Unavailable, &["connect", "sentinel"]);
}

#[tokio::test]
async fn a_dead_node_of_a_cluster_takes_its_own_names_alone() {
    // The other nodes go on serving what is theirs.
    let options = RedisOptions::new(Flavour::Redis).config("cluster-require-full-coverage no");
    let cluster = Cluster::start_with(options).await;
    let nodes = || cluster.nodes().iter().map(|node| ("127.0.0.1", node.port()));
    let locks = connect(RedisConfig::cluster(nodes())).await;
    let name_at = |node: usize| {
        let port = cluster.nodes()[node].port();
        let mut names = (0..).map(|number| format!("name-{number}"));
        names.find(|name| cluster.node_of_key(format!("leasehold:{name}")).port() == port).unwrap()
    };
    let (dead, alive) = (name_at(1), name_at(2));
    cluster.nodes()[1].kill();

    let mutex = locks.mutex(&alive).unwrap();
    soon("a name of a living node", mutex.lock()).await.unwrap().release().await.unwrap();
    let error = fails("a look at a dead node's name", locks.inspect(&dead)).await;
    says(&error, Unavailable, &["inspect"]);
    eventually("the node is declared dead", async || {
        let info = super::run(&cluster.nodes()[0], &["CLUSTER", "NODES"]).await;
        info.as_str().unwrap().lines().any(|line| line.contains("fail ") && !line.contains("fail?"))
    })
    .await;
    let mutex = locks.mutex(&dead).unwrap();
    // An attempt of the cluster's client may have been sent before the node died, so three requests
    // are given their time before that is said.
    let limit = Duration::from_millis(6_500);
    let error = fails_within(limit, "a dead node's name", mutex.try_lock()).await;
    assert!([Indeterminate, Unavailable].contains(&error.kind()), "{error:?}");
    assert!(error.may_hold_until().is_some() || error.kind() == Unavailable, "{error:?}");

    // One who comes now finds the others too.
    let late = soon("a late client", RedisConfig::cluster(nodes()).connect()).await;
    let late = lockcore::Locks::new(late.unwrap());
    let mutex = late.mutex(&alive).unwrap();
    soon("a name of a living node", mutex.lock()).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_cluster_refuses_wrong_credentials_and_is_told_from_no_cluster() {
    let single = server().await;
    let config = RedisConfig::cluster([("127.0.0.1", single.port())]);
    let error = fails("a server that is no cluster", config.connect()).await;
    says(&error, InvalidConfig, &["connect", "cluster"]);

    let port = Port::claim();
    let config = RedisConfig::cluster([("127.0.0.1", port.number())]).login(None, CANARY);
    says(&fails("nobody", config.connect()).await, Unavailable, &["connect"]);

    let locked = RedisOptions::new(Flavour::Redis).password("right");
    let cluster = Cluster::start_with(locked).await;
    let nodes = cluster.nodes().iter().map(|node| ("127.0.0.1", node.port()));
    let config = RedisConfig::cluster(nodes).login(None, CANARY);
    let error = fails("a wrong password", config.connect()).await;
    says(&error, Unauthorized, &["connect", "password"]);
}
