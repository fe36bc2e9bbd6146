//! Futures that are dropped at any time.

use lock_conformance::load::{seed, times};
use lock_conformance::sweep;
use lock_conformance::time::{eventually, soon};
use lock_testkit::{Proxy, Zk};
use tokio::runtime::Handle;

use crate::stage::{
    LONG, config, connect, is_idle, left, ms, nothing_left, sessions, until_watched,
};

#[tokio::test]
async fn drops_at_every_await_point_leave_nothing_but_the_session() {
    let server = Zk::start().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let base = tasks();
    let proxy = Proxy::zk(server.addr()).await;
    // No TTL hides what was left: it is longer than the test.
    let locks = connect(config(proxy.addr().port()), LONG).await;
    let busy = connect(config(server.port()), LONG).await;
    proxy.delay(ms(1), ms(1));
    proxy.jitter(ms(4));
    sweep::drops(&locks, &busy, seed(), times(300, 5_000)).await;
    is_idle(&locks).await;
    assert_eq!(left(&server).await, [""; 0]);
    until_watched(&server, 0).await;
    assert_eq!(sessions(&server).await, 2, "one for each client");
    sweep::all_is_free(&busy).await;
    nothing_left(&server).await;
    for client in [locks, busy] {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    eventually("no session is left", || async { sessions(&server).await == 0 }).await;
    drop(proxy);
    eventually("no task is left", || async { tasks() <= base }).await;
}
