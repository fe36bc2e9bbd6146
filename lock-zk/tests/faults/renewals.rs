//! Renewals at the moment at which a hold ends.

use lock_conformance::aim;
use lock_conformance::load::{seed, times};
use lock_testkit::Zk;

use crate::stage::{LONG, config, connect, nodes, nothing_left, ttl};

#[tokio::test]
async fn renewals_at_the_deadline_are_true_or_refused() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), ttl(2_000)).await;
    let other = connect(config(server.port()), LONG).await;
    aim::at_the_deadline(&locks, &other, seed(), times(250, 5_000)).await;
    nothing_left(&server).await;
}

/// The node is deleted, and its session lives on.
#[tokio::test]
async fn renewals_of_what_has_ended_in_the_server_are_refused() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    let removes = async |name: &str, _| {
        assert!(server.delete(&nodes(&server, name).await[0].path).await);
    };
    aim::at_the_removal(&locks, seed(), times(250, 5_000), removes).await;
    nothing_left(&server).await;
}
