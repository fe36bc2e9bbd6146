//! The server is gone, for a while or for longer.

use std::sync::Arc;
use std::time::Duration;

use lock_conformance::history::History;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::Zk;
use lockcore::{BootInstant, ErrorKind};
use tokio::time::timeout;

use crate::stage::{
    KINDS, LONG, NAME, believe, config, connect, is_idle, left, ms, nodes, nothing_left, sessions,
    take, ttl, until_nodes,
};

/// How it goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Paused,
    Killed,
}

impl Way {
    fn strikes(self, server: &Zk) {
        match self {
            Self::Paused => server.pause(),
            Self::Killed => server.kill(),
        }
    }

    async fn ends(self, server: &Zk) {
        match self {
            Self::Paused => server.resume(),
            Self::Killed => server.restart().await,
        }
    }
}

#[tokio::test]
async fn nobody_hangs_while_the_server_stands_still() {
    nobody_hangs(Way::Paused).await;
}

#[tokio::test]
async fn nobody_hangs_while_the_server_is_dead() {
    nobody_hangs(Way::Killed).await;
}

async fn nobody_hangs(way: Way) {
    let server = Zk::start().await;
    let config = config(server.port()).request_timeout(ms(500)).unwrap();
    let locks = connect(config.clone(), ttl(2_000)).await;
    // Another one that is shut down meanwhile.
    let ends = connect(config, ttl(2_000)).await;
    let mut guards = Vec::new();
    for number in 0..3 {
        let lock = locks.mutex(format!("held-{number}")).unwrap();
        guards.push(lock.lock().await.unwrap());
    }
    let ended = ends.mutex("ended").unwrap().lock().await.unwrap();
    let lock = locks.mutex("held-0").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_nodes(&server, "held-0", 2).await;
    way.strikes(&server);

    // A call ends with the time that its caller gives it, or before, with an error that says so.
    for waits in [true, false] {
        let lock = locks.mutex("free").unwrap();
        let (begun, limit) = (BootInstant::now(), ms(300));
        let outcome = timeout(limit, async {
            match waits {
                true => lock.lock().await.map(Some),
                false => lock.try_lock().await,
            }
        });
        match outcome.await {
            Ok(Ok(_)) => panic!("{way:?}: nobody can have answered"),
            Ok(Err(error)) => assert!(error.is_transient(), "{way:?}: {error}"),
            Err(_) => {}
        }
        assert!(begun.elapsed() < limit + ms(200), "{way:?}: {:?}", begun.elapsed());
    }
    // What is dropped does not wait for anybody.
    let begun = BootInstant::now();
    drop(guards.pop());
    waits.abort();
    assert!(waits.await.is_err_and(|error| error.is_cancelled()));
    assert!(begun.elapsed() < ms(100), "{way:?}: {:?}", begun.elapsed());

    let begun = BootInstant::now();
    let outcome = soon("the shutdown ends", ends.shutdown()).await;
    println!("{way:?}: the shutdown took {:?}: {outcome:?}", begun.elapsed());
    drop(ended);
    let guard = guards.pop().unwrap();
    let deadline = guard.deadline();
    let released = soon("the release returns", guard.release()).await;
    let late = BootInstant::now().saturating_since(deadline);
    println!("{way:?}: released {late:?} after its deadline: {released:?}");
    let kind = released.unwrap_err().kind();
    let known = [ErrorKind::Indeterminate, ErrorKind::Unavailable, ErrorKind::NotHeld];
    assert!(known.contains(&kind), "{kind:?}");
    let guard = guards.pop().unwrap();
    soon("the last one is lost", guard.lost()).await;
    drop(guard);

    way.ends(&server).await;
    for name in ["held-0", "held-1", "held-2", "free", "ended"] {
        let guard = soon("all is free again", take(&locks.mutex(name).unwrap())).await;
        guard.release().await.unwrap();
    }
    eventually("no node is left", || async { left(&server).await.is_empty() }).await;
    is_idle(&locks).await;
    eventually("one session is left", || async { sessions(&server).await == 1 }).await;
}

/// Whoever holds keeps it, or is told why not; and tokens rise.
#[tokio::test]
async fn locks_outlive_a_server_that_is_killed_and_started_again() {
    let server = Zk::options().durable(true).start().await;
    let config = config(server.port()).request_timeout(ms(500)).unwrap();
    let (locks, other) = (connect(config.clone(), LONG).await, connect(config, LONG).await);
    let mut holds = Vec::new();
    for kind in KINDS {
        let guard = kind.holds(&locks).await;
        let waits = kind.begins(&other);
        until_nodes(&server, &kind.name(), 2).await;
        holds.push((kind, guard, waits, nodes(&server, &kind.name()).await));
    }
    for _ in 0..2 {
        server.kill();
        pause(ms(300)).await;
        server.restart().await;
        soon("it serves", take(&locks.mutex(NAME).unwrap())).await.release().await.unwrap();
        soon("it serves", take(&other.mutex(NAME).unwrap())).await.release().await.unwrap();
    }
    for (kind, guard, waits, before) in holds {
        assert!(guard.is_held() && !waits.is_finished(), "{kind:?}");
        assert_eq!(nodes(&server, &kind.name()).await, before, "{kind:?}");
        guard.release().await.unwrap();
        let next = soon("granted", waits).await.unwrap().unwrap();
        assert_eq!(next.token().as_u64(), before[1].token, "{kind:?}");
        next.release().await.unwrap();
        let again = soon("a free lock", kind.waits(other.clone())).await.unwrap();
        assert!(again.token().as_u64() > before[1].token, "{kind:?}");
        again.release().await.unwrap();
    }
    nothing_left(&server).await;
}

/// The server gives every session its full time again; the holder's own clock decides.
#[tokio::test]
async fn a_server_that_is_away_for_longer_than_the_ttl_costs_the_lock_and_no_more() {
    let server = Zk::start().await;
    let config = config(server.port()).request_timeout(ms(500)).unwrap();
    let (locks, other) = (connect(config.clone(), ttl(1_000)).await, connect(config, LONG).await);
    for way in [Way::Paused, Way::Killed] {
        let history = Arc::new(History::new());
        let guard = soon("free", take(&locks.mutex(NAME).unwrap())).await;
        let (lock, believes) = (other.mutex(NAME).unwrap(), history.clone());
        let next = tokio::spawn(async move {
            let guard = take(&lock).await;
            believe(&guard, &believes, pause(ms(20))).await;
            let token = guard.token();
            guard.release().await.map(|_| token)
        });
        until_nodes(&server, NAME, 2).await;
        way.strikes(&server);
        let lost = believe(&guard, &history, pause(Duration::from_secs(10))).await;
        assert!(lost.is_some(), "{way:?}");
        way.ends(&server).await;
        let token = soon("the next one", next).await.unwrap().unwrap();
        assert!(token > guard.token(), "{way:?}");
        history.assert_sound();
        drop(guard);
        is_idle(&locks).await;
        nothing_left(&server).await;
    }
    eventually("one session a client", || async { sessions(&server).await <= 2 }).await;
}
