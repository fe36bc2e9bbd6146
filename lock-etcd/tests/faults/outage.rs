//! All members are gone.

use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::EtcdCluster;
use lockcore::{BootInstant, ErrorKind};
use tokio::time::timeout;

use crate::stage::{cluster, connect, left, ms, of_all, take, ttl, until_keys};

/// How they go.
#[derive(Clone, Copy, Debug)]
enum Way {
    Paused,
    Killed,
}

impl Way {
    fn strikes(self, cluster: &EtcdCluster) {
        for member in cluster.members() {
            match self {
                Self::Paused => member.pause(),
                Self::Killed => member.kill(),
            }
        }
    }

    async fn ends(self, cluster: &EtcdCluster) {
        match self {
            Self::Paused => cluster.members().iter().for_each(lock_testkit::Etcd::resume),
            Self::Killed => {
                join_all(cluster.members().iter().map(lock_testkit::Etcd::restart)).await;
            }
        }
        cluster.leader().await;
    }
}

#[tokio::test]
async fn nobody_hangs_while_all_members_stand_still() {
    nobody_hangs(Way::Paused).await;
}

#[tokio::test]
async fn nobody_hangs_while_all_members_are_dead() {
    nobody_hangs(Way::Killed).await;
}

async fn nobody_hangs(way: Way) {
    let cluster = cluster().await;
    let locks = connect(of_all(&cluster), ttl(TTL)).await;
    let mut guards = Vec::new();
    for number in 0..3 {
        let lock = locks.mutex(format!("held-{number}")).unwrap();
        guards.push(lock.lock().await.unwrap());
    }
    let lock = locks.mutex("held-0").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_keys(cluster.member(0), "held-0", 2).await;
    way.strikes(&cluster);

    // A call ends with the time that its caller gives it, or before, with an error that says so.
    for waits in [true, false] {
        let lock = locks.mutex("free").unwrap();
        let begun = BootInstant::now();
        let limit = ms(1_000);
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
        assert!(begun.elapsed() < limit + BUSY, "{way:?}: {:?}", begun.elapsed());
    }
    // What is dropped does not wait for anybody.
    let begun = BootInstant::now();
    drop(guards.pop());
    waits.abort();
    assert!(waits.await.is_err_and(|error| error.is_cancelled()));
    assert!(begun.elapsed() < BUSY, "{way:?}: {:?}", begun.elapsed());

    let guard = guards.pop().unwrap();
    let deadline = guard.deadline();
    let released = soon("the release returns", guard.release()).await;
    let late = BootInstant::now().saturating_since(deadline);
    println!("{way:?}: released {late:?} after its deadline: {released:?}");
    let kind = released.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Indeterminate | ErrorKind::Unavailable), "{way:?}: {kind:?}");
    assert!(late < BUSY, "{way:?}: {late:?} after the deadline");
    let guard = guards.pop().unwrap();
    soon("the last one is lost", guard.lost()).await;
    drop(guard);

    pause(Duration::from_millis(10)).await;
    way.ends(&cluster).await;
    for name in ["held-0", "held-1", "held-2", "free"] {
        let guard = soon("all is free again", take(&locks.mutex(name).unwrap())).await;
        guard.release().await.unwrap();
    }
    let member = cluster.member(0);
    eventually("no key is left", || async { left(member).await.is_empty() }).await;
}

/// What comes before the release takes a third of it at most, also right before a renewal.
const TTL: u64 = 6;

/// What two busy cores may cost; less than any request waits for its answer.
const BUSY: Duration = Duration::from_millis(500);
