//! A leader that dies with what the other members have passed on to it.

use futures_util::future::join_all;
use lock_conformance::time::{pause, soon};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, GrpcProxy, Permission};
use lockcore::{BootInstant, Locks, Result};

use crate::stage::{
    LONG, VERSIONS, cluster, config, connect, ms, nothing_left, of_all, options, server,
};

const TXN: &str = "KV/Txn";
const RANGE: &str = "KV/Range";
const WORKER: &str = "worker";
const PASSWORD: &str = "secret";
const TASKS: usize = 20;

/// Whoever waits for an answer for as long as that may take is too late.
const PATIENT_MS: u64 = 20_000;
const AFTER_ELECTION_MS: u64 = 1_500;

/// Those who know the members that stay, so that what they ask is passed on.
async fn followers(cluster: &EtcdCluster, leader: usize, has_users: bool) -> Locks {
    let others = cluster.members().iter().enumerate().filter(|(place, _)| *place != leader);
    let config = EtcdConfig::new(others.map(|(_, member)| ("127.0.0.1", member.port())));
    let config = if has_users { config.login(WORKER, PASSWORD) } else { config };
    connect(config.request_timeout(ms(PATIENT_MS)).unwrap(), LONG).await
}

/// What is asked for right after the leader was killed is done soon after there is another one.
async fn goes_on(
    cluster: &EtcdCluster,
    leader: usize,
    what: &str,
    asks: impl Future<Output = Result<()>>,
) {
    cluster.member(leader).kill();
    let asks = async {
        soon(what, asks).await.unwrap();
        BootInstant::now()
    };
    let elects = async {
        cluster.leader_other_than(leader).await;
        BootInstant::now()
    };
    let (done, elected) = tokio::join!(asks, elects);
    let after = done.saturating_since(elected);
    println!("{what}: {after:?} after the election");
    assert!(after < ms(AFTER_ELECTION_MS), "{what}: {after:?} after the election");
    cluster.member(leader).restart().await;
}

#[tokio::test]
async fn what_was_passed_on_to_a_leader_that_died_is_asked_for_again() {
    for has_users in [false, true] {
        let rights = [("leasehold/", Permission::ReadWrite)];
        let options = options(EtcdVersion::V3_7);
        let options = if has_users { options.user(WORKER, PASSWORD, &rights) } else { options };
        let cluster = EtcdCluster::start_with(options).await;

        let leader = cluster.leader().await;
        let locks = followers(&cluster, leader, has_users).await;
        let lock = locks.mutex("name").unwrap();
        lock.lock().await.unwrap().release().await.unwrap();
        let mut held = None;
        let takes = async {
            held = Some(lock.lock().await?);
            Ok(())
        };
        goes_on(&cluster, leader, "a lock", takes).await;
        let held = held.unwrap();
        assert!(held.is_held());
        held.release().await.unwrap();

        let leader = cluster.leader().await;
        let locks = followers(&cluster, leader, has_users).await;
        let held = locks.mutex("name").unwrap().lock().await.unwrap();
        goes_on(&cluster, leader, "a release", async { held.release().await.map(drop) }).await;

        let leader = cluster.leader().await;
        let locks = followers(&cluster, leader, has_users).await;
        // It needs a session first.
        let takes = async { locks.mutex("name")?.lock().await?.release().await.map(drop) };
        goes_on(&cluster, leader, "a first lock", takes).await;
        nothing_left(cluster.member(0)).await;
    }
}

/// Its own member may be the one that dies.
#[tokio::test]
async fn a_client_that_knows_all_members_goes_on_after_the_election() {
    let cluster = cluster().await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let config = of_all(&cluster).request_timeout(ms(PATIENT_MS)).unwrap();
        let locks = connect(config, LONG).await;
        let lock = locks.mutex("name").unwrap();
        lock.lock().await.unwrap().release().await.unwrap();
        let takes = async { lock.lock().await?.release().await.map(drop) };
        goes_on(&cluster, leader, "a lock", takes).await;
    }
    nothing_left(cluster.member(0)).await;
}

/// An answer that is late, and no other leader: nothing is asked for again, and one question at a time
/// is all that it costs, however many wait.
#[tokio::test]
async fn a_slow_leader_is_waited_for() {
    for version in VERSIONS {
        let server: Etcd = server(version).await;
        let proxy = GrpcProxy::start(server.addr()).await;
        let config = config(proxy.addr().port()).request_timeout(ms(PATIENT_MS)).unwrap();
        let locks = connect(config, LONG).await;
        locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();

        let slow = proxy.hold_replies(TXN);
        let before = (proxy.calls(TXN), proxy.calls(RANGE));
        let begun = BootInstant::now();
        let takes = (0..TASKS).map(|number| {
            let lock = locks.mutex(format!("name-{number}")).unwrap();
            async move { lock.lock().await }
        });
        let takes = tokio::spawn(join_all(takes));
        pause(ms(1_100)).await;
        let asked = proxy.calls(RANGE) - before.1;
        let most = begun.elapsed().as_millis() as u64 / 250 + 1;
        println!("{version:?}: {asked} questions in {:?}", begun.elapsed());
        assert!((1..=most).contains(&asked), "{version:?}: {asked} questions");
        slow.release();
        let taken = soon("all are granted", takes).await.unwrap();
        assert!(taken.iter().all(Result::is_ok));
        assert_eq!(proxy.calls(TXN) - before.0, TASKS as u64, "{version:?}: asked for again");
        for guard in taken {
            guard.unwrap().release().await.unwrap();
        }
        // Nobody waits any more, so nobody asks.
        pause(ms(300)).await;
        let asked = proxy.calls(RANGE);
        pause(ms(600)).await;
        assert_eq!(proxy.calls(RANGE), asked, "{version:?}");
        nothing_left(&server).await;
    }
}
