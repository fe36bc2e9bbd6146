//! What a server counts.

use std::collections::BTreeSet;

use lock_testkit::{Zk, ZkEventKind};

use crate::{client, ephemeral};

#[tokio::test]
async fn watches_are_seen_and_counted() {
    let server = Zk::start().await;
    let mut holder = client(&server).await;
    let mut waiter = client(&server).await;
    let held = ephemeral(&mut holder, "/held").await;
    waiter.exists(&held, true).await.unwrap();
    waiter.exists("/late", true).await.unwrap();
    holder.data(&held, true).await.unwrap();
    holder.children("/", true).await.unwrap();
    let both = BTreeSet::from([holder.session(), waiter.session()]);
    assert_eq!(server.watches().await[&held], both);
    assert_eq!(server.watches_of(waiter.session()).await, ["/held", "/late"]);
    assert_eq!((server.watch_count().await, server.all_watches_fired().await), (4, 0));

    ephemeral(&mut holder, "/late").await;
    assert_eq!(server.watches_fired(ZkEventKind::Created).await, 1);
    assert_eq!(server.watches_fired(ZkEventKind::ChildrenChanged).await, 1);
    holder.set_data(&held, b"new", -1).await.unwrap();
    assert_eq!(server.watches_fired(ZkEventKind::DataChanged).await, 2);
    waiter.exists(&held, true).await.unwrap();
    holder.delete(&held, 0).await.unwrap_err();
    holder.delete(&held, 1).await.unwrap();
    assert_eq!(server.watches_fired(ZkEventKind::Deleted).await, 1);
    assert_eq!((server.watch_count().await, server.all_watches_fired().await), (0, 5));
    let kinds: Vec<_> = holder.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [ZkEventKind::ChildrenChanged, ZkEventKind::DataChanged]);
}

#[tokio::test]
async fn requests_are_counted() {
    let server = Zk::start().await;
    let mut one = client(&server).await;
    let before = server.metric("zk_packets_received").await;
    for _ in 0..3 {
        ephemeral(&mut one, "/held").await;
        one.delete("/held", -1).await.unwrap();
    }
    // The kit's own look is one.
    assert_eq!(server.metric("zk_packets_received").await, before + 7.0);
    assert_eq!(server.session(one.session()).await.unwrap().received, 7);
    let metrics = server.metrics().await;
    assert_eq!((metrics["zk_num_alive_connections"], metrics["zk_ephemerals_count"]), (2.0, 0.0));
    assert_eq!(server.metric("zk_no_such_thing").await, 0.0);
}
