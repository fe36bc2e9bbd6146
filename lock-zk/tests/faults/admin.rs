//! Administrators who end sessions and delete nodes.

use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Proxy, Swallow, Zk, ZkAcl, zk_request};
use lockcore::{BootInstant, ErrorKind, Locks, LossCause};

use crate::stage::{
    KINDS, Kind, LONG, NAME, PATIENCE, config, connect, is_idle, ms, nodes, nothing_left, ttl,
    until_nodes, until_watched, via,
};

const TTL: u64 = 2_400;

fn period() -> Duration {
    ttl(TTL) / 3
}

/// What is learnt with the next renewal, on a busy machine.
fn at_most() -> Duration {
    period() + ms(1_200)
}

async fn client(server: &Zk) -> Locks {
    connect(config(server.port()), ttl(TTL)).await
}

#[tokio::test]
async fn a_holder_whose_session_is_ended_is_told_and_goes_on_with_another() {
    let server = Zk::start().await;
    join_all(KINDS.map(async |kind| {
        let locks = client(&server).await;
        let guard = soon("a free lock", kind.waits(locks.clone())).await.unwrap();
        let session = nodes(&server, &kind.name()).await[0].session;
        assert!(server.expire_session(session).await);
        let ended = BootInstant::now();
        assert_eq!(soon("it is told", guard.lost()).await, LossCause::SessionEnded, "{kind:?}");
        assert!(ended.elapsed() < at_most(), "{kind:?}: told after {:?}", ended.elapsed());

        let next = soon("a free lock", kind.waits(locks.clone())).await.unwrap();
        let now = nodes(&server, &kind.name()).await;
        assert_eq!(now.len(), 1, "{kind:?}: {now:?}");
        assert_ne!(now[0].session, session, "{kind:?}");
        assert!(next.token() > guard.token(), "{kind:?}");
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{kind:?}: {error}");
        assert_eq!(error.loss_cause(), Some(LossCause::SessionEnded), "{kind:?}: {error}");
        assert!(next.is_held(), "{kind:?}: the stale release freed the new lock");
        assert_eq!(nodes(&server, &kind.name()).await, now, "{kind:?}");
        next.release().await.unwrap();
    }))
    .await;
    nothing_left(&server).await;
}

/// The acquisition itself is the first to find out.
#[tokio::test]
async fn a_lock_is_taken_at_once_after_the_session_was_ended() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let guard = lock.lock().await.unwrap();
    assert!(server.expire_session(nodes(&server, NAME).await[0].session).await);
    let next = soon("a free lock", lock.try_lock()).await.unwrap().expect("nobody has it");
    assert!(!guard.is_held(), "both believe in it");
    assert!(next.token() > guard.token());
    next.release().await.unwrap();
    nothing_left(&server).await;
}

/// Its node went with the session, and is not taken for one of the next session.
#[tokio::test]
async fn an_acquisition_whose_session_ends_before_its_reply_takes_no_dead_node() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let other = connect(config(server.port()), LONG).await;
    let locks = connect(via(&proxy), LONG).await;
    for (kind, tries) in KINDS.iter().flat_map(|kind| [(*kind, false), (*kind, true)]) {
        // So that the directory is there, and the session.
        for locks in [&other, &locks] {
            locks.mutex(NAME).unwrap().lock().await.unwrap().release().await.unwrap();
        }
        let create = zk_request("create", NAME);
        let swallowed = proxy.swallow_reply_then(Swallow::ThenSilence, create);
        let victim = locks.clone();
        let takes = tokio::spawn(async move {
            match tries {
                true => kind.tries(victim, NAME).await,
                false => kind.takes(victim, NAME).await.map(Some),
            }
        });
        swallowed.landed(PATIENCE).await;
        proxy.refuse(true);
        let dead = nodes(&server, NAME).await.remove(0);
        assert!(server.expire_session(dead.session).await);
        until_nodes(&server, NAME, 0).await;
        proxy.refuse(false);
        match soon("an answer", takes).await.unwrap() {
            Ok(Some(guard)) => {
                let all = nodes(&server, NAME).await;
                assert_eq!(all.len(), 1, "{kind:?}: {all:?}");
                assert_ne!(all[0].session, dead.session, "{kind:?}");
                assert_eq!(all[0].token, guard.token().as_u64(), "{kind:?}");
                assert!(guard.is_held() && guard.token().as_u64() > dead.token, "{kind:?}");
                guard.release().await.unwrap();
            }
            Ok(None) => assert!(tries, "{kind:?}"),
            Err(error) => {
                let is_known = error.is_transient() || error.kind() == ErrorKind::Lost;
                assert!(is_known, "{kind:?}: {error}");
            }
        }
        is_idle(&locks).await;
        nothing_left(&server).await;
    }
}

