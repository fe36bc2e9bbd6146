//! What a server refuses, and what it clears away.

use std::time::Duration;

use lock_testkit::{Zk, ZkAcl, ZkClient, ZkMode, eventually};

use crate::{LONG, SOON, client, ephemeral};

#[tokio::test]
async fn containers_and_old_nodes_are_cleared_away() {
    let options =
        Zk::options().extended_types().container_check(Duration::from_millis(100), 10_000);
    let server = options.start().await;
    server.create("/box", "", ZkMode::Container).await;
    server.create("/unused", "", ZkMode::Container).await;
    server.create("/short", "", ZkMode::Ttl(Duration::from_millis(200))).await;
    server.create("/long", "", ZkMode::Ttl(LONG)).await;
    server.create("/box/a", "", ZkMode::Persistent).await;
    assert_eq!(server.stat("/box").await.unwrap().ephemeral_owner, 0);
    eventually("the TTL is over", SOON, || async {
        (server.tree("/").await == ["/box", "/box/a", "/long", "/unused"]).then_some(())
    })
    .await;
    server.delete("/box/a").await;
    eventually("the container is gone", SOON, || async {
        (server.tree("/").await == ["/long", "/unused"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_container_that_was_never_used_can_go() {
    let quick = Duration::from_millis(100);
    let options = Zk::options().container_check(quick, 10_000).container_never_used(quick);
    let server = options.start().await;
    server.create("/unused", "", ZkMode::Container).await;
    eventually("it is gone", SOON, || async {
        server.stat("/unused").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_ttl_is_an_option() {
    let server = Zk::start().await;
    let mut client = client(&server).await;
    let acl = [ZkAcl::anyone(ZkAcl::ALL)];
    let error = client.create("/a", b"", ZkMode::Ttl(LONG), &acl).await.unwrap_err();
    assert_eq!(error.code(), Some(-6), "{error}");
}

#[tokio::test]
async fn connections_of_clients_are_limited() {
    let server = Zk::options().max_client_connections(2).start().await;
    let (_one, two) = (client(&server).await, client(&server).await);
    assert!(ZkClient::connect(server.addr(), LONG).await.is_err());
    // The kit does not count.
    assert_eq!(server.sessions().await.len(), 2);
    assert!(server.tree("/").await.is_empty());
    two.close().await.unwrap();
    eventually("there is room", SOON, || async {
        ZkClient::connect(server.addr(), LONG).await.ok()
    })
    .await;
}

#[tokio::test]
async fn requests_are_as_long_as_it_allows() {
    let server = Zk::options().max_buffer(1000).start().await;
    let mut small = client(&server).await;
    ephemeral(&mut small, "/a").await;
    small.set_data("/a", &[b'x'; 900], -1).await.unwrap();
    assert!(small.set_data("/a", &[b'x'; 1000], -1).await.is_err());
    assert_eq!(server.data("/a").await.unwrap().len(), 900);
}

#[tokio::test]
async fn a_quota_is_kept() {
    let server = Zk::options().enforce_quota().start().await;
    server.create("/a", "", ZkMode::Persistent).await;
    server.set_quota("/a", 2).await;
    let mut holder = client(&server).await;
    ephemeral(&mut holder, "/a/1").await;
    let acl = [ZkAcl::anyone(ZkAcl::ALL)];
    let error = holder.create("/a/2", b"", ZkMode::Ephemeral, &acl).await.unwrap_err();
    assert_eq!(error.code(), Some(-125), "{error}");
    holder.delete("/a/1", -1).await.unwrap();
    ephemeral(&mut holder, "/a/2").await;
}

#[tokio::test]
async fn the_superuser_has_a_name() {
    let server = Zk::options().superuser("root", "secret").durable(true).start().await;
    server.create_with("/a", "1", ZkMode::Persistent, &[ZkAcl::user("joe", "", 0)]).await;
    let mut client = client(&server).await;
    assert!(client.data("/a", false).await.is_err());
    client.authenticate("root", "secret").await.unwrap();
    assert_eq!(client.data("/a", false).await.unwrap(), b"1");
    assert!(server.logs().contains("INFO"));
}
