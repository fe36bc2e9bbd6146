//! Nodes of other programs where the nodes of locks are.

use std::time::Duration;

use lock_conformance::time::{eventually, soon};
use lock_testkit::{ZkAcl, ZkClient, ZkMode, fuzz};
use lockcore::ErrorKind::Backend;
use lockcore::{Locks, Mode};

use super::{CANARY, Stage, fails, queue, says, turn, waiting};

#[tokio::test]
async fn a_node_that_would_be_in_the_way_for_ever_is_named() {
    let (stage, locks) = start().await;
    for planted in [
        "lock-0000000000",
        "x-lock-0000000000",
        "_c_00000000-0000-0000-0000-000000000000-__WRIT__0000000000",
        "0123456789abcdef0123456789abcdef__lock__0000000000",
        "__lock__-000000001",
    ] {
        let path = stage.at(&format!("planted/{planted}"));
        // Its number is one that no entry of ours comes before, for there has been none.
        stage.server.delete_tree(&stage.at("planted")).await;
        stage.make("planted").await;
        stage.server.create(&path, CANARY, ZkMode::Persistent).await;
        is_refused(&stage, &locks, &[planted, "no session", "remove it"]).await;
        assert!(stage.server.delete(&path).await);
        is_free(&stage, &locks).await;
    }
}

#[tokio::test]
async fn a_node_that_the_store_has_numbered_is_named_too() {
    let (stage, locks) = start().await;
    stage.make("planted").await;
    let mode = ZkMode::PersistentSequential;
    let path = stage.server.create(&stage.at("planted/job-"), CANARY, mode).await;
    is_refused(&stage, &locks, &[&path[1..], "no session", "remove it"]).await;
    assert!(stage.server.delete(&path).await);
    is_free(&stage, &locks).await;
}

#[tokio::test]
async fn a_node_without_a_number_is_named_as_long_as_it_is_there() {
    let (stage, locks) = start().await;
    for planted in ["x", "lock-1", "config", "lock-000000000x", "_c_", "a\u{e9} \u{3b1}"] {
        stage.make("planted").await;
        let path = stage.at(&format!("planted/{planted}"));
        stage.server.create(&path, CANARY, ZkMode::Persistent).await;
        let words = [planted, "no contender", "remove it"];
        is_refused(&stage, &locks, &words).await;
        let look = fails("a look", locks.inspect("planted")).await;
        says(&look, Backend, &["inspect", planted]);
        assert!(stage.server.delete(&path).await);
        is_free(&stage, &locks).await;
    }
}

/// Who holds is not disturbed, who waits is told: nobody knows whether it is before them.
#[tokio::test]
async fn a_node_without_a_number_that_comes_later_does_not_end_what_is_held() {
    let (stage, locks) = start().await;
    let held = locks.mutex("planted").unwrap().lock().await.unwrap();
    let path = stage.at("planted/x");
    stage.server.create(&path, CANARY, ZkMode::Persistent).await;
    says(&fails("a lock", locks.mutex("planted").unwrap().lock()).await, Backend, &["planted/x"]);
    held.renew().await.unwrap();
    assert!(held.is_held());
    held.release().await.unwrap();
    assert_eq!(stage.records().await, std::slice::from_ref(&path));
    assert!(stage.server.delete(&path).await);
    is_free(&stage, &locks).await;
}

#[tokio::test]
async fn a_node_that_comes_later_has_no_effect_on_who_is_there() {
    let (stage, locks) = start().await;
    let held = locks.mutex("planted").unwrap().lock().await.unwrap();
    let queued = queue(&locks, "planted").await;
    let mode = ZkMode::PersistentSequential;
    let path = stage.server.create(&stage.at("planted/job-"), CANARY, mode).await;
    held.renew().await.unwrap();
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    next.renew().await.unwrap();
    next.release().await.unwrap();
    is_refused(&stage, &locks, &[&path[1..], "no session"]).await;
}

#[tokio::test]
async fn a_foreign_node_of_a_session_holds_the_lock_alone() {
    let (stage, locks) = start().await;
    for node in ["lock-", "x__lock__", "_c_00000000-0000-0000-0000-000000000000-__READ__"] {
        let mut other = Other::plant(&stage, node).await;
        let picture = locks.inspect("planted").await.unwrap();
        let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
        assert_eq!((holder.mode(), holder.owner()), (Mode::Exclusive, None));
        assert!(!format!("{picture:?}").contains(CANARY), "{picture:?}");
        let table = locks.rw_lock("planted").unwrap();
        assert!(locks.mutex("planted").unwrap().try_lock().await.unwrap().is_none());
        assert!(table.try_read().await.unwrap().is_none());
        let reader = tokio::spawn(async move { table.read().await });
        waiting(&locks, "planted", 1).await;
        let waiter = queue(&locks, "planted").await;
        other.leave().await;
        turn("the reader's turn", reader).await.release().await.unwrap();
        turn("the waiter's turn", waiter).await.release().await.unwrap();

        let other = Other::plant(&stage, node).await;
        let waiter = queue(&locks, "planted").await;
        assert!(stage.server.expire_session(other.client.session()).await);
        turn("after its session", waiter).await.release().await.unwrap();
        is_free(&stage, &locks).await;
    }
}

