//! Users, and what their nodes are open to.

use lock_conformance::time::{eventually, soon};
use lock_testkit::{Zk, ZkAcl, ZkClient, ZkMode};
use lock_zk::ZkConfig;
use lockcore::ErrorKind::{InvalidConfig, Unauthorized};
use lockcore::Locks;

use super::{CANARY, Stage, connect, fails, queue, rights, says, turn, waiting};

#[tokio::test]
async fn nodes_are_for_the_user_who_made_them_alone() {
    let stage = Stage::new().await;
    let locks = connect(worker(&stage)).await;
    let held = locks.mutex("own").unwrap().lock().await.unwrap();
    let queued = queue(&locks, "own").await;
    let slots = locks.semaphore("slots", 2).unwrap().acquire().await.unwrap();
    let records = stage.records().await;
    assert_eq!(records.len(), 3);
    // Those above are the superuser's or nobody's, who made them.
    for path in records.iter().chain(&[stage.at("own"), stage.at("slots")]) {
        let acl = stage.server.acl(path).await.unwrap();
        assert_eq!(acl, [ZkAcl::user("worker", CANARY, ZkAcl::ALL)], "{path}");
    }
    for credentials in [None, Some(("worker", "wrong")), Some(("other", CANARY))] {
        let mut other = client(&stage.server, credentials).await;
        let directory = stage.at("own");
        let node = records.iter().find(|path| path.starts_with(&directory)).unwrap();
        assert_eq!(other.delete(node, -1).await.unwrap_err().code(), Some(NO_AUTH));
        assert_eq!(other.data(node, false).await.unwrap_err().code(), Some(NO_AUTH));
        assert_eq!(other.children(&directory, false).await.unwrap_err().code(), Some(NO_AUTH));
        assert_eq!(other.set_data(node, b"", -1).await.unwrap_err().code(), Some(NO_AUTH));
        let made = other.create(&format!("{directory}/x"), b"", ZkMode::Ephemeral, &anyone()).await;
        assert_eq!(made.unwrap_err().code(), Some(NO_AUTH));
        let opened = other.set_acl(node, &anyone()).await;
        assert_eq!(opened.unwrap_err().code(), Some(NO_AUTH));
    }
    let mut same = client(&stage.server, Some(("worker", CANARY))).await;
    assert_eq!(same.children(&stage.at("own"), false).await.unwrap().len(), 2);
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
    slots.release().await.unwrap();
    assert!(stage.records().await.is_empty());
}

#[tokio::test]
async fn without_a_login_nodes_are_for_everybody() {
    let stage = Stage::new().await;
    let locks = stage.connect().await;
    let held = locks.mutex("open").unwrap().lock().await.unwrap();
    for path in stage.records().await.iter().chain(&[stage.at("open")]) {
        assert_eq!(stage.server.acl(path).await.unwrap(), anyone(), "{path}");
    }
    // Somebody who logs in is one of all.
    let other = connect(worker(&stage)).await;
    assert!(other.mutex("open").unwrap().try_lock().await.unwrap().is_none());
    let queued = queue(&other, "open").await;
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
}

#[tokio::test]
async fn who_shares_a_login_shares_locks() {
    let stage = Stage::new().await;
    let (one, other) = (connect(worker(&stage)).await, connect(worker(&stage)).await);
    let held = one.mutex("shared/ä").unwrap().owner("one").lock().await.unwrap();
    let queued = queue(&other, "shared/ä").await;
    held.renew().await.unwrap();
    let picture = other.inspect("shared/ä").await.unwrap();
    assert_eq!(picture.holders()[0].owner(), Some("one"));
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    let queued = queue(&one, "shared/ä").await;
    queued.abort();
    waiting(&one, "shared/ä", 0).await;
    next.release().await.unwrap();
}

/// ZooKeeper knows no users: a password is wrong when nodes are another's.
#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_none_are_refused_at_connect() {
    let stage = Stage::new().await;
    let locks = connect(worker(&stage)).await;
    let held = locks.mutex("theirs").unwrap().lock().await.unwrap();
    let before = stage.records().await;
    for config in [
        stage.config().login("worker", "wrong-but-also-c4nary"),
        stage.config().login("nobody", CANARY),
        stage.config(),
    ] {
        let error = fails("another user", config.connect()).await;
        says(&error, Unauthorized, &["connect", "ACL", "cdrw", "user"]);
    }
    assert_eq!(stage.records().await, before, "no trial was left");
    held.renew().await.unwrap();
    held.release().await.unwrap();
}

