//! Passwords of etcd.

use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdVersion, Permission, Port, TlsOptions};

use crate::watch::Canary;
use crate::{are_refused, fails_quietly, is_not_printed, work};

#[tokio::test]
async fn a_password_of_etcd_is_not_shown() {
    let canary = Canary::new();
    let secret = canary.secret();
    let options = || Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync();
    let rights = [("leasehold/", Permission::ReadWrite)];
    let (server, open, tls) = tokio::join!(
        options().user("worker", secret, &rights).user("other", "another", &rights).start(),
        options().start(),
        options().tls(TlsOptions::new()).start(),
    );
    let down = Port::claim();
    let (port, open, tls, down) = (server.port(), open.port(), tls.port(), down.number());
    are_refused(
        &canary,
        &[
            format!("etcd://other:{secret}@127.0.0.1:{port}"),
            format!("etcd://nobody:{secret}@127.0.0.1:{port}"),
            format!("etcd://worker:{secret}@127.0.0.1:{port}/elsewhere"),
            format!("etcd://worker:{secret}@127.0.0.1:{open}"),
            format!("etcd://worker:{secret}@127.0.0.1:{down}"),
            format!("etcds://worker:{secret}@127.0.0.1:{port}"),
            format!("etcd://worker:{secret}@127.0.0.1:{tls}"),
            format!("etcds://worker:{secret}@localhost:{tls}"),
            format!("etcd://worker:{secret}@127.0.0.1:{port}?ttl=soon"),
            format!("etcd://worker:{secret}@127.0.0.1:{port}?ttl=1ms"),
            format!("etcd://{secret}@127.0.0.1:{port}"),
        ],
    )
    .await;
    let config = EtcdConfig::new([("127.0.0.1", port)]).login("worker", secret);
    is_not_printed(&canary, &config);
    let lock = config.connect().await.unwrap();
    is_not_printed(&canary, &lock);

    let url = format!("etcd://worker:{secret}@127.0.0.1:{port}?request_timeout=1s&ttl=2s");
    let other = leasehold::connect(&url).await.unwrap();
    let guard = work(&canary, &leasehold::Locks::new(lock), &other).await;
    server.remove_user("worker").await;
    fails_quietly(&canary, &other, guard).await;
    canary.was_kept(&["lockcore", "h2"]);
}