/// Readers and permits of ours do not get along with it either while it waits.
#[tokio::test]
async fn a_foreign_node_that_waits_has_its_place_in_the_queue() {
    let (stage, locks) = start().await;
    let table = locks.rw_lock("planted").unwrap();
    let first = table.read().await.unwrap();
    let mut other = Other::plant(&stage, "lock-").await;
    assert!(table.try_read().await.unwrap().is_none());
    let second = tokio::spawn(async move { table.read().await });
    waiting(&locks, "planted", 2).await;
    first.release().await.unwrap();
    let picture = locks.inspect("planted").await.unwrap();
    assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 1), "{picture:?}");
    assert!(!second.is_finished());
    other.leave().await;
    turn("the second's turn", second).await.release().await.unwrap();
}

/// As after a copy to another cluster, which has no sessions.
#[tokio::test]
async fn a_node_of_our_own_that_has_no_session_is_named_to_those_who_wait() {
    let (stage, locks) = start().await;
    stage.make("planted").await;
    let node = "_c_01234567-89ab-cdef-0123-456789abcdef-lock-0000000000";
    let path = stage.at(&format!("planted/{node}"));
    stage.server.create(&path, "lh1 x 1700000000000 a", ZkMode::Persistent).await;
    let words = [node, "no session", "remove it"];
    says(&fails("a lock", locks.mutex("planted").unwrap().lock()).await, Backend, &words);
    let table = locks.rw_lock("planted").unwrap();
    says(&fails("a reader", table.read()).await, Backend, &words);
    assert!(locks.mutex("planted").unwrap().try_lock().await.unwrap().is_none());
    eventually("nothing of ours stays", async || stage.records().await.len() == 1).await;
    assert!(stage.server.delete(&path).await);
    is_free(&stage, &locks).await;
}

#[tokio::test]
async fn garbage_in_our_own_layout_is_shown_as_somebody() {
    let (stage, locks) = start().await;
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    let long = "x".repeat(100_000);
    let values: [&[u8]; 8] = [
        b"",
        b"lh1",
        b"lh1 p0 1700000000000 a",
        b"lh1 x 99999999999999999999999 a",
        b"lh1 x 1 c4nary-7f31e9",
        b"lh2 x 1 a",
        b"\xff\xfe\0",
        long.as_bytes(),
    ];
    for mode in ["", "-s", "-p3", "-p0", "-p99999999999999999999", "-x", "-", "-~"] {
        for value in values {
            let mut other = Other::plant_with(&stage, &format!("_c_{id}{mode}-lock-"), value).await;
            let picture = soon("a look", locks.inspect("planted")).await.unwrap();
            assert_eq!(picture.holders().len(), 1, "{picture:?}");
            // Busy, or another kind of lock: in no case free, and nothing breaks.
            let tried = soon("a try", locks.mutex("planted").unwrap().try_lock()).await;
            assert!(!matches!(tried, Ok(Some(_))), "{mode} {value:?}: {tried:?}");
            other.leave().await;
        }
    }
    is_free(&stage, &locks).await;
}

/// Names of all that ZooKeeper takes, and values of all bytes.
#[tokio::test]
async fn random_garbage_of_a_session_is_never_taken_for_nobody() {
    let (stage, locks) = start().await;
    let mut dice = fuzz::dice();
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    for _ in 0..fuzz::cases(60, 2_000) {
        let parts = ["_c_", id, "-s", "-p3", "-lock-", "lock-", "", "-2147483648"];
        let mut node = String::new();
        for _ in 0..3 {
            node += parts[dice.usize(..parts.len())];
            let odd = fuzz::text(&mut dice, 0..=1);
            let taken = |c: &char| c.is_ascii_graphic() && *c != '/' || c.is_alphabetic();
            node.extend(odd.chars().filter(taken).filter(|c| *c < '\u{d7ff}'));
        }
        let heads = ["lh1 x 1700000000000 ", "lh1 p", "lh1 ", ""];
        let mut value = heads[dice.usize(..heads.len())].as_bytes().to_vec();
        value.extend(fuzz::bytes(&mut dice, 60));
        let mut other = Other::plant_with(&stage, &node, &value).await;
        // With more digits than a number has, it is nobody's.
        match soon("a look", locks.inspect("planted")).await {
            Ok(picture) => assert_eq!(picture.holders().len(), 1, "{node:?}: {picture:?}"),
            Err(error) => says(&error, Backend, &["no contender"]),
        }
        let tried = soon("a try", locks.mutex("planted").unwrap().try_lock()).await;
        assert!(!matches!(tried, Ok(Some(_))), "{node:?} {value:?}: {tried:?}");
        let _ = soon("a reader", locks.rw_lock("planted").unwrap().try_read()).await;
        other.leave().await;
    }
    is_free(&stage, &locks).await;
}

