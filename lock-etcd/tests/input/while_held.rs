//! Writes that happen only while a lock is held.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use lock_conformance::time::{scaled, soon};
use lock_etcd::EtcdLock;
use lock_testkit::Etcd;
use lockcore::ErrorKind::NotHeld;
use lockcore::{FencingToken, Locks};

use super::{at, on_both, quick, says};

#[tokio::test]
async fn a_write_is_done_while_the_lock_is_held_and_not_after_its_release() {
    on_both(async |version| {
        let server = quick(version).start().await;
        let (lock, mut client) = (lock(&server).await, client(&server).await);
        let locks = Locks::new(lock.clone());
        let guards = [
            locks.mutex("mutex/ä").unwrap().lock().await.unwrap(),
            locks.rw_lock("table").unwrap().read().await.unwrap(),
            locks.rw_lock("table").unwrap().read().await.unwrap(),
            locks.semaphore("slots", 2).unwrap().acquire().await.unwrap(),
            locks.mutex("tried").unwrap().try_lock().await.unwrap().unwrap(),
        ];
        for guard in guards {
            let token = guard.token();
            let compare = lock.while_held(token).unwrap();
            assert!(writes(&mut client, compare.clone()).await);
            guard.renew().await.unwrap();
            assert!(writes(&mut client, lock.while_held(token).unwrap()).await);
            guard.release().await.unwrap();
            assert!(!writes(&mut client, compare).await);
            is_not_held(&lock, token);
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_is_not_done_after_a_loss() {
    let server = super::server().await;
    let (lock, mut client) = (lock(&server).await, client(&server).await);
    let locks = Locks::new(lock.clone());
    let mutex = locks.mutex("lost").unwrap().ttl(scaled(Duration::from_secs(1)));
    for by_lease in [true, false] {
        let guard = mutex.lock().await.unwrap();
        let token = guard.token();
        let compare = lock.while_held(token).unwrap();
        let key = server.keys("leasehold/lost/").await.remove(0);
        match by_lease {
            true => server.revoke_lease(key.lease).await,
            false => assert!(server.delete(&key.key).await),
        }
        // The server knows before the holder does.
        assert!(!writes(&mut client, compare.clone()).await);
        soon("the holder knows", guard.lost()).await;
        drop(guard);
        // The next one's grant is not taken for it.
        let next = mutex.lock().await.unwrap();
        assert!(!writes(&mut client, compare).await);
        assert!(writes(&mut client, lock.while_held(next.token()).unwrap()).await);
        lock_conformance::time::eventually("it is forgotten", async || {
            lock.while_held(token).is_err_and(|error| error.kind() == NotHeld)
        })
        .await;
        next.release().await.unwrap();
    }
}

#[tokio::test]
async fn the_tokens_of_others_are_refused() {
    let server = super::server().await;
    let (lock, other) = (lock(&server).await, lock(&server).await);
    let guard = Locks::new(lock.clone()).mutex("others").unwrap().lock().await.unwrap();
    let token = guard.token();
    is_not_held(&other, token);
    for wrong in [token.as_u64() + 1, token.as_u64() - 1, 1, u64::MAX] {
        is_not_held(&lock, FencingToken::new(wrong).unwrap());
    }
    guard.release().await.unwrap();
    is_not_held(&lock, token);
}

#[tokio::test]
async fn a_write_may_have_conditions_of_its_own_too() {
    let server = super::server().await;
    let (lock, mut client) = (lock(&server).await, client(&server).await);
    let guard = Locks::new(lock.clone()).mutex("both").unwrap().lock().await.unwrap();
    server.put("data/a", "1").await;
    for (value, is_done) in [("1", true), ("1", false), ("2", true)] {
        let own = Compare::value("data/a", CompareOp::Equal, value);
        let next = if value == "1" { "2" } else { "3" };
        let write = Txn::new()
            .when([own, lock.while_held(guard.token()).unwrap()])
            .and_then([TxnOp::put("data/a", next, None)]);
        assert_eq!(client.txn(write).await.unwrap().succeeded(), is_done, "{value}");
    }
    guard.release().await.unwrap();
}

async fn lock(server: &Etcd) -> EtcdLock {
    at(server).connect().await.unwrap()
}

async fn client(server: &Etcd) -> Client {
    Client::connect([format!("127.0.0.1:{}", server.port())], None).await.unwrap()
}

async fn writes(client: &mut Client, held: Compare) -> bool {
    let write = Txn::new().when([held]).and_then([TxnOp::put("data/x", "1", None)]);
    client.txn(write).await.unwrap().succeeded()
}

#[track_caller]
fn is_not_held(lock: &EtcdLock, token: FencingToken) {
    says(&lock.while_held(token).unwrap_err(), NotHeld, &["while_held", "no lock with this token"]);
}
