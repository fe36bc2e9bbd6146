//! A server whose database has reached its quota.

use std::time::Duration;

use lock_conformance::time::{pause, scaled, soon};
use lock_testkit::Etcd;
use lockcore::ErrorKind::Unavailable;
use lockcore::{Guard, Locks};

use super::{at, connect, fails, on_both, queue, quick, records, says, turn, waiting};

#[tokio::test]
async fn a_full_server_takes_no_lock_and_lets_holders_and_waiters_go_on() {
    on_both(async |version| {
        let server = quick(version).quota_bytes(2_000_000).start().await;
        let (holder, waiter) = (connect(at(&server)).await, connect(at(&server)).await);
        let fresh = connect(at(&server)).await;
        let ttl = scaled(Duration::from_secs(1));
        let held = [
            holder.mutex("mutex").unwrap().ttl(ttl).lock().await.unwrap(),
            holder.rw_lock("rw").unwrap().ttl(ttl).read().await.unwrap(),
            holder.semaphore("semaphore", 1).unwrap().ttl(ttl).acquire().await.unwrap(),
        ];
        let next = queue(&waiter, "mutex").await;
        let leaver = queue(&waiter, "rw").await;
        server.fill("filler/").await;
        assert_eq!(server.alarms().await, ["NOSPACE"]);

        // With a lease and without one.
        for locks in [&holder, &fresh] {
            takes_nothing(locks, ttl).await;
        }
        let error = fails("connecting", at(&server).connect()).await;
        says(&error, Unavailable, &["connect", "quota", "disarm"]);
        // Neither did it leave anything: these were there before.
        assert_eq!(records(&server).await.len(), 5);

        // For longer than a TTL.
        pause(ttl * 2).await;
        assert!(held.iter().all(Guard::is_held), "{held:?}");
        leaver.abort();
        waiting(&holder, "rw", 0).await;
        for guard in held {
            guard.renew().await.unwrap();
            soon("a release", guard.release()).await.unwrap();
        }
        let next = turn("the waiter's turn", next).await;
        next.renew().await.unwrap();
        soon("a release", next.release()).await.unwrap();
        assert!(records(&server).await.is_empty());

        make_room(&server).await;
        for locks in [&holder, &waiter, &fresh, &connect(at(&server)).await] {
            let mutex = locks.mutex("after").unwrap();
            soon("room again", mutex.lock()).await.unwrap().release().await.unwrap();
            locks.shutdown().await.unwrap();
        }
        let left = server.keys("").await;
        assert!(left.is_empty(), "{left:?}");
        assert!(server.leases().await.is_empty());
    })
    .await;
}

async fn takes_nothing(locks: &Locks, ttl: Duration) {
    let words = ["quota", "NOSPACE", "compact", "disarm"];
    let mutex = locks.mutex("new").unwrap().ttl(ttl);
    says(&fails("a lock", mutex.lock()).await, Unavailable, &words);
    says(&fails("a try", mutex.try_lock()).await, Unavailable, &words);
    let table = locks.rw_lock("new").unwrap().ttl(ttl);
    says(&fails("a reader", table.read()).await, Unavailable, &words);
    let slots = locks.semaphore("new", 2).unwrap().ttl(ttl);
    says(&fails("a permit", slots.acquire()).await, Unavailable, &words);
    assert!(locks.inspect("new").await.unwrap().is_free());
}

async fn make_room(server: &Etcd) {
    server.delete_prefix("filler/").await;
    server.compact().await;
    server.defrag().await;
    server.disarm().await;
}
