//! Shutdowns in the middle of everything.

use lock_conformance::time::{eventually, soon};
use lock_testkit::{Proxy, Zk, zk_request};
use lockcore::{BootInstant, ErrorKind, LossCause, Renewal};

use crate::stage::{
    KINDS, LONG, NAME, PATIENCE, config, connect, left, ms, nothing_left, sessions, ttl,
    until_nodes, until_watched, via,
};

/// Holders, waiters, and requests that are under way.
#[tokio::test]
async fn a_shutdown_in_the_middle_of_everything_leaves_nothing() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let other = connect(config(server.port()), LONG).await;
    for step in ["create", "getChildren", "delete"] {
        let locks = connect(via(&proxy), LONG).await;
        let mut held = Vec::new();
        let mut others = Vec::new();
        let mut waits = Vec::new();
        for kind in KINDS {
            held.push(locks.mutex(format!("own-{kind:?}")).unwrap().lock().await.unwrap());
            others.push(kind.holds(&other).await);
            waits.push(kind.begins(&locks));
            until_nodes(&server, &kind.name(), 2).await;
        }
        let never = locks.mutex("never").unwrap().renewal(Renewal::Never).ttl(ttl(10_000));
        held.push(never.lock().await.unwrap());
        let kept = proxy.hold_requests(zk_request(step, ""));
        let releases = tokio::spawn(held.pop().unwrap().release());
        let again = held.pop().unwrap();
        let releases = [releases, tokio::spawn(again.release())];
        let lock = locks.mutex(NAME).unwrap();
        waits.push(tokio::spawn(async move { lock.lock().await }));
        kept.held(PATIENCE).await;
        let begun = BootInstant::now();
        let ending = locks.clone();
        let shutdown = tokio::spawn(async move { ending.shutdown().await });
        for guard in &held {
            assert_eq!(soon("it is told", guard.lost()).await, LossCause::Shutdown, "{step}");
        }
        assert!(begun.elapsed() < ms(300), "{step}: told after {:?}", begun.elapsed());
        kept.release();
        for waits in waits {
            let error = soon("it is told", waits).await.unwrap().unwrap_err();
            assert!(error.kind() == ErrorKind::Closed || error.is_transient(), "{step}: {error}");
        }
        for release in releases {
            soon("it is confirmed", release).await.unwrap().unwrap();
        }
        soon("the shutdown ends", shutdown).await.unwrap().unwrap();
        println!("{step}: the shutdown took {:?}", begun.elapsed());
        for guard in others {
            guard.release().await.unwrap();
        }
        assert_eq!(left(&server).await, [""; 0], "{step}");
        until_watched(&server, 0).await;
        assert_eq!(sessions(&server).await, 1, "{step}: that of the other");
    }
}

/// It ends when what may be left has gone, and says so.
#[tokio::test]
async fn a_shutdown_while_nothing_is_answered_ends() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(via(&proxy), ttl(1_000)).await;
    let other = connect(config(server.port()), LONG).await;
    let held = other.mutex("held").unwrap().lock().await.unwrap();
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let lock = locks.mutex("held").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_nodes(&server, "held", 2).await;
    proxy.cut();
    let begun = BootInstant::now();
    let ending = tokio::spawn(async move { locks.shutdown().await });
    assert_eq!(soon("it is told", guard.lost()).await, LossCause::Shutdown);
    assert!(begun.elapsed() < ms(200), "told after {:?}", begun.elapsed());
    let error = soon("the waiter is told", waits).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let ended = soon("the shutdown ends", ending).await.unwrap();
    println!("the shutdown took {:?}: {ended:?}", begun.elapsed());
    held.release().await.unwrap();
    nothing_left(&server).await;
    proxy.restore();
    // What was kept on its way finds nothing to do.
    eventually("the session is over", || async { sessions(&server).await == 1 }).await;
    assert_eq!(left(&server).await, [""; 0]);
}

/// Those of another TTL, and those that end by themselves, have other sessions.
#[tokio::test]
async fn the_end_of_one_session_is_not_that_of_another() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), ttl(1_500)).await;
    let short = locks.mutex("short").unwrap().lock().await.unwrap();
    let long = locks.mutex("long").unwrap().ttl(ttl(3_000)).lock().await.unwrap();
    let session = async |name| crate::stage::nodes(&server, name).await[0].session;
    let (first, second) = (session("short").await, session("long").await);
    assert_ne!(first, second);
    assert!(server.expire_session(first).await);
    assert_eq!(soon("it is told", short.lost()).await, LossCause::SessionEnded);
    assert!(long.is_held());
    assert_eq!(session("long").await, second);
    long.release().await.unwrap();
    drop(short);
    nothing_left(&server).await;
}
