//! Servers that take no more, and those that cannot decide.

use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_testkit::{Zk, ZkEnsemble, ZkMode};
use lock_zk::ZkConfig;
use lockcore::ErrorKind::{Indeterminate, Unavailable};

use super::{at, connect, fails, fails_within, queue, records, says, turn};

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_and_lets_holders_and_waiters_go_on() {
    let server = Zk::options().enforce_quota().start().await;
    let locks = connect(at(&server)).await;
    let held = locks.mutex("held").unwrap().lock().await.unwrap();
    let next = queue(&locks, "held").await;
    let used = server.tree("/leasehold").await.len() + 1;
    server.set_quota("/leasehold", u32::try_from(used).unwrap()).await;

    let before = records(&server, "leasehold").await;
    let words = ["quota", "setquota"];
    for name in ["held", "new"] {
        let mutex = locks.mutex(name).unwrap();
        says(&fails("a lock", mutex.lock()).await, Unavailable, &words);
    }
    let mutex = locks.mutex("new").unwrap();
    says(&fails("a try", mutex.try_lock()).await, Unavailable, &words);
    says(&fails("connecting", at(&server).connect()).await, Unavailable, &["connect", "quota"]);
    assert_eq!(records(&server, "leasehold").await, before, "nothing was left");

    held.renew().await.unwrap();
    held.release().await.unwrap();
    turn("the waiter's turn", next).await.release().await.unwrap();
    assert!(server.delete("/zookeeper/quota/leasehold/zookeeper_limits").await);
    server.create("/plain", "", ZkMode::Persistent).await;
    soon("room again", mutex.lock()).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn an_ensemble_without_a_majority_is_told_in_time_and_serves_when_it_is_back() {
    let ensemble = ZkEnsemble::start(3).await;
    let members: Vec<_> = ensemble.addrs();
    let members = members.iter().map(|addr| ("127.0.0.1", addr.port()));
    let config = || ZkConfig::new(members.clone());
    let locks = connect(config()).await;
    let mutex = locks.mutex("majority").unwrap();
    mutex.lock().await.unwrap().release().await.unwrap();
    let leader = ensemble.leader().await;
    let other = (leader + 1) % 3;
    ensemble.kill(leader);
    ensemble.kill(other);
    // What was sent before it was known may be unknown.
    let limit = scaled(Duration::from_secs(8));
    let error = fails_within(limit, "a try", mutex.try_lock()).await;
    assert!([Indeterminate, Unavailable].contains(&error.kind()), "{error:?}");
    let error = fails_within(limit, "connecting", config().connect()).await;
    says(&error, Unavailable, &["connect"]);
    let back = async {
        tokio::join!(ensemble.restart(leader), ensemble.restart(other));
    };
    back.await;
    // The client library takes its time to connect again, until which nothing is sent.
    eventually("a majority is back", async || match mutex.lock().await {
        Ok(guard) => guard.release().await.is_ok(),
        Err(error) => {
            assert_eq!(error.kind(), Unavailable, "{error:?}");
            false
        }
    })
    .await;
}
