//! Writes that happen only while a lock is held.

use std::time::Duration;

use lock_conformance::time::{scaled, soon};
use lock_testkit::ZkMode;
use lock_zk::{HeldNode, ZkLock};
use lockcore::ErrorKind::NotHeld;
use lockcore::{FencingToken, Locks};
use zookeeper_client::Client;

use super::{Stage, says};

#[tokio::test]
async fn a_write_is_done_while_the_lock_is_held_and_not_after_its_release() {
    let (stage, client, lock) = start().await;
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
        let node = lock.while_held(token).unwrap();
        assert!(writes(&stage, &client, &node).await);
        guard.renew().await.unwrap();
        assert!(writes(&stage, &client, &lock.while_held(token).unwrap()).await);
        guard.release().await.unwrap();
        assert!(!writes(&stage, &client, &node).await);
        is_not_held(&lock, token);
    }
}

#[tokio::test]
async fn a_write_is_not_done_after_a_loss() {
    let (stage, client, lock) = start().await;
    let locks = Locks::new(lock.clone());
    let mutex = locks.mutex("lost").unwrap().ttl(scaled(Duration::from_secs(1)));
    for by_session in [true, false] {
        let guard = mutex.lock().await.unwrap();
        let token = guard.token();
        let node = lock.while_held(token).unwrap();
        assert!(writes(&stage, &client, &node).await);
        if by_session {
            let owner = stage.server.stat(node.path()).await.unwrap().ephemeral_owner;
            assert!(stage.server.expire_session(owner).await);
        } else {
            assert!(stage.server.delete(node.path()).await);
        }
        // The server knows before the holder does.
        assert!(!writes(&stage, &client, &node).await);
        soon("the holder knows", guard.lost()).await;
        drop(guard);
        // The next one's grant is not taken for it.
        let next = soon("the next one", mutex.lock()).await.unwrap();
        assert!(next.token() > token);
        assert!(!writes(&stage, &client, &node).await);
        assert!(writes(&stage, &client, &lock.while_held(next.token()).unwrap()).await);
        next.release().await.unwrap();
    }
}

#[tokio::test]
async fn the_tokens_of_others_are_refused() {
    let (stage, _client, lock) = start().await;
    let other = stage.config().connect().await.unwrap();
    let guard = Locks::new(lock.clone()).mutex("others").unwrap().lock().await.unwrap();
    let token = guard.token();
    is_not_held(&other, token);
    for wrong in [token.as_u64() + 1, token.as_u64() - 1, 1, u64::MAX] {
        is_not_held(&lock, FencingToken::new(wrong).unwrap());
    }
    guard.release().await.unwrap();
    is_not_held(&lock, token);
}

/// The path is one below the chroot, for a client that has the same.
#[tokio::test]
async fn a_write_below_a_chroot_is_checked_there() {
    let (stage, _client, _lock) = start().await;
    let chroot = format!("/{}", stage.prefix);
    let config = stage.config().chroot(chroot.as_str()).unwrap().prefix("locks").unwrap();
    let lock = config.connect().await.unwrap();
    let address = format!("127.0.0.1:{}{chroot}", stage.server.port());
    let client = Client::connect(&address).await.unwrap();
    let guard = Locks::new(lock.clone()).mutex("below").unwrap().lock().await.unwrap();
    let node = lock.while_held(guard.token()).unwrap();
    assert!(node.path().starts_with("/locks/below/"), "{node:?}");
    let mut write = client.new_multi_writer();
    write.add_check_version(node.path(), node.version()).unwrap();
    write.add_set_data("/data", b"2", None).unwrap();
    assert!(write.commit().await.is_ok());
    guard.release().await.unwrap();
}

async fn start() -> (Stage, Client, ZkLock) {
    let stage = Stage::new().await;
    stage.make("").await;
    stage.server.create(&stage.at("data"), "", ZkMode::Persistent).await;
    let lock = stage.config().connect().await.unwrap();
    let client = Client::connect(&stage.server.connect_string()).await.unwrap();
    (stage, client, lock)
}

async fn writes(stage: &Stage, client: &Client, held: &HeldNode) -> bool {
    let mut write = client.new_multi_writer();
    write.add_check_version(held.path(), held.version()).unwrap();
    write.add_set_data(&stage.at("data"), b"1", None).unwrap();
    write.commit().await.is_ok()
}

#[track_caller]
fn is_not_held(lock: &ZkLock, token: FencingToken) {
    says(&lock.while_held(token).unwrap_err(), NotHeld, &["while_held", "no lock with this token"]);
}