#[tokio::test]
async fn a_waiter_whose_session_is_ended_is_told_while_the_holder_stays() {
    let server = Zk::start().await;
    join_all(KINDS.map(async |kind| {
        let (holder, victim, other) =
            (client(&server).await, client(&server).await, client(&server).await);
        let name = kind.name();
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_nodes(&server, &name, 2).await;
        let others = kind.begins(&other);
        until_nodes(&server, &name, 3).await;
        assert!(server.expire_session(nodes(&server, &name).await[1].session).await);
        let ended = BootInstant::now();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert!(ended.elapsed() < at_most(), "{kind:?}: {:?}", ended.elapsed());
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        assert_eq!(error.loss_cause(), Some(LossCause::SessionEnded), "{kind:?}: {error}");

        assert!(guard.is_held() && !others.is_finished(), "{kind:?}");
        assert_eq!(nodes(&server, &name).await.len(), 2, "{kind:?}");
        guard.release().await.unwrap();
        soon("the other is granted", others).await.unwrap().unwrap().release().await.unwrap();
        let again = soon("a free lock", kind.waits(victim)).await.unwrap();
        again.release().await.unwrap();
    }))
    .await;
    nothing_left(&server).await;
}

/// The last that it hears is that its node is gone, and not why.
#[tokio::test]
async fn a_waiter_whose_link_went_with_its_session_is_told_that_the_session_ended() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    for kind in KINDS {
        let (holder, victim) = (client(&server).await, connect(via(&proxy), LONG).await);
        let name = kind.name();
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_nodes(&server, &name, 2).await;
        until_watched(&server, 2).await;
        let node = nodes(&server, &name).await.remove(1);
        proxy.stall(false, true);
        proxy.refuse(true);
        assert!(server.delete(&node.path).await);
        assert!(server.expire_session(node.session).await);
        proxy.stall(false, false);
        eventually("the connection is over", || async { proxy.connections() == 0 }).await;
        proxy.refuse(false);
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert_eq!(error.loss_cause(), Some(LossCause::SessionEnded), "{kind:?}: {error}");
        guard.release().await.unwrap();
    }
    nothing_left(&server).await;
}

#[tokio::test]
async fn a_holder_whose_node_is_deleted_is_told_and_its_neighbours_are_not() {
    let server = Zk::start().await;
    let locks = client(&server).await;
    let neighbour = locks.mutex("neighbour").unwrap().lock().await.unwrap();
    join_all(KINDS.map(async |kind| {
        let guard = soon("a free lock", kind.waits(locks.clone())).await.unwrap();
        assert!(server.delete(&nodes(&server, &kind.name()).await[0].path).await);
        let deleted = BootInstant::now();
        assert_eq!(soon("it is told", guard.lost()).await, LossCause::Revoked, "{kind:?}");
        assert!(deleted.elapsed() < at_most(), "{kind:?}: told after {:?}", deleted.elapsed());
        let other = client(&server).await;
        let next = kind.tries(other, &kind.name()).await.unwrap().unwrap();
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{kind:?}: {error}");
        pause(period()).await;
        assert!(next.is_held(), "{kind:?}");
        next.release().await.unwrap();
    }))
    .await;
    assert!(neighbour.is_held());
    neighbour.release().await.unwrap();
    nothing_left(&server).await;
}

/// The release is the first to find out, so it says it.
#[tokio::test]
async fn a_release_after_the_node_was_deleted_says_so() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    for kind in KINDS {
        let guard = soon("a free lock", kind.waits(locks.clone())).await.unwrap();
        assert!(server.delete(&nodes(&server, &kind.name()).await[0].path).await);
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{kind:?}: {error}");
    }
}

/// The same, of a session whose end nobody has told the client yet.
#[tokio::test]
async fn a_release_after_the_session_was_ended_says_so() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    for kind in KINDS {
        let guard = soon("a free lock", kind.waits(locks.clone())).await.unwrap();
        proxy.refuse(true);
        assert!(server.expire_session(nodes(&server, &kind.name()).await[0].session).await);
        let gone = || async { proxy.connections() == 0 };
        eventually("the connection is over", gone).await;
        assert!(guard.is_held(), "{kind:?}: it was told");
        let release = tokio::spawn(guard.release());
        pause(ms(20)).await;
        proxy.refuse(false);
        let error = soon("an answer", release).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{kind:?}: {error}");
        is_idle(&locks).await;
    }
    nothing_left(&server).await;
}

