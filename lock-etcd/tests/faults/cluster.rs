//! A cluster whose leader stands still, goes, or is moved, and whose members are cut off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::history::History;
use lock_conformance::lab::Traffic;
use lock_conformance::time::{pause, soon};
use lockcore::{BootInstant, ErrorKind, LossCause};

use crate::stage::{
    LONG, PATIENCE, believe, cluster, connect, ms, nothing_left, of_all, take, ttl, until_keys,
};

const CLIENTS: usize = 4;

/// Leases live on at the new leader, which the clients find.
#[tokio::test]
async fn a_leader_that_stood_still_past_an_election_costs_nobody_a_lock() {
    for (lost, _) in after_a_pause_of_the_leader(ms(1_500)).await {
        assert_eq!(lost, None);
    }
}

/// Once it goes on, it may have leases revoked that the new leader has renewed. A server that does
/// is seen by a client as an administrator is: after the fact, and soon.
#[tokio::test]
async fn a_leader_that_stood_still_past_the_ttl_is_found_out() {
    for (lost, known) in after_a_pause_of_the_leader(ttl(3) + ms(1_000)).await {
        assert_ne!(lost, Some(LossCause::Expired), "it did not find the new leader");
        assert!(known < ttl(3) / 3 + ms(1_000), "known {known:?} after the leader went on");
    }
}

/// Each has a lock that another one waits for. They use members at random. What became of each
/// holder, and how long after the leader went on it was known.
async fn after_a_pause_of_the_leader(time: Duration) -> Vec<(Option<LossCause>, Duration)> {
    let cluster = cluster().await;
    let leader = cluster.leader().await;
    let mut pairs = Vec::new();
    for number in 0..CLIENTS {
        let holder = connect(of_all(&cluster), ttl(3)).await;
        let waiter = connect(of_all(&cluster), ttl(3)).await;
        let name = format!("name-{number}");
        let guard = holder.mutex(&name).unwrap().lock().await.unwrap();
        let lock = waiter.mutex(&name).unwrap();
        let history = Arc::<History>::default();
        let believes = history.clone();
        let waits = tokio::spawn(async move {
            let guard = take(&lock).await;
            believe(&guard, &believes, pause(ms(50))).await;
            (guard.token(), guard.release().await)
        });
        until_keys(cluster.member(leader), &name, 2).await;
        pairs.push((guard, history, waits));
    }
    let (over, is_over) = tokio::sync::watch::channel(None);
    let faults = async {
        cluster.member(leader).pause();
        let paused = BootInstant::now();
        cluster.leader_other_than(leader).await;
        pause(time.saturating_sub(paused.elapsed())).await;
        cluster.member(leader).resume();
        let resumed = BootInstant::now();
        // What it would do to leases it does now.
        pause(ttl(3)).await;
        over.send_replace(Some(resumed));
        resumed
    };
    let beliefs = pairs.iter().map(|(guard, history, _)| {
        let mut over = is_over.clone();
        async move {
            let until = async { drop(over.wait_for(Option::is_some).await) };
            (believe(guard, history, until).await, BootInstant::now())
        }
    });
    let (resumed, beliefs) = tokio::join!(faults, join_all(beliefs));
    println!("still for {time:?}: {beliefs:?}");
    for ((guard, history, waits), (lost, _)) in pairs.into_iter().zip(&beliefs) {
        let token = guard.token();
        drop(guard);
        let (next, released) = soon("the next one", waits).await.unwrap();
        if let Err(error) = released {
            // Its lease may have been revoked like that of the one before it.
            assert!(lost.is_some() && error.kind() == ErrorKind::NotHeld, "{error}");
        }
        assert!(next > token);
        if lost.is_none() {
            history.assert_sound();
        }
    }
    nothing_left(cluster.member(leader)).await;
    let since = |(lost, known): (Option<LossCause>, BootInstant)| match lost {
        Some(_) => (lost, known.saturating_since(resumed)),
        None => (lost, Duration::ZERO),
    };
    beliefs.into_iter().map(since).collect()
}

#[tokio::test]
async fn a_member_that_is_killed_and_restarted_costs_time_and_no_error() {
    let cluster = cluster().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(of_all(&cluster), LONG).await);
    }
    let traffic = Traffic::of(&clients);
    traffic.goes_on(50, PATIENCE).await;
    let leader = cluster.leader().await;
    for member in [(leader + 1) % cluster.len(), leader] {
        cluster.member(member).kill();
        traffic.goes_on(50, PATIENCE).await;
        cluster.member(member).restart().await;
        traffic.goes_on(50, PATIENCE).await;
    }
    let errors = traffic.ends().await;
    assert!(errors.is_empty(), "{errors:#?}");
    nothing_left(cluster.member(0)).await;
}

#[tokio::test]
async fn clients_leave_a_member_that_is_cut_off() {
    let cluster = cluster().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(of_all(&cluster).request_timeout(ms(1_000)).unwrap(), LONG).await);
    }
    let traffic = Traffic::of(&clients);
    traffic.goes_on(50, PATIENCE).await;
    for member in 0..cluster.len() {
        cluster.partition(member);
        let other = cluster.leader_other_than(member).await;
        traffic.goes_on(50, PATIENCE).await;
        cluster.heal(member);
        cluster.leader().await;
        assert_ne!(other, member);
        traffic.goes_on(50, PATIENCE).await;
    }
    let errors = traffic.ends().await;
    assert!(errors.is_empty(), "{errors:#?}");
    nothing_left(cluster.member(0)).await;
}

#[tokio::test]
async fn waiters_outlive_a_move_of_the_leader() {
    let cluster = cluster().await;
    let holder = connect(of_all(&cluster), ttl(3)).await;
    let waiter = connect(of_all(&cluster), ttl(3)).await;
    for to in 0..cluster.len() {
        let guard = take(&holder.mutex("name").unwrap()).await;
        let lock = waiter.mutex("name").unwrap();
        let waits = tokio::spawn(async move { (lock.lock().await, BootInstant::now()) });
        until_keys(cluster.member(to), "name", 2).await;
        cluster.move_leader(to).await;
        pause(ms(300)).await;
        assert!(guard.is_held() && !waits.is_finished());
        let released = BootInstant::now();
        guard.release().await.unwrap();
        let (next, granted) = soon("the waiter is granted", waits).await.unwrap();
        let took = granted.saturating_since(released);
        assert!(took < ms(1_500), "granted after {took:?}");
        next.unwrap().release().await.unwrap();
    }
    nothing_left(cluster.member(0)).await;
}
