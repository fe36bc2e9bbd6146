//! Shutdowns while nothing works, and the end of one class of sessions.

use lock_conformance::time::{eventually, soon};
use lock_testkit::GrpcProxy;
use lockcore::{BootInstant, ErrorKind, LossCause, Renewal};

use crate::stage::{config, connect, etcd, keys, left, ms, nothing_left, ttl, until_keys, via};

/// It ends when what may be left has gone, and says so.
#[tokio::test]
async fn a_shutdown_while_nothing_is_answered_ends() {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let locks = connect(via(&proxy), ttl(1)).await;
    let other = connect(config(server.port()), ttl(1)).await;
    let held = other.mutex("held").unwrap().lock().await.unwrap();
    let guard = locks.mutex("name").unwrap().lock().await.unwrap();
    let lock = locks.mutex("held").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_keys(&server, "held", 2).await;
    let stall = proxy.stall("*");
    let begun = BootInstant::now();
    let shutdown = tokio::spawn(async move { locks.shutdown().await });
    assert_eq!(soon("it is told", guard.lost()).await, LossCause::Shutdown);
    assert!(begun.elapsed() < ms(200), "told after {:?}", begun.elapsed());
    let error = soon("the waiter is told", waits).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let ended = soon("the shutdown ends", shutdown).await.unwrap();
    println!("the shutdown took {:?}: {ended:?}", begun.elapsed());
    assert!(stall.hits() > 0);
    held.release().await.unwrap();
    nothing_left(&server).await;
    stall.release();
    // What was kept on its way finds nothing to do.
    eventually("all calls end", || async { proxy.open_calls("*") == 0 }).await;
    assert!(left(&server).await.is_empty());
}

/// Those of another TTL, and those that end by themselves, have other leases.
#[tokio::test]
async fn the_end_of_one_session_is_not_that_of_another() {
    let server = etcd().await;
    let locks = connect(config(server.port()), ttl(3)).await;
    let short = locks.mutex("short").unwrap().lock().await.unwrap();
    let long = locks.mutex("long").unwrap().ttl(ttl(6)).lock().await.unwrap();
    let alone = locks.mutex("alone").unwrap().ttl(ttl(6)).renewal(Renewal::AutoUntil(ttl(60)));
    let alone = alone.lock().await.unwrap();
    let lease = async |name| keys(&server, name).await[0].lease;
    server.revoke_lease(lease("short").await).await;
    assert_eq!(soon("it is told", short.lost()).await, LossCause::SessionEnded);
    assert!(long.is_held() && alone.is_held());
    server.revoke_lease(lease("alone").await).await;
    assert_eq!(soon("it is told", alone.lost()).await, LossCause::SessionEnded);
    assert!(long.is_held());
    long.release().await.unwrap();
    drop((short, alone));
    nothing_left(&server).await;
}

/// They wait in a session of their own, which is renewed while they wait.
#[tokio::test]
async fn waiters_whose_own_session_is_revoked_are_told() {
    let server = etcd().await;
    let holder = connect(config(server.port()), ttl(60)).await;
    let locks = connect(config(server.port()), ttl(3)).await;
    let leases = server.leases().await.len();
    for renewal in [Renewal::Never, Renewal::AutoUntil(ttl(60))] {
        let guard = holder.mutex("name").unwrap().lock().await.unwrap();
        let lock = locks.mutex("name").unwrap().renewal(renewal);
        let waits = tokio::spawn(async move { lock.lock().await });
        until_keys(&server, "name", 2).await;
        server.revoke_lease(keys(&server, "name").await[1].lease).await;
        let revoked = BootInstant::now();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{renewal:?}: {error}");
        assert!(revoked.elapsed() < ttl(3) / 3 + ms(800), "{renewal:?}: {:?}", revoked.elapsed());
        guard.release().await.unwrap();
        nothing_left(&server).await;
    }
    // That of the holder is there since.
    assert_eq!(server.leases().await.len(), leases + 1);
}
