//! Links that are silent, in one direction or both, for a short time or too long.

use std::sync::Arc;

use futures_util::future::join_all;
use lock_conformance::history::History;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Proxy, Zk};
use lockcore::{BootInstant, ErrorKind, Guard, Locks, LossCause};
use tokio::task::JoinHandle;

use crate::stage::{
    KINDS, LONG, NAME, PATIENCE, believe, config, connect, is_idle, ms, nodes, nothing_left,
    sessions, take, ttl, until_nodes, until_watched, via,
};

/// How nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing passes; what is sent comes later.
    Cut,
    /// Nothing passes, and all that was sent is lost.
    Lost,
    Refused,
    /// The server hears all, and is not heard.
    NoReplies,
    RepliesLost,
    /// The client hears all, and is not heard.
    NoRequests,
    /// The link looks alive, and no request is answered.
    OnlyPings,
}

const WAYS: [Way; 7] = [
    Way::Cut,
    Way::Lost,
    Way::Refused,
    Way::NoReplies,
    Way::RepliesLost,
    Way::NoRequests,
    Way::OnlyPings,
];

impl Way {
    fn begins(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut(),
            Self::Lost => proxy.black_hole(true, true),
            Self::Refused => {
                proxy.refuse(true);
                proxy.reset();
            }
            Self::NoReplies => proxy.stall(false, true),
            Self::RepliesLost => proxy.black_hole(false, true),
            Self::NoRequests => proxy.stall(true, false),
            Self::OnlyPings => proxy.only_pings(true),
        }
    }

    fn ends(self, proxy: &Proxy) {
        proxy.restore();
        proxy.black_hole(false, false);
        proxy.refuse(false);
        proxy.only_pings(false);
    }
}

async fn client(proxy: &Proxy, ttl: std::time::Duration) -> Locks {
    let locks = connect(via(proxy), ttl).await;
    locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
    locks
}

fn waits(locks: &Locks, name: &str) -> JoinHandle<lockcore::Result<Guard>> {
    let lock = locks.mutex(name).unwrap();
    tokio::spawn(async move { lock.lock().await })
}

/// The holder believes no longer than the server, and works again once the link does.
#[tokio::test]
async fn who_is_not_heard_of_for_too_long_has_lost_before_anybody_else_gains() {
    let server = Zk::start().await;
    join_all(WAYS.map(async |way| {
        let name = format!("{NAME}-{way:?}");
        let proxy = Proxy::zk(server.addr()).await;
        let locks = client(&proxy, ttl(1_500)).await;
        let other = connect(config(server.port()), LONG).await;
        let history = Arc::<History>::default();
        let guard = locks.mutex(&name).unwrap().lock().await.unwrap();
        let (old, next) = (guard.token(), waits(&other, &name));
        until_nodes(&server, &name, 2).await;
        let begun = BootInstant::now();
        way.begins(&proxy);
        let lost = believe(&guard, &history, pause(PATIENCE)).await;
        let took = begun.elapsed();
        assert!(lost.is_some(), "{way:?}: it believes on");
        assert!(took <= ttl(1_500), "{way:?}: told after {took:?}");
        let is_alone = matches!(way, Way::Cut | Way::Lost | Way::Refused | Way::NoRequests);
        if is_alone {
            // The server has heard nothing of it.
            assert_eq!(lost, Some(LossCause::Expired), "{way:?}");
            let next = soon("the next one", next).await.unwrap().unwrap();
            believe(&next, &history, pause(ms(20))).await;
            assert!(next.token() > old, "{way:?}");
            next.release().await.unwrap();
            way.ends(&proxy);
        } else {
            // It has lost the lock, and its session goes as soon as somebody is heard.
            way.ends(&proxy);
            let next = soon("the next one", next).await.unwrap().unwrap();
            believe(&next, &history, pause(ms(20))).await;
            next.release().await.unwrap();
        }
        println!("{way:?}: {lost:?} after {took:?}");
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{way:?}: {error}");
        let healed = BootInstant::now();
        let again = soon("it works again", take(&locks.mutex(&name).unwrap())).await;
        let took = healed.elapsed();
        assert!(took < ms(2_000), "{way:?}: works again after {took:?}");
        believe(&again, &history, pause(ms(20))).await;
        again.release().await.unwrap();
        history.assert_sound();
        is_idle(&locks).await;
    }))
    .await;
    nothing_left(&server).await;
    // Those of the fourteen clients; what was given up has gone.
    eventually("one session a client", || async { sessions(&server).await <= 2 * WAYS.len() })
        .await;
}

