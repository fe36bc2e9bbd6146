//! Futures that are dropped at any time.

use lock_conformance::load::{seed, times};
use lock_conformance::sweep;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Proxy, Redis};
use tokio::runtime::Handle;

use crate::stage::{config, connect, ms, only_fences, redis};

/// No TTL hides what was left: it is longer than the test.
const LONG_MS: u64 = 120_000;

#[tokio::test]
async fn drops_at_every_await_point_leave_nothing_but_fences_that_expire() {
    let server = redis().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let base = tasks();
    let proxy = slow(&server).await;
    let listens = tasks();
    let locks = connect(config(proxy.addr()), ms(LONG_MS)).await;
    let busy = connect(config(server.addr()), ms(LONG_MS)).await;
    sweep::drops(&locks, &busy, seed(), times(300, 5_000)).await;
    only_fences(&server, "").await;
    sweep::all_is_free(&busy).await;
    for client in [locks, busy] {
        soon("the shutdown", client.shutdown()).await.unwrap();
    }
    only_fences(&server, "").await;
    eventually("no task is left", || async { tasks() <= listens }).await;
    drop(proxy);
    eventually("nor one of the proxy", || async { tasks() <= base }).await;
}

/// A renewal of what was given back would raise a TTL, or at least be asked for.
#[tokio::test]
async fn what_was_dropped_is_renewed_no_more() {
    let server = redis().await;
    let proxy = slow(&server).await;
    let locks = connect(config(proxy.addr()), ms(TTL_MS)).await;
    let busy = connect(config(server.addr()), ms(LONG_MS)).await;
    sweep::drops(&locks, &busy, seed(), times(300, 10_000)).await;
    only_fences(&server, "").await;
    let before = scripts(&server).await;
    // Several renewals would have been due.
    pause(ms(TTL_MS)).await;
    assert_eq!(scripts(&server).await, before, "something is still renewed");
    soon("the shutdown", locks.shutdown()).await.unwrap();
}

async fn slow(server: &Redis) -> Proxy {
    let proxy = Proxy::resp(server.addr()).await;
    proxy.delay(ms(1), ms(1));
    proxy.jitter(ms(4));
    proxy
}

/// How many scripts were run.
async fn scripts(server: &Redis) -> String {
    let info = server.resp().await.command(&["INFO", "commandstats"]).await;
    let lines = info.as_str().unwrap().lines().filter(|line| line.starts_with("cmdstat_evalsha:"));
    lines.map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

const TTL_MS: u64 = 1_500;