/// What administrators and other programs make of directories.
#[tokio::test]
async fn directories_that_are_there_already_are_as_good() {
    let (stage, locks) = start().await;
    stage.make("planted").await;
    stage.server.set_data(&stage.at("planted"), "theirs").await;
    is_free(&stage, &locks).await;
    assert_eq!(stage.server.data(&stage.at("planted")).await.unwrap(), b"theirs");
    // One that goes while nobody uses it.
    assert!(stage.server.delete(&stage.at("planted")).await);
    is_free(&stage, &locks).await;
}

#[tokio::test]
async fn a_directory_that_is_ephemeral_is_named() {
    let (stage, locks) = start().await;
    let mut other = stage.server.client().await.unwrap();
    let anyone = [ZkAcl::anyone(ZkAcl::ALL)];
    let path = stage.at("planted");
    other.create(&path, b"", ZkMode::Ephemeral, &anyone).await.unwrap();
    let mutex = locks.mutex("planted").unwrap();
    says(
        &fails("a lock", mutex.lock()).await,
        Backend,
        &["another program", "ephemeral", "prefix"],
    );
    says(&fails("a try", mutex.try_lock()).await, Backend, &["another program", "ephemeral"]);
    assert!(locks.inspect("planted").await.unwrap().is_free());
    other.close().await.unwrap();
    is_free(&stage, &locks).await;

    let below = stage.config().prefix(format!("{}/planted/below", stage.prefix)).unwrap();
    let mut other = stage.server.client().await.unwrap();
    assert!(stage.server.delete(&path).await);
    other.create(&path, b"", ZkMode::Ephemeral, &anyone).await.unwrap();
    says(&fails("connecting", below.connect()).await, Backend, &["connect", "ephemeral", "prefix"]);
    other.close().await.unwrap();
}

/// Every mode is refused because of what is there, and leaves nothing.
async fn is_refused(stage: &Stage, locks: &Locks, words: &[&str]) {
    let before = stage.records().await;
    let mutex = locks.mutex("planted").unwrap();
    says(&fails("a lock", mutex.lock()).await, Backend, words);
    says(&fails("a try", mutex.try_lock()).await, Backend, words);
    let table = locks.rw_lock("planted").unwrap();
    says(&fails("a reader", table.read()).await, Backend, words);
    says(&fails("a reader", table.try_read()).await, Backend, words);
    says(&fails("a writer", table.write()).await, Backend, words);
    assert_eq!(stage.records().await, before, "nothing of ours stays");
}

/// All modes are granted at once.
async fn is_free(stage: &Stage, locks: &Locks) {
    assert!(locks.inspect("planted").await.unwrap().is_free());
    let held = locks.mutex("planted").unwrap().try_lock().await.unwrap().unwrap();
    let queued = queue(locks, "planted").await;
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
    let held = locks.rw_lock("planted").unwrap().try_read().await.unwrap().unwrap();
    held.release().await.unwrap();
    let held = locks.semaphore("planted", 3).unwrap().try_acquire().await.unwrap().unwrap();
    held.release().await.unwrap();
    assert!(stage.records().await.is_empty());
}

async fn start() -> (Stage, Locks) {
    let stage = Stage::new().await;
    let locks = stage.connect().await;
    (stage, locks)
}

/// Another program, which has a node in the queue.
struct Other {
    client: ZkClient,
    path: String,
}

impl Other {
    async fn plant(stage: &Stage, node: &str) -> Self {
        Self::plant_with(stage, node, CANARY.as_bytes()).await
    }

    async fn plant_with(stage: &Stage, node: &str, data: &[u8]) -> Self {
        stage.make("planted").await;
        let timeout = Duration::from_secs(20);
        let mut client = ZkClient::connect(stage.server.addr(), timeout).await.unwrap();
        let (path, anyone) = (stage.at(&format!("planted/{node}")), [ZkAcl::anyone(ZkAcl::ALL)]);
        let mode = ZkMode::EphemeralSequential;
        let (path, _) = client.create(&path, data, mode, &anyone).await.unwrap();
        Self { client, path }
    }

    async fn leave(&mut self) {
        self.client.delete(&self.path, -1).await.unwrap();
    }
}
