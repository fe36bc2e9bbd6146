//! Users who may do this and not that.

use lock_conformance::time::soon;
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdVersion, Permission};
use lockcore::ErrorKind::Unauthorized;
use lockcore::Locks;

use super::{
    CANARY, at, connect, etcdctl, fails, on_both, queue, quick, role, says, turn, waiting,
};

#[tokio::test]
async fn rights_on_the_prefix_are_all_that_is_needed() {
    on_both(async |version| {
        let rights = [("shop/", Permission::ReadWrite), ("data/", Permission::Write)];
        let server = quick(version).user("worker", CANARY, &rights).start().await;
        let config = || at(&server).prefix("shop").unwrap().login("worker", CANARY);
        let lock = config().connect().await.unwrap();
        let (one, other) = (Locks::new(lock.clone()), connect(config()).await);
        mutex(&one, &other).await;
        modes(&one, &other).await;
        guarded_write(&server, &lock).await;
        one.shutdown().await.unwrap();
        other.shutdown().await.unwrap();
        let left = server.keys("").await;
        assert!(left.iter().all(|key| key.key == "data/x"), "{left:?}");
        assert!(server.leases().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_role_that_the_readme_grants_is_all_that_is_needed() {
    let worker = format!("worker:{CANARY}");
    on_both(async |version| {
        let server = quick(version).start().await;
        let run = |line: &str| {
            let words = line.split_whitespace().skip(1);
            etcdctl::run(&server, &words.collect::<Vec<_>>());
        };
        run("etcdctl user add root:secret");
        run(&format!("etcdctl user add {worker}"));
        role::documented().into_iter().for_each(run);
        run("etcdctl auth enable");
        let config = || config(&server, "worker", "shop");
        let (one, other) = (connect(config()).await, connect(config()).await);
        mutex(&one, &other).await;
        modes(&one, &other).await;
        let error = fails("another prefix", config().prefix("sho").unwrap().connect()).await;
        says(&error, Unauthorized, &["connect"]);
    })
    .await;
}

async fn mutex(one: &Locks, other: &Locks) {
    let held = one.mutex("a/b").unwrap().owner("one").lock().await.unwrap();
    assert!(other.mutex("a/b").unwrap().try_lock().await.unwrap().is_none());
    let queued = queue(other, "a/b").await;
    held.renew().await.unwrap();
    let picture = other.inspect("a/b").await.unwrap();
    assert_eq!(picture.holders()[0].owner(), Some("one"));
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    // One who gives up.
    let queued = queue(one, "a/b").await;
    queued.abort();
    waiting(one, "a/b", 0).await;
    next.release().await.unwrap();
}

async fn modes(one: &Locks, other: &Locks) {
    let (table, same) = (one.rw_lock("table").unwrap(), other.rw_lock("table").unwrap());
    let readers = [table.read().await.unwrap(), same.read().await.unwrap()];
    let writer = queue(one, "table").await;
    for reader in readers {
        reader.renew().await.unwrap();
        reader.release().await.unwrap();
    }
    turn("the writer's turn", writer).await.release().await.unwrap();

    let (slots, same) = (one.semaphore("slots", 1).unwrap(), other.semaphore("slots", 1).unwrap());
    let held = slots.acquire().await.unwrap();
    assert!(same.try_acquire().await.unwrap().is_none());
    let queued = tokio::spawn(async move { same.acquire().await });
    waiting(one, "slots", 1).await;
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
}

/// What a user writes while a lock is held needs no more than that write.
async fn guarded_write(server: &Etcd, lock: &lock_etcd::EtcdLock) {
    let options = etcd_client::ConnectOptions::new().with_user("worker", CANARY);
    let endpoint = format!("127.0.0.1:{}", server.port());
    let mut client = etcd_client::Client::connect([endpoint], Some(options)).await.unwrap();
    let guard = Locks::new(lock.clone()).mutex("guarded").unwrap().lock().await.unwrap();
    let write = etcd_client::Txn::new()
        .when([lock.while_held(guard.token()).unwrap()])
        .and_then([etcd_client::TxnOp::put("data/x", "1", None)]);
    assert!(client.txn(write).await.unwrap().succeeded());
    guard.release().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named_at_connect() {
    use Permission::{Read, ReadWrite, Write};
    let cases: [&[(&str, Permission)]; 8] = [
        &[],
        &[("shop/", Read)],
        &[("shop/", Write)],
        &[("shopping/", ReadWrite)],
        &[("shop/a/", ReadWrite)],
        &[("shop/~/", ReadWrite)],
        &[("leasehold/", ReadWrite)],
        &[("sho", Read), ("shop/a", ReadWrite)],
    ];
    on_both(async |version| {
        let mut options = quick(version);
        let users: Vec<_> = (0..cases.len()).map(|case| format!("worker-{case}")).collect();
        for (user, rights) in users.iter().zip(cases) {
            options = options.user(user, CANARY, rights);
        }
        let server = options.start().await;
        for (user, rights) in users.iter().zip(cases) {
            let config = at(&server).prefix("shop").unwrap().login(user, CANARY);
            let error = fails(&format!("{rights:?}"), config.connect()).await;
            says(&error, Unauthorized, &["connect", "read and write", "`PREFIX/`"]);
        }
        assert!(server.keys("").await.is_empty(), "no trial was left");
        assert!(server.leases().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_user_cannot_touch_the_locks_of_another_prefix() {
    let rights = [("shop/", Permission::ReadWrite)];
    let server = quick(EtcdVersion::V3_7).user("worker", CANARY, &rights);
    let server =
        server.user("owner", CANARY, &[("shopping/", Permission::ReadWrite)]).start().await;
    let owner = connect(config(&server, "owner", "shopping")).await;
    let held = owner.mutex("a").unwrap().lock().await.unwrap();
    let error = fails("another prefix", config(&server, "worker", "shopping").connect()).await;
    says(&error, Unauthorized, &["connect"]);
    let error = fails("no prefix", config(&server, "worker", "").connect()).await;
    says(&error, Unauthorized, &["connect"]);
    let worker = connect(config(&server, "worker", "shop")).await;
    let own = soon("its own", worker.mutex("a").unwrap().lock()).await.unwrap();
    own.release().await.unwrap();
    held.renew().await.unwrap();
    held.release().await.unwrap();
}

fn config(server: &Etcd, user: &str, prefix: &str) -> EtcdConfig {
    at(server).prefix(prefix).unwrap().login(user, CANARY)
}
