//! The kit on real servers of ZooKeeper: it starts them, breaks them, and sees what is in them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod counters;
mod ensemble;
mod limits;
mod neighbours;
mod server;
mod store;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

use lock_testkit::{Zk, ZkAcl, ZkClient, ZkMode};

/// A client under test, whose session does not end by itself.
async fn client(server: &Zk) -> ZkClient {
    ZkClient::connect(server.addr(), LONG).await.unwrap()
}

/// Creates an ephemeral node.
async fn ephemeral(client: &mut ZkClient, path: &str) -> String {
    let acl = [ZkAcl::anyone(ZkAcl::ALL)];
    client.create(path, b"", ZkMode::Ephemeral, &acl).await.unwrap().0
}

const LONG: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(20);
