//! An ensemble whose leader stands still or goes, and whose members are cut off.

use std::sync::Arc;
use std::time::Duration;

use lock_conformance::history::History;
use lock_conformance::lab::Traffic;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Proxy, Zk, ZkEnsemble};
use lock_zk::ZkConfig;
use lockcore::{BootInstant, ErrorKind};
use tokio::time::timeout;

use crate::stage::{
    LONG, NAME, PATIENCE, believe, connect, is_idle, left, ms, nodes, nothing_left, take, ttl,
    until_nodes,
};

const CLIENTS: usize = 3;

/// A client that knows these members.
fn of(members: &[&Zk]) -> ZkConfig {
    let config = ZkConfig::new(members.iter().map(|member| ("127.0.0.1", member.port())));
    config.request_timeout(ms(1_000)).unwrap()
}

fn of_all(ensemble: &ZkEnsemble) -> ZkConfig {
    of(&ensemble.members().iter().collect::<Vec<_>>())
}

/// What is held stays held, and what is asked for is granted, or fails so that it can be repeated.
#[tokio::test]
async fn members_that_are_killed_stopped_or_cut_off_cost_time_and_no_lock() {
    let ensemble = ZkEnsemble::start(3).await;
    let mut clients = Vec::new();
    let mut held = Vec::new();
    for number in 0..CLIENTS {
        let locks = connect(of_all(&ensemble), LONG).await;
        held.push(locks.mutex(format!("held-{number}")).unwrap().lock().await.unwrap());
        clients.push(locks);
    }
    let traffic = Traffic::of(&clients);
    traffic.goes_on(30, LONG).await;
    let mut longest = Duration::ZERO;
    let leader = ensemble.leader().await;
    let follower = (leader + 1) % ensemble.len();
    for member in [follower, leader] {
        let begun = BootInstant::now();
        ensemble.kill(member);
        ensemble.leader_other_than(member).await;
        traffic.goes_on(30, LONG).await;
        longest = longest.max(begun.elapsed());
        ensemble.restart(member).await;
        longest = longest.max(traffic.goes_on(30, LONG).await);
    }
    let leader = ensemble.leader().await;
    let follower = (leader + 1) % ensemble.len();
    for member in [follower, leader] {
        let begun = BootInstant::now();
        ensemble.pause(member);
        ensemble.leader_other_than(member).await;
        traffic.goes_on(30, LONG).await;
        longest = longest.max(begun.elapsed());
        ensemble.resume(member);
        longest = longest.max(traffic.goes_on(30, LONG).await);
    }
    let leader = ensemble.leader().await;
    let begun = BootInstant::now();
    ensemble.partition(leader);
    ensemble.leader_other_than(leader).await;
    traffic.goes_on(30, LONG).await;
    longest = longest.max(begun.elapsed());
    ensemble.heal(leader);
    traffic.goes_on(30, LONG).await;
    let errors = traffic.ends().await;
    println!("{} errors, {longest:?} at most without a grant: {errors:#?}", errors.len());
    for guard in held {
        // What is believed was proven up to two periods ago, so the rest is what it may take.
        assert!(guard.is_held() || longest > LONG / 4, "lost by {:?}", guard.lost().await);
        if guard.is_held() {
            guard.release().await.unwrap();
        }
    }
    for locks in &clients {
        is_idle(locks).await;
    }
    nothing_left(ensemble.serving().await).await;
    let sessions = ensemble.sessions().await;
    let alive = sessions.iter().filter(|session| session.client.is_some());
    assert_eq!(alive.count(), CLIENTS, "{sessions:?}");
}

