//! Curator's `InterProcessMutex` and kazoo's `Lock`, which are the same lock as ours.

use std::path::Path;
use std::time::{Duration, Instant};

use lock_conformance::time::{eventually, pause, scaled, soon};
use lock_testkit::child::Child;
use lockcore::{Guard, Locks};

use super::{Stage, queue, turn, waiting};

#[tokio::test]
async fn curator_and_we_exclude_each_other() {
    let stage = Stage::new().await;
    exclude_each_other(&stage, Neighbours::curator(&stage, TIMEOUT).await).await;
}

#[tokio::test]
async fn kazoo_and_we_exclude_each_other() {
    let stage = Stage::new().await;
    exclude_each_other(&stage, Neighbours::kazoo(&stage, TIMEOUT).await).await;
}

async fn exclude_each_other(stage: &Stage, mut theirs: Neighbours) {
    let locks = stage.connect().await;
    // They make the directory, then we do.
    theirs.holds("one").await;
    is_foreign(&locks).await;
    let waiter = queue(&locks, NAME).await;
    assert_eq!(theirs.ask("two try").await, "two busy");
    assert!(!waiter.is_finished());
    theirs.releases("one").await;
    let held = turn("after their release", waiter).await;
    assert_eq!(theirs.ask("two try").await, "two busy");
    held.release().await.unwrap();
    // A reader of ours waits for it too.
    theirs.holds("one").await;
    let table = locks.rw_lock(NAME).unwrap();
    let reader = tokio::spawn(async move { table.read().await });
    waiting(&locks, NAME, 1).await;
    theirs.releases("one").await;
    turn("after their release", reader).await.release().await.unwrap();
    // And they wait for all of ours.
    let held = soon("a lock", locks.mutex(NAME).unwrap().lock()).await.unwrap();
    are_shut_out(stage, &mut theirs, held).await;
    let held = soon("a reader", locks.rw_lock(NAME).unwrap().read()).await.unwrap();
    are_shut_out(stage, &mut theirs, held).await;
    // One permit is left, which is not for clients that know no permits.
    let held = soon("a permit", locks.semaphore(NAME, 2).unwrap().acquire()).await.unwrap();
    are_shut_out(stage, &mut theirs, held).await;
    assert!(stage.records().await.is_empty());
}

#[tokio::test]
async fn we_and_they_are_served_in_one_order() {
    let stage = Stage::new().await;
    let locks = stage.connect().await;
    let mut curator = Neighbours::curator(&stage, TIMEOUT).await;
    let mut kazoo = Neighbours::kazoo(&stage, TIMEOUT).await;
    let held = locks.mutex(NAME).unwrap().lock().await.unwrap();
    curator.queues(&stage, "one").await;
    let second = queue(&locks, NAME).await;
    kazoo.queues(&stage, "three").await;
    curator.queues(&stage, "four").await;
    let fifth = queue(&locks, NAME).await;
    kazoo.queues(&stage, "six").await;
    let seventh = queue(&locks, NAME).await;
    let picture = locks.inspect(NAME).await.unwrap();
    assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 7));

    held.release().await.unwrap();
    curator.says("one holds").await;
    is_next(&stage, 7).await;
    assert!(!second.is_finished());
    curator.releases("one").await;
    let second = turn("the second", second).await;
    is_next(&stage, 6).await;
    second.release().await.unwrap();
    kazoo.says("three holds").await;
    is_next(&stage, 5).await;
    kazoo.releases("three").await;
    curator.says("four holds").await;
    is_next(&stage, 4).await;
    assert!(!fifth.is_finished());
    curator.releases("four").await;
    let fifth = turn("the fifth", fifth).await;
    is_next(&stage, 3).await;
    fifth.release().await.unwrap();
    kazoo.says("six holds").await;
    assert!(!seventh.is_finished());
    kazoo.releases("six").await;
    turn("the seventh", seventh).await.release().await.unwrap();
    // Nobody has said anything that was not asked for.
    assert_eq!((curator.child.try_next_report(), kazoo.child.try_next_report()), (None, None));
    assert!(stage.records().await.is_empty());
}