/// Nobody's place is lost, and nothing that happened meanwhile is missed.
#[tokio::test]
async fn a_short_silence_costs_nobody_anything() {
    let server = Zk::start().await;
    let ways = WAYS.into_iter().filter(|way| *way != Way::OnlyPings);
    join_all(ways.map(async |way| {
        let proxy = Proxy::zk(server.addr()).await;
        let locks = client(&proxy, LONG).await;
        let other = connect(config(server.port()), LONG).await;
        for lasts in [ms(200), ms(900)] {
            let name = |what: &str| format!("{what}-{way:?}");
            let own = locks.mutex(name("own")).unwrap().lock().await.unwrap();
            let mut pairs = Vec::new();
            for what in ["freed", "gone", "still"] {
                let held = other.mutex(name(what)).unwrap().lock().await.unwrap();
                pairs.push((held, waits(&locks, &name(what))));
                until_nodes(&server, &name(what), 2).await;
                let all = nodes(&server, &name(what)).await;
                eventually("it and its predecessor are watched", || async {
                    let watched = server.watches().await;
                    all.iter().all(|node| watched.contains_key(&node.path))
                })
                .await;
            }
            let [(freed, gets), (gone, is_out), (still, stays)] = pairs.try_into().unwrap();
            let places = nodes(&server, &name("still")).await;
            way.begins(&proxy);
            freed.release().await.unwrap();
            assert!(server.delete(&nodes(&server, &name("gone")).await[1].path).await);
            pause(lasts).await;
            assert!(!gets.is_finished() || way == Way::NoRequests, "{way:?}: nothing is wrong");
            way.ends(&proxy);

            let healed = BootInstant::now();
            let gets = soon("granted", gets).await.unwrap().unwrap();
            let error = soon("told", is_out).await.unwrap().unwrap_err();
            let took = healed.elapsed();
            println!("{way:?} for {lasts:?}: known {took:?} after it");
            // It looks by itself every five seconds.
            assert!(took < ms(2_500), "{way:?} for {lasts:?}: known {took:?} after it");
            assert_eq!(error.loss_cause(), Some(LossCause::Revoked), "{way:?}: {error}");
            assert!(own.is_held() && gets.is_held() && !stays.is_finished(), "{way:?}");
            assert_eq!(nodes(&server, &name("still")).await, places, "{way:?}");
            still.release().await.unwrap();
            let stays = soon("granted in its turn", stays).await.unwrap().unwrap();
            assert_eq!(stays.token().as_u64(), places[1].token, "{way:?}");
            for guard in [own, gets, stays, gone] {
                guard.release().await.unwrap();
            }
        }
    }))
    .await;
    nothing_left(&server).await;
    until_watched(&server, 0).await;
}

/// It is kept for when the link works again, and not for longer than it is believed.
#[tokio::test]
async fn a_release_while_nothing_passes_is_made_good() {
    let server = Zk::start().await;
    join_all([Way::Cut, Way::Lost, Way::Refused, Way::NoReplies].map(async |way| {
        let name = format!("{NAME}-{way:?}");
        let proxy = Proxy::zk(server.addr()).await;
        let locks = client(&proxy, ttl(8_000)).await;
        let other = connect(config(server.port()), LONG).await;
        for is_dropped in [false, true] {
            let guard = locks.mutex(&name).unwrap().lock().await.unwrap();
            let next = waits(&other, &name);
            until_nodes(&server, &name, 2).await;
            way.begins(&proxy);
            let release = tokio::spawn(async move {
                if is_dropped {
                    drop(guard);
                    return None;
                }
                Some(guard.release().await)
            });
            pause(ms(600)).await;
            way.ends(&proxy);
            let healed = BootInstant::now();
            let next = soon("the next one", next).await.unwrap().unwrap();
            assert!(healed.elapsed() < ms(2_500), "{way:?}: after {:?}", healed.elapsed());
            if let Some(released) = soon("confirmed", release).await.unwrap() {
                released.unwrap();
            }
            is_idle(&locks).await;
            assert!(next.is_held());
            assert_eq!(nodes(&server, &name).await.len(), 1, "{way:?}");
            next.release().await.unwrap();
        }
    }))
    .await;
    nothing_left(&server).await;
}

/// Events are not all that a waiter goes by.
#[tokio::test]
async fn waiters_whose_notifications_are_lost_look_by_themselves() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let config = via(&proxy).recheck(ms(400)).unwrap();
    let (locks, other) = (connect(config, LONG).await, client(&proxy, LONG).await);
    proxy.drop_notifications(true);
    for kind in KINDS {
        let guard = kind.holds(&other).await;
        let waits = kind.begins(&locks);
        until_nodes(&server, &kind.name(), 2).await;
        until_watched(&server, 2).await;
        let lost = proxy.notifications_lost();
        let released = BootInstant::now();
        guard.release().await.unwrap();
        let next = soon("granted", waits).await.unwrap().unwrap();
        let took = released.elapsed();
        assert!(proxy.notifications_lost() > lost, "{kind:?}: none was lost");
        assert!(took < ms(900), "{kind:?}: granted after {took:?}");
        next.release().await.unwrap();
        nothing_left(&server).await;
    }
}

/// The answers are lost while pings come: nobody hangs, and the next session works.
#[tokio::test]
async fn an_acquisition_on_a_link_that_only_looks_alive_leaves_nothing() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = client(&proxy, ttl(1_500)).await;
    for kind in KINDS {
        let then = lock_testkit::Swallow::ThenPings;
        let create = lock_testkit::zk_request("create", &kind.name());
        let swallowed = proxy.swallow_reply_then(then, create);
        let begun = BootInstant::now();
        match soon("an answer", kind.waits(locks.clone())).await {
            Ok(guard) => guard.release().await.map(drop).unwrap(),
            Err(error) => assert!(
                error.is_transient() || error.kind() == ErrorKind::Lost,
                "{kind:?}: {error}"
            ),
        }
        assert!(swallowed.has_landed(), "{kind:?}");
        println!("{kind:?}: answered after {:?}", begun.elapsed());
        soon("what is left goes", is_idle(&locks)).await;
        nothing_left(&server).await;
        let lock = locks.mutex(NAME).unwrap();
        soon("it works again", take(&lock)).await.release().await.unwrap();
    }
    eventually("one session", || async { sessions(&server).await == 1 }).await;
}
