//! Ensembles.

use lock_testkit::{Zk, ZkEnsemble, ZkMode, eventually};

use crate::{LONG, SOON, client, ephemeral};

#[tokio::test]
async fn members_share_what_is_written() {
    let ensemble = ZkEnsemble::start(3).await;
    assert_eq!((ensemble.len(), ensemble.members().len()), (3, 3));
    let hosts: Vec<_> = ensemble.addrs().iter().map(|addr| addr.to_string()).collect();
    assert_eq!(ensemble.connect_string(), hosts.join(","));
    for (index, member) in ensemble.members().iter().enumerate() {
        member.create(&format!("/from-{index}"), "", ZkMode::Persistent).await;
    }
    for member in ensemble.members() {
        assert_eq!(member.tree("/").await, ["/from-0", "/from-1", "/from-2"]);
    }
    // Members that do not lead know of their own sessions, and of the nodes of all.
    let mut clients = Vec::new();
    for member in ensemble.members() {
        clients.push(client(member).await);
    }
    let held = ephemeral(&mut clients[0], "/held").await;
    let sessions = ensemble.sessions().await;
    assert_eq!(sessions.len(), 3);
    assert!(sessions.iter().all(|session| session.timeout == Some(LONG)));
    let other = ensemble.member(2);
    assert!(other.expire_session(clients[0].session()).await);
    assert_eq!(ensemble.sessions().await.len(), 2);
    assert!(other.stat(&held).await.is_none());
}

#[tokio::test]
async fn leaders_die_and_sleep() {
    let ensemble = ZkEnsemble::start(3).await;
    let old = ensemble.leader().await;
    ensemble.kill(old);
    let heir = ensemble.leader_other_than(old).await;
    ensemble.serving().await.create("/a", "while one is down", ZkMode::Persistent).await;
    ensemble.restart(old).await;
    assert!(ensemble.member(old).stat("/a").await.is_some());

    ensemble.pause(heir);
    let next = ensemble.leader_other_than(heir).await;
    ensemble.resume(heir);
    assert_ne!(next, heir);
    eventually("it follows", SOON, || follows(ensemble.member(heir))).await;
    assert!(ensemble.member(heir).stat("/a").await.is_some());
}

#[tokio::test]
async fn a_leader_is_cut_off_and_comes_back() {
    let ensemble = ZkEnsemble::start(3).await;
    let old = ensemble.leader().await;
    let follower = (old + 1) % 3;
    assert!(ensemble.link(follower, old).connections() > 0);
    ensemble.partition(old);
    let heir = ensemble.leader_other_than(old).await;
    ensemble.member(heir).create("/a", "after", ZkMode::Persistent).await;

    // Clients reach it, and it serves nobody.
    let isolated = ensemble.member(old);
    eventually("it knows that it is alone", SOON, || async {
        isolated.word("srvr").await.ok()?.contains("not currently serving").then_some(())
    })
    .await;
    assert!(isolated.is_running());

    ensemble.heal(old);
    eventually("it follows", SOON, || follows(isolated)).await;
    assert!(isolated.stat("/a").await.is_some());
}

#[tokio::test]
async fn a_follower_is_cut_off_and_comes_back() {
    let ensemble = ZkEnsemble::start(3).await;
    let leader = ensemble.leader().await;
    let cut = (leader + 1) % 3;
    ensemble.partition(cut);
    eventually("it knows that it is alone", SOON, || async {
        ensemble.member(cut).word("srvr").await.ok()?.contains("not currently").then_some(())
    })
    .await;
    assert_eq!(ensemble.leader().await, leader);
    ensemble.member(leader).create("/a", "", ZkMode::Persistent).await;
    ensemble.heal(cut);
    eventually("it follows", SOON, || follows(ensemble.member(cut))).await;
    assert!(ensemble.member(cut).stat("/a").await.is_some());
}

async fn follows(member: &Zk) -> Option<()> {
    member.word("srvr").await.ok()?.contains("Mode: follower").then_some(())
}
