//! Requests that were applied, and whose replies never came.

use lock_conformance::time::{pause, soon};
use lock_testkit::{Proxy, Swallow, SwallowHandle, Zk, zk_request};
use lockcore::{ErrorKind, Guard, Locks, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stage::{
    KINDS, LONG, NAME, PATIENCE, config, connect, is_idle, left, ms, nodes, nothing_left, sessions,
    until_nodes, until_watched, via,
};

/// With the fourth one, pings are answered and nothing else, so only the end of the session helps.
const WAYS: [Swallow; 3] = [Swallow::ThenCut, Swallow::ThenReset, Swallow::ThenSilence];

/// A victim behind a proxy, and others who are not.
struct Stage {
    server: Zk,
    proxy: Proxy,
    victim: Locks,
    other: Locks,
}

impl Stage {
    /// The victim has a session: what it sends next is what it is asked for.
    async fn new() -> Self {
        let server = Zk::start().await;
        let proxy = Proxy::zk(server.addr()).await;
        let victim = connect(via(&proxy), LONG).await;
        let other = connect(config(server.port()), LONG).await;
        for locks in [&victim, &other] {
            locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        }
        Self { server, proxy, victim, other }
    }

    async fn holds_alone(&self, name: &str, guard: &Guard) {
        let nodes = nodes(&self.server, name).await;
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        assert_eq!(nodes[0].token, guard.token().as_u64());
        assert!(guard.is_held());
    }

    async fn ends(&self, guard: Guard, swallowed: &SwallowHandle) {
        assert!(swallowed.has_landed(), "no reply was lost");
        guard.release().await.unwrap();
        nothing_left(&self.server).await;
        assert_eq!(sessions(&self.server).await, 2);
        until_watched(&self.server, 0).await;
    }
}

fn waits(locks: &Locks) -> JoinHandle<Result<Guard>> {
    let lock = locks.mutex(NAME).unwrap();
    tokio::spawn(async move { lock.lock().await })
}

#[tokio::test]
async fn an_acquisition_whose_reply_vanished_has_the_node_that_was_made() {
    let stage = Stage::new().await;
    for then in WAYS {
        for kind in KINDS {
            for tries in [false, true] {
                let swallowed = stage.proxy.swallow_reply_then(then, zk_request("create", NAME));
                let victim = stage.victim.clone();
                let guard = match tries {
                    true => soon("a free lock", kind.tries(victim, NAME)).await.unwrap().unwrap(),
                    false => soon("a free lock", kind.takes(victim, NAME)).await.unwrap(),
                };
                stage.holds_alone(NAME, &guard).await;
                stage.ends(guard, &swallowed).await;
            }
        }
    }
}

/// The node is known, and who is before it is not: that is asked for again.
#[tokio::test]
async fn an_acquisition_whose_list_vanished_has_the_node_that_was_made() {
    let stage = Stage::new().await;
    for then in WAYS {
        for kind in KINDS {
            let swallowed = stage.proxy.swallow_reply_then(then, zk_request("getChildren", NAME));
            let takes = kind.takes(stage.victim.clone(), NAME);
            let guard = soon("a free lock", takes).await.unwrap();
            stage.holds_alone(NAME, &guard).await;
            stage.ends(guard, &swallowed).await;
        }
    }
}

/// Its second request finds its own node before those who came later, and the holder's before it.
#[tokio::test]
async fn a_waiter_whose_reply_vanished_keeps_the_place_that_it_has() {
    let stage = Stage::new().await;
    for then in WAYS {
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.proxy.swallow_reply_then(then, zk_request("create", NAME));
        let first = waits(&stage.victim);
        swallowed.landed(PATIENCE).await;
        let second = waits(&stage.other);
        until_nodes(&stage.server, NAME, 3).await;
        let order = nodes(&stage.server, NAME).await;
        pause(ms(50)).await;
        assert!(!first.is_finished() && !second.is_finished(), "{then:?}");
        holder.release().await.unwrap();
        for (next, node) in [first, second].into_iter().zip(&order[1..]) {
            let guard = soon("the next one", next).await.unwrap().unwrap();
            assert_eq!(guard.token().as_u64(), node.token, "{then:?}");
            guard.release().await.unwrap();
        }
        nothing_left(&stage.server).await;
        until_watched(&stage.server, 0).await;
    }
}

#[tokio::test]
async fn one_that_left_before_its_reply_vanished_leaves_nothing() {
    let stage = Stage::new().await;
    for then in WAYS {
        for kind in KINDS {
            let swallowed = stage.proxy.swallow_reply_then(then, zk_request("create", NAME));
            // So that the caller goes while the reply is on its way.
            stage.proxy.delay(ms(0), ms(40));
            let takes = timeout(ms(20), kind.takes(stage.victim.clone(), NAME)).await;
            assert!(takes.is_err(), "{then:?}, {kind:?}: answered before it was");
            swallowed.landed(PATIENCE).await;
            stage.proxy.delay(ms(0), ms(0));
            soon("it is taken out", is_idle(&stage.victim)).await;
            assert_eq!(left(&stage.server).await, [""; 0], "{then:?}, {kind:?}");
            let guard = kind.tries(stage.other.clone(), NAME).await.unwrap().unwrap();
            guard.release().await.unwrap();
        }
    }
    assert_eq!(sessions(&stage.server).await, 2);
}

/// One that does not wait is refused, and what its lost request has left goes at once.
#[tokio::test]
async fn a_try_whose_list_vanished_is_refused_and_left_nothing() {
    let stage = Stage::new().await;
    for then in WAYS {
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let swallowed = stage.proxy.swallow_reply_then(then, zk_request("getChildren", NAME));
        let lock = stage.victim.mutex(NAME).unwrap();
        let outcome = soon("an answer", lock.try_lock()).await;
        assert!(swallowed.has_landed(), "{then:?}");
        match outcome {
            Ok(guard) => assert!(guard.is_none(), "{then:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{then:?}: {error}"),
        }
        assert_eq!(nodes(&stage.server, NAME).await.len(), 1, "{then:?}: it left something");
        stage.holds_alone(NAME, &holder).await;
        holder.release().await.unwrap();
        nothing_left(&stage.server).await;
        // The next fault is for a connection that works.
        soon("a free lock", lock.lock()).await.unwrap().release().await.unwrap();
    }
}

/// It came second though nobody was there when it looked, and its link breaks when it is refused and
/// its node is still there.
#[tokio::test]
async fn a_try_that_is_refused_when_its_link_breaks_leaves_nothing() {
    let stage = Stage::new().await;
    let victim = connect(config(stage.proxy.addr().port()), LONG).await;
    for is_reset in [false, true] {
        // The directory and the session are there.
        for locks in [&stage.other, &victim] {
            locks.mutex(NAME).unwrap().lock().await.unwrap().release().await.unwrap();
        }
        let asked = stage.proxy.hold_requests(zk_request("create", NAME));
        let lock = victim.mutex(NAME).unwrap();
        let tries = tokio::spawn(async move { lock.try_lock().await });
        asked.held(PATIENCE).await;
        let holder = stage.other.mutex(NAME).unwrap().lock().await.unwrap();
        let kept = stage.proxy.hold_requests(zk_request("delete", NAME));
        asked.release();
        kept.held(PATIENCE).await;
        assert_eq!(nodes(&stage.server, NAME).await.len(), 2, "it has no node to be left");
        match is_reset {
            true => kept.reset(),
            false => kept.close(),
        }
        match soon("an answer", tries).await.unwrap() {
            Ok(guard) => assert!(guard.is_none(), "reset {is_reset}"),
            Err(error) => assert!(error.is_transient(), "reset {is_reset}: {error}"),
        }
        is_idle(&victim).await;
        until_nodes(&stage.server, NAME, 1).await;
        holder.release().await.unwrap();
        let third = stage.other.mutex(NAME).unwrap().try_lock().await.unwrap();
        third.expect("nobody is left").release().await.unwrap();
        assert_eq!(sessions(&stage.server).await, 3, "a session was lost");
    }
    nothing_left(&stage.server).await;
}

/// The next one has the lock before the release is repeated, and keeps it.
#[tokio::test]
async fn a_release_whose_reply_vanished_is_confirmed_and_frees_nobody_else() {
    let stage = Stage::new().await;
    for then in WAYS {
        for is_own in [false, true] {
            let guard = stage.victim.mutex(NAME).unwrap().lock().await.unwrap();
            let swallowed = stage.proxy.swallow_reply_then(then, zk_request("delete", NAME));
            let release = tokio::spawn(async move { guard.release().await });
            swallowed.landed(PATIENCE).await;
            let again = (!is_own).then(|| stage.proxy.hold_requests(zk_request("delete", NAME)));
            let by = if is_own { &stage.victim } else { &stage.other };
            let next = soon("the next one", by.mutex(NAME).unwrap().lock()).await.unwrap();
            if let Some(again) = again {
                again.held(PATIENCE).await;
                again.release();
            }
            soon("the release returns", release).await.unwrap().unwrap();
            stage.holds_alone(NAME, &next).await;
            stage.ends(next, &swallowed).await;
        }
    }
}
