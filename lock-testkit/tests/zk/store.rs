//! What is in a server.

use lock_testkit::{Zk, ZkAcl, ZkClient, ZkEventKind, ZkMode, eventually};

use crate::{LONG, SOON, client, ephemeral};

#[tokio::test]
async fn nodes_are_seen_and_changed() {
    let server = Zk::start().await;
    assert_eq!(server.create("/a", "1", ZkMode::Persistent).await, "/a");
    let first = server.create("/a/n-", "", ZkMode::PersistentSequential).await;
    assert_eq!(first, "/a/n-0000000000");
    server.create("/a/b", "", ZkMode::Persistent).await;
    server.create("/a/b/c", "", ZkMode::Container).await;
    assert_eq!(server.children("/a").await, ["b", "n-0000000000"]);
    assert_eq!(server.tree("/").await, ["/a", "/a/b", "/a/b/c", "/a/n-0000000000"]);
    assert_eq!(server.tree("/a/b").await, ["/a/b/c"]);

    assert!(server.set_data("/a", "four").await);
    assert_eq!(server.data("/a").await.unwrap(), b"four");
    let stat = server.stat("/a").await.unwrap();
    assert!(stat.mzxid > stat.czxid && stat.pzxid > stat.czxid);
    assert_eq!((stat.version, stat.cversion, stat.aversion), (1, 2, 0));
    assert_eq!((stat.data_length, stat.num_children, stat.ephemeral_owner), (4, 2, 0));

    assert!(!server.delete("/none").await && !server.set_data("/none", "").await);
    assert!(server.stat("/none").await.is_none() && server.data("/none").await.is_none());
    assert!(server.children("/none").await.is_empty());
    assert!(server.delete("/a/n-0000000000").await);
    assert_eq!(server.delete_tree("/a").await, 3);
    assert!(server.tree("/").await.is_empty());
}

#[tokio::test]
async fn acls_bind_all_but_the_kit() {
    let server = Zk::start().await;
    server.create("/a", "secret", ZkMode::Persistent).await;
    let joe = ZkAcl::user("joe", "pw", ZkAcl::READ);
    assert!(server.set_acl("/a", std::slice::from_ref(&joe)).await);
    assert_eq!(server.acl("/a").await.unwrap(), [joe]);

    let mut client = client(&server).await;
    assert_eq!(client.data("/a", false).await.unwrap_err().code(), Some(-102));
    client.authenticate("joe", "pw").await.unwrap();
    assert_eq!(client.data("/a", false).await.unwrap(), b"secret");
    let error = client.set_data("/a", b"", -1).await.unwrap_err();
    assert_eq!(error.to_string(), "no auth (-102)");
    assert!(server.set_data("/a", "by the kit").await);
}

#[tokio::test]
async fn sessions_and_their_nodes_are_seen() {
    let server = Zk::start().await;
    let mut holder = client(&server).await;
    ephemeral(&mut holder, "/b").await;
    ephemeral(&mut holder, "/a").await;
    let idle = client(&server).await;
    let sessions = server.sessions().await;
    let [first, second] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((first.id, second.id), (holder.session(), idle.session()));
    assert_eq!((first.timeout, second.timeout), (Some(LONG), Some(LONG)));
    let mut nodes = first.ephemerals.clone();
    nodes.sort();
    assert_eq!(nodes, ["/a", "/b"]);
    assert!(second.ephemerals.is_empty() && second.client.is_some());
    assert_eq!((first.received, second.received), (3, 1));
    assert_eq!(server.stat("/a").await.unwrap().ephemeral_owner, holder.session());
    holder.close().await.unwrap();
    assert_eq!(server.sessions().await.len(), 1);
}

#[tokio::test]
async fn a_session_is_expired() {
    let server = Zk::start().await;
    let mut holder = client(&server).await;
    ephemeral(&mut holder, "/held").await;
    let mut waiter = client(&server).await;
    assert!(waiter.exists("/held", true).await.unwrap().is_some());

    assert!(server.expire_session(holder.session()).await);
    assert!(server.stat("/held").await.is_none());
    assert!(server.session(holder.session()).await.is_none());
    assert!(holder.ping().await.is_err());
    let again = ZkClient::reconnect(server.addr(), LONG, holder.session(), holder.password()).await;
    assert_eq!(again.unwrap_err().code(), Some(-112));
    assert!(!server.expire_session(holder.session()).await);

    waiter.ping().await.unwrap();
    let [event] = waiter.events() else { panic!("{:?}", waiter.events()) };
    assert_eq!((event.kind, event.path.as_str()), (ZkEventKind::Deleted, "/held"));
}

#[tokio::test]
async fn a_connection_is_closed() {
    let server = Zk::start().await;
    let mut holder = client(&server).await;
    ephemeral(&mut holder, "/held").await;
    assert!(server.drop_connection(holder.session()).await);
    assert!(holder.ping().await.is_err());
    let again = ZkClient::reconnect(server.addr(), LONG, holder.session(), holder.password()).await;
    let mut again = again.unwrap();
    assert!(again.exists("/held", false).await.unwrap().is_some());
    again.close().await.unwrap();
    assert!(!server.drop_connection(holder.session()).await);
}

#[tokio::test]
async fn an_ephemeral_node_of_the_kit_is_kept_by_its_client() {
    let server = Zk::start().await;
    let mut kit = server.client().await.unwrap();
    ephemeral(&mut kit, "/held").await;
    assert!(server.stat("/held").await.is_some());
    // It is not among the sessions of clients.
    assert!(server.sessions().await.is_empty());
    kit.close().await.unwrap();
    eventually("it is gone", SOON, || async { server.stat("/held").await.is_none().then_some(()) })
        .await;
}