#[tokio::test]
async fn what_one_of_them_held_comes_to_us_when_it_is_killed() {
    let stage = Stage::new().await;
    let locks = stage.connect().await;
    let timeout = scaled(Duration::from_secs(2));
    for mut theirs in
        [Neighbours::curator(&stage, timeout).await, Neighbours::kazoo(&stage, timeout).await]
    {
        theirs.holds("one").await;
        theirs.queues(&stage, "two").await;
        let waiter = queue(&locks, NAME).await;
        theirs.child.kill();
        let killed = Instant::now();
        let guard = soon("after its session", waiter).await.unwrap().unwrap();
        let took = killed.elapsed();
        // It was heard of a third of its timeout ago at the most.
        assert!(took > timeout / 2, "before the end of its session: {took:?}");
        assert!(took < timeout + scaled(Duration::from_secs(1)), "only after {took:?}");
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn one_of_them_that_gives_up_between_us_delays_nobody() {
    let stage = Stage::new().await;
    let locks = stage.connect().await;
    let held = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut kazoo = Neighbours::kazoo(&stage, TIMEOUT).await;
    kazoo.queues(&stage, "one").await;
    let last = queue(&locks, NAME).await;
    let sessions = stage.server.sessions().await;
    let theirs = sessions.iter().find(|session| {
        session
            .ephemerals
            .iter()
            .any(|path| path.starts_with(&stage.at("")) && !path.contains("_c_"))
    });
    assert!(stage.server.expire_session(theirs.unwrap().id).await);
    waiting(&locks, NAME, 1).await;
    assert!(!last.is_finished(), "who is before it still holds");
    held.release().await.unwrap();
    turn("the last", last).await.release().await.unwrap();
}

/// They do not get what we hold, and do when we give it back.
async fn are_shut_out(stage: &Stage, theirs: &mut Neighbours, held: Guard) {
    theirs.queues(stage, "one").await;
    held.renew().await.unwrap();
    // It would have come by now.
    pause(scaled(Duration::from_millis(100))).await;
    assert_eq!(theirs.child.try_next_report(), None, "{held:?}");
    held.release().await.unwrap();
    theirs.says("one holds").await;
    theirs.releases("one").await;
}

/// Who holds is not followed by anybody yet, of so many who are there.
async fn is_next(stage: &Stage, count: usize) {
    // The others would have come by now.
    pause(scaled(Duration::from_millis(50))).await;
    assert_eq!(stage.records().await.len(), count);
}

/// Somebody holds the lock of whom no more is known.
async fn is_foreign(locks: &Locks) {
    let picture = locks.inspect(NAME).await.unwrap();
    let [holder] = picture.holders() else { panic!("one holds it: {picture:?}") };
    assert_eq!((holder.owner(), holder.place()), (None, None));
    assert!(locks.mutex(NAME).unwrap().try_lock().await.unwrap().is_none());
    assert!(locks.rw_lock(NAME).unwrap().try_read().await.unwrap().is_none());
}

/// A process of theirs, with several contenders of the same name.
struct Neighbours {
    child: Child,
    path: String,
}

impl Neighbours {
    async fn curator(stage: &Stage, timeout: Duration) -> Self {
        Self::new(stage, timeout, |words| Child::curator(&source("Neighbour.java"), words)).await
    }

    async fn kazoo(stage: &Stage, timeout: Duration) -> Self {
        Self::new(stage, timeout, |words| Child::kazoo(&source("neighbour.py"), words)).await
    }

    async fn new(stage: &Stage, timeout: Duration, start: impl Fn(&[&str]) -> Child) -> Self {
        let millis = timeout.as_millis().to_string();
        let mut child = start(&[&stage.server.connect_string(), &millis]);
        assert_eq!(child.next_report(START).await, "ready");
        Self { child, path: stage.at(NAME) }
    }

    async fn ask(&mut self, request: &str) -> String {
        self.child.send(&format!("{request} {}", self.path));
        self.child.next_report(PATIENCE).await
    }

    /// What it was asked for before is done, and soon.
    async fn says(&mut self, report: &str) {
        let start = Instant::now();
        assert_eq!(self.child.next_report(PATIENCE).await, report);
        let took = start.elapsed();
        assert!(took < scaled(Duration::from_secs(1)), "{report}: only after {took:?}");
    }

    async fn holds(&mut self, who: &str) {
        assert_eq!(self.ask(&format!("{who} lock")).await, format!("{who} holds"));
    }

    async fn releases(&mut self, who: &str) {
        assert_eq!(self.ask(&format!("{who} unlock")).await, format!("{who} released"));
    }

    /// Stands in the queue behind all others.
    async fn queues(&mut self, stage: &Stage, who: &str) {
        let before = stage.records().await.len();
        self.child.send(&format!("{who} lock {}", self.path));
        eventually("it has queued", async || stage.records().await.len() > before).await;
    }
}

fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/input").join(name)
}

const NAME: &str = "jobs-1.nightly_x";
const TIMEOUT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(10);
/// A Java that compiles first, on two busy cores.
const START: Duration = Duration::from_secs(30);
