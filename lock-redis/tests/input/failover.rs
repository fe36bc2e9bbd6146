//! Another server becomes master.

use std::time::Duration;

use lock_conformance::time::{eventually, pause, scaled, soon};
use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Sentinels};
use lockcore::{ErrorKind, Locks, LossCause, Rule};

use super::{keeps_secrets, run, waiting};

#[tokio::test]
async fn a_lock_that_got_over_is_kept_and_handed_over() {
    let group = Sentinels::start(Flavour::Redis).await;
    let (holder, waiter) = (locks(&group).await, locks(&group).await);
    // Longer than the failover may take.
    let ttl = scaled(Duration::from_secs(30));
    let held = holder.mutex("kept").unwrap().ttl(ttl).lock().await.unwrap();
    let mutex = waiter.mutex("kept").unwrap().ttl(ttl);
    let queued = tokio::spawn(async move { mutex.lock().await });
    waiting(&holder, "kept", 1).await;
    eventually("the replica knows of the waiter, which was written last", async || {
        let value = run(&group.servers()[1], &["GET", "leasehold:kept"]).await;
        value.as_str().is_some_and(|value| value.ends_with(" +"))
    })
    .await;
    let old = group.kill_master().await;
    let failing = errors_until_served(&holder);
    let (new, ()) = tokio::join!(group.master_after(old), failing);
    assert_ne!(new, old);

    assert!(held.is_held() && !queued.is_finished());
    eventually("a renewal at the new master", async || held.renew().await.is_ok()).await;
    let token = held.token();
    soon("the release", held.release()).await.unwrap();
    let next = soon("the waiter's turn", queued).await.unwrap().unwrap();
    assert!(next.token() > token);
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_holder_whose_lock_did_not_get_over_is_told() {
    let group = Sentinels::start(Flavour::Redis).await;
    let (holder, other) = (locks(&group).await, locks(&group).await);
    assert!(holder.guarantees().exception(Rule::R1).is_some_and(|why| why.contains("failover")));
    // The replica hears nothing from here on.
    run(&group.servers()[1], &["REPLICAOF", "127.0.0.1", "1"]).await;
    let ttl = scaled(Duration::from_secs(6));
    let held = holder.mutex("lost").unwrap().ttl(ttl).lock().await.unwrap();
    let old = group.kill_master().await;
    group.master_after(old).await;

    // What the guarantees say: another one is granted the lock, under a greater token.
    let mutex = other.mutex("lost").unwrap();
    let granted = async || mutex.try_lock().await.ok().flatten();
    let second = lock_testkit::eventually("the new master grants it", FAILOVER, granted).await;
    assert!(second.token() > held.token());
    let cause = soon("the former holder hears it", held.lost()).await;
    assert!(matches!(cause, LossCause::Revoked | LossCause::Expired), "{cause}");
    pause(Duration::from_millis(1)).await;
    second.renew().await.unwrap();
    second.release().await.unwrap();
}

async fn locks(group: &Sentinels) -> Locks {
    let sentinels = group.addrs().into_iter().map(|addr| ("127.0.0.1", addr.port()));
    super::connect(RedisConfig::sentinel(sentinels, group.master_name())).await
}

/// Takes and gives back a lock until that works again; what fails meanwhile is typed.
async fn errors_until_served(locks: &Locks) {
    let mutex = locks.mutex("other").unwrap().ttl(Duration::from_secs(1));
    let mut seen = Vec::new();
    loop {
        match soon("an answer", mutex.try_lock()).await {
            // The old master may have taken it and died.
            Ok(Some(guard)) if !seen.is_empty() => return drop(guard.release().await),
            Ok(guard) => drop(guard),
            Err(error) => {
                use ErrorKind::{Indeterminate, Lost, Unavailable};
                let expected = [Indeterminate, Lost, Unavailable];
                assert!(expected.contains(&error.kind()), "{error:?}");
                keeps_secrets(&error);
                seen.push(error);
            }
        }
        pause(Duration::from_millis(50)).await;
    }
}

const FAILOVER: Duration = Duration::from_secs(30);