/// By its own watch, and not when it looks.
#[tokio::test]
async fn a_waiter_whose_node_is_deleted_is_told_at_once() {
    let server = Zk::start().await;
    let (holder, victim) =
        (connect(config(server.port()), LONG).await, connect(config(server.port()), LONG).await);
    for kind in KINDS {
        let guard = kind.holds(&holder).await;
        let waits = kind.begins(&victim);
        until_nodes(&server, &kind.name(), 2).await;
        until_watched(&server, 2).await;
        assert!(server.delete(&nodes(&server, &kind.name()).await[1].path).await);
        let deleted = BootInstant::now();
        let error = soon("it is told", waits).await.unwrap().unwrap_err();
        assert!(deleted.elapsed() < ms(500), "{kind:?}: {:?}", deleted.elapsed());
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        assert_eq!(error.loss_cause(), Some(LossCause::Revoked), "{kind:?}: {error}");
        until_watched(&server, 0).await;
        assert!(guard.is_held(), "{kind:?}");
        guard.release().await.unwrap();
    }
    nothing_left(&server).await;
}

/// Who stood before somebody is gone, and it is not its turn for that.
#[tokio::test]
async fn one_whose_predecessor_is_deleted_is_granted_in_its_turn_only() {
    let server = Zk::start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(connect(config(server.port()), LONG).await);
    }
    for kind in KINDS {
        // Readers go together; those before them are writers.
        let before = if kind == Kind::Reader { Kind::Writer } else { kind };
        let name = kind.name();
        let guard = kind.holds(&clients[0]).await;
        let (first, second) = (clients[1].clone(), clients[2].clone());
        let of = name.clone();
        let first = tokio::spawn(async move { before.takes(first, &of).await });
        until_nodes(&server, &name, 2).await;
        let second = tokio::spawn(kind.waits(second));
        until_nodes(&server, &name, 3).await;
        // Each watches the one before it, and the first itself as well.
        until_watched(&server, 3).await;
        let all = nodes(&server, &name).await;
        assert!(server.delete(&all[1].path).await);
        let error = soon("it is told", first).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost, "{kind:?}: {error}");
        // It watches the holder now.
        let watched = || async { server.watches().await.contains_key(&all[0].path) };
        eventually("the holder is watched", watched).await;
        assert!(!second.is_finished(), "{kind:?}: granted beside the holder");
        let third = tokio::spawn(kind.waits(clients[3].clone()));
        until_nodes(&server, &name, 3).await;

        // In the store the lock is free then, as an administrator wanted it.
        assert!(server.delete(&all[0].path).await);
        let second = soon("the next one", second).await.unwrap().unwrap();
        assert_eq!(second.token().as_u64(), all[2].token, "{kind:?}");
        if kind == Kind::Reader {
            soon("beside it", third).await.unwrap().unwrap().release().await.unwrap();
            second.release().await.unwrap();
        } else {
            pause(ms(50)).await;
            assert!(!third.is_finished(), "{kind:?}: granted beside the second");
            second.release().await.unwrap();
            soon("the last", third).await.unwrap().unwrap().release().await.unwrap();
        }
        drop(guard);
        nothing_left(&server).await;
    }
}

/// The node is made, and the list of those before it is refused: it must not stay.
#[tokio::test]
async fn who_may_not_read_a_directory_leaves_no_node_in_it() {
    let server = Zk::start().await;
    let locks = connect(config(server.port()), LONG).await;
    for kind in KINDS {
        let name = kind.name();
        let path = format!("/leasehold/{name}");
        soon("a free lock", kind.waits(locks.clone())).await.unwrap().release().await.unwrap();
        let blind = ZkAcl::anyone(ZkAcl::ALL & !ZkAcl::READ);
        assert!(server.set_acl(&path, &[blind]).await);
        let error = soon("an answer", kind.waits(locks.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{kind:?}: {error}");
        is_idle(&locks).await;
        assert!(nodes(&server, &name).await.is_empty(), "{kind:?}: it left its node");
        assert!(server.set_acl(&path, &[ZkAcl::anyone(ZkAcl::ALL)]).await);
        soon("a free lock", kind.waits(locks.clone())).await.unwrap().release().await.unwrap();
    }
}
