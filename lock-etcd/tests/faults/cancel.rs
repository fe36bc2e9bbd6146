//! Futures that are dropped at any time.

use lock_conformance::load::{seed, times};
use lock_conformance::sweep;
use lock_conformance::time::{eventually, soon};
use lock_testkit::Proxy;
use tokio::runtime::Handle;

use crate::stage::{LONG, config, connect, etcd, ms, nothing_left, until_watched};

#[tokio::test]
async fn drops_at_every_await_point_leave_nothing_but_the_session() {
    let server = etcd().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let base = tasks();
    let proxy = Proxy::start(server.addr()).await;
    proxy.delay(ms(1), ms(1));
    proxy.jitter(ms(4));
    let (leases, watchers) = (server.leases().await.len(), server.watchers().await);
    // No TTL hides what was left: it is longer than the test.
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let busy = connect(config(server.port()), LONG).await;
    sweep::drops(&locks, &busy, seed(), times(300, 5_000)).await;
    nothing_left(&server).await;
    until_watched(&server, watchers).await;
    assert_eq!(server.leases().await.len(), leases + 2, "one for each client");
    sweep::all_is_free(&busy).await;
    nothing_left(&server).await;
    for client in [locks, busy] {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    eventually("no key is left", || async { server.keys("leasehold/").await.is_empty() }).await;
    assert_eq!(server.leases().await.len(), leases);
    drop(proxy);
    eventually("no task is left", || async { tasks() <= base }).await;
}
