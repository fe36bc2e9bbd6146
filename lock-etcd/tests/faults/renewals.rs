//! Renewals at the moment at which a hold ends.

use lock_conformance::aim;
use lock_conformance::load::{seed, times};
use lockcore::Renewal;

use crate::stage::{LONG, config, connect, etcd, keys, nothing_left, ttl};

#[tokio::test]
async fn renewals_at_the_deadline_are_true_or_refused() {
    let server = etcd().await;
    let locks = connect(config(server.port()), ttl(2)).await;
    let other = connect(config(server.port()), ttl(2)).await;
    aim::at_the_deadline(&locks, &other, seed(), times(250, 5_000)).await;
    nothing_left(&server).await;
}

/// The lease of one is revoked; the key of the other is deleted, and its lease lives on.
#[tokio::test]
async fn renewals_of_what_has_ended_in_the_server_are_refused() {
    let server = etcd().await;
    let locks = connect(config(server.port()), LONG).await;
    let removes = async |name: &str, renewal| {
        let key = keys(&server, name).await.remove(0);
        if renewal == Renewal::Auto {
            assert!(server.delete(&key.key).await);
        } else {
            server.revoke_lease(key.lease).await;
        }
    };
    aim::at_the_removal(&locks, seed(), times(250, 5_000), removes).await;
    nothing_left(&server).await;
}