/// Those of the trial are open, those of the name are not.
#[tokio::test]
async fn a_directory_of_somebody_else_is_told_at_the_first_use() {
    let stage = Stage::new().await;
    stage.make("taken").await;
    stage.make("~").await;
    let theirs = [ZkAcl::user("owner", CANARY, ZkAcl::ALL)];
    assert!(stage.server.set_acl(&stage.at("taken"), &theirs).await);
    let locks = connect(worker(&stage)).await;
    are_refused(&locks, "taken").await;
    assert!(stage.records().await.is_empty());
    locks.mutex("own").unwrap().lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn rights_that_are_missing_are_named_at_connect() {
    let stage = Stage::new().await;
    stage.make("~").await;
    let (trial, top) = (stage.at("~"), stage.at(""));
    let top = top.trim_end_matches('/');
    for rights in [0, ZkAcl::READ, ZkAcl::ALL - ZkAcl::CREATE, ZkAcl::ALL - ZkAcl::READ] {
        let acl = [ZkAcl::user("worker", CANARY, rights), ZkAcl::user("x", "", ZkAcl::ALL)];
        assert!(stage.server.set_acl(&trial, &acl).await);
        let error = fails(&format!("{rights}"), worker(&stage).connect()).await;
        says(&error, Unauthorized, &["connect", "ACL", "cdrw"]);
    }
    // It may come, and not go.
    let acl = [ZkAcl::user("worker", CANARY, ZkAcl::ALL - ZkAcl::DELETE)];
    assert!(stage.server.set_acl(&trial, &acl).await);
    says(
        &fails("no right to go", worker(&stage).connect()).await,
        Unauthorized,
        &["connect", "ACL"],
    );
    // What is needed is there, and nothing else.
    let needed = ZkAcl::CREATE | ZkAcl::DELETE | ZkAcl::READ | ZkAcl::WRITE;
    assert!(stage.server.set_acl(&trial, &[ZkAcl::user("worker", CANARY, needed)]).await);
    connect(worker(&stage)).await;
    // Directories cannot be made.
    assert!(stage.server.delete_tree(&trial).await > 0);
    let acl = [ZkAcl::user("worker", CANARY, ZkAcl::ALL - ZkAcl::CREATE)];
    assert!(stage.server.set_acl(top, &acl).await);
    says(&fails("no directory", worker(&stage).connect()).await, Unauthorized, &["connect", "ACL"]);
    assert!(stage.records().await.is_empty(), "no trial was left");
}

#[tokio::test]
async fn the_rights_that_the_readme_gives_are_all_that_is_needed() {
    let stage = Stage::new().await;
    stage.make("x").await;
    let acl = [rights::documented("worker", CANARY)];
    for path in [stage.at("x"), format!("/{}", stage.prefix)] {
        assert!(stage.server.set_acl(&path, &acl).await);
    }
    let (one, other) = (connect(worker(&stage)).await, connect(worker(&stage)).await);
    for name in ["x", "y"] {
        let held = one.mutex(name).unwrap().lock().await.unwrap();
        let queued = queue(&other, name).await;
        held.release().await.unwrap();
        turn("the waiter's turn", queued).await.release().await.unwrap();
        let held = one.rw_lock(name).unwrap().read().await.unwrap();
        assert_eq!(other.inspect(name).await.unwrap().holders().len(), 1);
        held.release().await.unwrap();
    }
    one.shutdown().await.unwrap();
    other.shutdown().await.unwrap();
    assert!(stage.records().await.is_empty());
}

#[tokio::test]
async fn odd_users_and_passwords_are_taken_as_they_are() {
    let stage = Stage::new().await;
    let odd = "p@ss:/?#[]%41 \u{e9}\u{1f512}\"'\\,";
    for (user, password) in [("w@rk/é,", odd), ("", ""), ("", CANARY), ("w@rk/é,", "")] {
        let prefix = format!("{}-{}", stage.prefix, fastrand::u64(..));
        let config = stage.config().prefix(prefix.as_str()).unwrap().login(user, password);
        let held = connect(config).await.mutex("odd").unwrap().lock().await.unwrap();
        let acl = stage.server.acl(&format!("/{prefix}/odd")).await.unwrap();
        assert_eq!(acl, [ZkAcl::user(user, password, ZkAcl::ALL)]);
        held.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_and_its_locks_do_not_print_its_password() {
    let stage = Stage::new().await;
    let lock = stage.config().login("worker", CANARY).connect().await.unwrap();
    let locks = Locks::new(lock.clone());
    let mutex = locks.mutex("printed").unwrap();
    let guard = mutex.lock().await.unwrap();
    let picture = locks.inspect("printed").await.unwrap();
    let node = lock.while_held(guard.token()).unwrap();
    let text = format!("{lock:#?} {locks:?} {mutex:?} {guard:#?} {picture:?} {node:?}");
    assert!(!text.contains(CANARY), "{text}");
    guard.release().await.unwrap();
}

/// The server takes what is before the first colon for the user.
#[tokio::test]
async fn a_user_with_a_colon_is_refused() {
    let stage = Stage::new().await;
    let error = fails("a colon", stage.config().login("w:x", CANARY).connect()).await;
    says(&error, InvalidConfig, &["connect", "user", "colon"]);
}

#[tokio::test]
async fn a_server_that_wants_logins_says_so() {
    let options = Zk::options().property("zookeeper.enforce.auth.enabled", "true");
    let server = options.property("zookeeper.enforce.auth.schemes", "digest").start().await;
    let error = fails("nobody", super::at(&server).connect()).await;
    says(&error, Unauthorized, &["connect", "login"]);
    let locks = connect(super::at(&server).login("worker", CANARY)).await;
    locks.mutex("own").unwrap().lock().await.unwrap().release().await.unwrap();
}

/// What they have written is for themselves, where they stand is for all who share a directory.
#[tokio::test]
async fn users_who_share_a_directory_wait_for_each_other_though_they_cannot_read_each_other() {
    let stage = Stage::new().await;
    stage.make("shared").await;
    stage.make("~").await;
    let own = connect(worker(&stage)).await;
    let other = connect(stage.config().login("other", CANARY)).await;
    let held = own.mutex("shared").unwrap().lock().await.unwrap();
    let mutex = other.mutex("shared").unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());
    let queued = tokio::spawn(async move { mutex.lock().await });
    eventually("it waits", async || stage.records().await.len() == 2).await;
    held.release().await.unwrap();
    // Servers since CVE-2024-23944 do not tell it of a node that it may not read: it finds out.
    soon("the other's turn", queued).await.unwrap().unwrap().release().await.unwrap();
}

/// Whatever is asked for there is refused by name.
pub(crate) async fn are_refused(locks: &Locks, name: &str) {
    let words = ["ACL", "cdrw"];
    let mutex = locks.mutex(name).unwrap();
    says(&fails("a lock", mutex.lock()).await, Unauthorized, &words);
    says(&fails("a try", mutex.try_lock()).await, Unauthorized, &words);
    let table = locks.rw_lock(name).unwrap();
    says(&fails("a reader", table.read()).await, Unauthorized, &words);
    let slots = locks.semaphore(name, 2).unwrap();
    says(&fails("a permit", slots.acquire()).await, Unauthorized, &words);
    says(&fails("a look", locks.inspect(name)).await, Unauthorized, &["inspect", "ACL"]);
}

fn worker(stage: &Stage) -> ZkConfig {
    stage.config().login("worker", CANARY)
}

async fn client(server: &Zk, credentials: Option<(&str, &str)>) -> ZkClient {
    let timeout = std::time::Duration::from_secs(20);
    let mut client = ZkClient::connect(server.addr(), timeout).await.unwrap();
    if let Some((user, password)) = credentials {
        client.authenticate(user, password).await.unwrap();
    }
    client
}

fn anyone() -> [ZkAcl; 1] {
    [ZkAcl::anyone(ZkAcl::ALL)]
}

const NO_AUTH: i32 = -102;