/// The member that a client speaks with is cut off with it: it answers reads and pings, and the
/// others end the session. Belief ends before.
#[tokio::test]
async fn a_holder_in_the_minority_has_lost_before_the_majority_grants() {
    let ensemble = ZkEnsemble::start(3).await;
    for leads in [false, true] {
        let leader = ensemble.leader().await;
        let alone = if leads { leader } else { (leader + 1) % ensemble.len() };
        let others: Vec<_> = (0..ensemble.len()).filter(|member| *member != alone).collect();
        let rest: Vec<_> = others.iter().map(|other| ensemble.member(*other)).collect();
        let holder = connect(of(&[ensemble.member(alone)]), ttl(2_400)).await;
        let next = connect(of(&rest), ttl(2_400)).await;
        let history = Arc::new(History::new());
        let guard = holder.mutex(NAME).unwrap().lock().await.unwrap();
        // It has been renewed for a while.
        pause(ttl(2_400)).await;
        assert!(guard.is_held());
        let old = guard.token();
        let (lock, believes) = (next.mutex(NAME).unwrap(), history.clone());
        let gains = tokio::spawn(async move {
            let guard = take(&lock).await;
            believe(&guard, &believes, pause(ms(50))).await;
            (guard.token(), BootInstant::now(), guard.release().await)
        });
        until_nodes(rest[0], NAME, 2).await;
        ensemble.partition(alone);
        let begun = BootInstant::now();
        let lost = believe(&guard, &history, pause(PATIENCE)).await;
        let took = begun.elapsed();
        assert!(lost.is_some(), "it believes on");
        assert!(took < ttl(2_400), "told after {took:?}");
        let (token, granted, released) = timeout(LONG, gains).await.unwrap().unwrap();
        println!(
            "leads: {leads}: lost by {lost:?} after {took:?}, granted after {:?}",
            granted.saturating_since(begun)
        );
        released.unwrap();
        assert!(token > old);
        history.assert_sound();
        ensemble.heal(alone);
        let error = guard.release().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}");
        let again = soon("it works again", take(&holder.mutex(NAME).unwrap())).await;
        again.release().await.unwrap();
        is_idle(&holder).await;
        nothing_left(ensemble.serving().await).await;
        for locks in [holder, next] {
            soon("the shutdown", locks.shutdown()).await.unwrap();
        }
    }
}

/// It lies between a member and the leader when the client has moved to another member.
#[tokio::test]
async fn a_request_that_reaches_the_leader_after_the_client_has_moved_leaves_nothing() {
    let ensemble = ZkEnsemble::start(3).await;
    let leader = ensemble.leader().await;
    let from = (leader + 1) % ensemble.len();
    let to = (leader + 2) % ensemble.len();
    let ways = [
        Proxy::zk(ensemble.member(from).addr()).await,
        Proxy::zk(ensemble.member(to).addr()).await,
    ];
    // It begins with the first one.
    ways[1].refuse(true);
    let config = ZkConfig::new(ways.each_ref().map(|way| ("127.0.0.1", way.addr().port())));
    let locks = connect(config.request_timeout(ms(1_000)).unwrap(), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    lock.lock().await.unwrap().release().await.unwrap();
    ways[1].refuse(false);
    for stays in [false, true] {
        ensemble.link(from, leader).stall(true, false);
        let before = ways[0].requests_seen().get("create").copied().unwrap_or_default();
        let asks = tokio::spawn({
            let lock = lock.clone();
            async move { lock.lock().await }
        });
        eventually("it was asked for", || async {
            ways[0].requests_seen().get("create").copied().unwrap_or_default() > before
        })
        .await;
        ways[0].refuse(true);
        ways[0].reset();
        if stays {
            let guard = soon("granted by the repetition", asks).await.unwrap().unwrap();
            ensemble.link(from, leader).restore();
            comes(&ensemble, from).await;
            let all = nodes(ensemble.member(leader), NAME).await;
            assert_eq!(all.len(), 1, "{all:?}");
            assert_eq!(all[0].token, guard.token().as_u64());
            assert!(guard.is_held());
            guard.release().await.unwrap();
        } else {
            asks.abort();
            assert!(asks.await.is_err());
            is_idle(&locks).await;
            assert_eq!(left(ensemble.member(leader)).await, [""; 0]);
            ensemble.link(from, leader).restore();
            comes(&ensemble, from).await;
        }
        assert_eq!(left(ensemble.member(leader)).await, [""; 0], "a ghost");
        // Back to the first one.
        ways[0].refuse(false);
        ways[1].refuse(true);
        ways[1].reset();
        soon("a free lock", take(&lock)).await.release().await.unwrap();
        ways[1].refuse(false);
        assert_eq!(ways[1].connections(), 0);
    }
    nothing_left(ensemble.member(leader)).await;
}

/// Waits until what the member had for its leader is there, by asking for something behind it.
async fn comes(ensemble: &ZkEnsemble, from: usize) {
    let asks = async {
        let mut client = ensemble.member(from).client().await.unwrap();
        client.sync().await.unwrap();
        client.close().await.unwrap();
    };
    timeout(Duration::from_secs(10), asks).await.unwrap();
}
