//! Renewals at the moment at which a hold ends.

use lock_conformance::aim;
use lock_conformance::load::{seed, times};
use lock_conformance::time::eventually;
use lockcore::Renewal;

use crate::stage::{config, connect, key, ms, only_fences, redis, value};

#[tokio::test]
async fn renewals_at_the_deadline_are_true_or_refused() {
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(1_500)).await;
    let other = connect(config(server.addr()), ms(1_500)).await;
    aim::at_the_deadline(&locks, &other, seed(), times(250, 5_000)).await;
    only_fences(&server, "").await;
}

/// The key of one ends in the server by its TTL, that of the other is deleted.
#[tokio::test]
async fn renewals_of_what_has_ended_in_the_server_are_refused() {
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(60_000)).await;
    let removes = async |name: &str, renewal| {
        let mut resp = server.resp().await;
        let key = key(name);
        if renewal == Renewal::Auto {
            resp.command(&["DEL", &key]).await;
            return;
        }
        // A renewal that comes before the end moves it.
        eventually("it has ended", || async {
            server.resp().await.command(&["PEXPIRE", &key, "1"]).await;
            value(&server, name).await.is_none()
        })
        .await;
    };
    aim::at_the_removal(&locks, seed(), times(250, 5_000), removes).await;
    only_fences(&server, "").await;
}
