//! Options that make no sense, chroots, and times that the server does not give.

use std::time::Duration;

use lock_testkit::{Zk, ZkMode};
use lock_zk::{ZkConfig, ZkTls};
use lockcore::ErrorKind::InvalidConfig;
use lockcore::Ttl;

use super::{CANARY, Stage, connect, fails, queue, records, says, turn};

#[test]
fn options_out_of_range_are_refused_by_name() {
    let config = || ZkConfig::new([("127.0.0.1", 1)]).login("worker", CANARY);
    for prefix in [
        "a b",
        "{a}",
        "a*",
        "a\n",
        "a\0",
        "ä",
        "a%20",
        "a/",
        "/",
        "/a",
        "a//b",
        "~",
        ".",
        "..",
        "a/..",
        "./a",
        "zookeeper",
        "zookeeper/a",
        &"x".repeat(129),
    ] {
        let words = ["`prefix`", "128", "slash", "zookeeper"];
        says(&config().prefix(prefix).unwrap_err(), InvalidConfig, &words);
    }
    for prefix in ["", "a", "a:b/c._-", "a/zookeeper", "zookeepers", "...", &"x".repeat(128)] {
        let _: ZkConfig = config().prefix(prefix).unwrap();
    }
    for chroot in
        ["a", "/a/", "//", "/a//b", "/.", "/..", "/a/../b", "/a\0", "/a\n", "/a,b", "/\u{e000}"]
    {
        says(&config().chroot(chroot).unwrap_err(), InvalidConfig, &["`chroot`", "slash"]);
    }
    for chroot in ["", "/", "/a", "/a/b c", "/ä", "/..."] {
        let _: ZkConfig = config().chroot(chroot).unwrap();
    }
    says(&config().max_waiters(0).unwrap_err(), InvalidConfig, &["`max_waiters`", "at least 1"]);
    for time in [Duration::ZERO, Duration::from_millis(9), Duration::MAX] {
        let error = config().request_timeout(time).unwrap_err();
        says(&error, InvalidConfig, &["`request_timeout`", "10 ms"]);
        says(&config().recheck(time).unwrap_err(), InvalidConfig, &["`recheck`", "10 ms"]);
    }
}

#[test]
fn a_configuration_does_not_print_its_secrets() {
    let tls = ZkTls::new().client(CANARY, CANARY);
    let config = ZkConfig::new([("store.test", 2181)]).login("worker", CANARY).tls(tls.clone());
    let text = format!("{config:?} {config:#?} {tls:?} {tls:#?}");
    assert!(text.contains("store.test") && !text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn a_chroot_that_is_not_there_is_named() {
    let stage = Stage::new().await;
    let chroot = stage.at("no/such");
    let config = || stage.config().chroot(chroot.as_str()).unwrap();
    for config in [config(), config().login("worker", CANARY), config().prefix("").unwrap()] {
        let error = fails("no chroot", config.connect()).await;
        says(&error, InvalidConfig, &["connect", "chroot", "create"]);
    }
    assert!(stage.server.stat(&stage.at("no")).await.is_none(), "nothing was made");
}

#[tokio::test]
async fn all_stays_below_a_chroot() {
    let stage = Stage::new().await;
    stage.make("apps/shop x").await;
    let before = stage.server.tree("/").await;
    let below = stage.at("apps/shop x");
    for prefix in ["", "a", "a/b"] {
        let config = stage.config().chroot(below.as_str()).unwrap().prefix(prefix).unwrap();
        let locks = connect(config).await;
        let held = locks.mutex("n/1").unwrap().lock().await.unwrap();
        let directory = match prefix {
            "" => format!("{below}/n%2F1"),
            prefix => format!("{below}/{prefix}/n%2F1"),
        };
        assert_eq!(stage.server.children(&directory).await.len(), 1);
        let queued = queue(&locks, "n/1").await;
        held.release().await.unwrap();
        turn("the waiter's turn", queued).await.release().await.unwrap();
        locks.shutdown().await.unwrap();
        stage.server.delete_tree(&below).await;
        stage.make("apps/shop x").await;
    }
    let own = |path: &String| path.starts_with(&format!("/{}", stage.prefix));
    let after = stage.server.tree("/").await;
    assert_eq!(
        after.iter().filter(|path| own(path)).count(),
        before.iter().filter(|path| own(path)).count()
    );
}

#[tokio::test]
async fn locks_may_stand_at_the_root() {
    let server = Zk::start().await;
    let locks = connect(super::at(&server).prefix("").unwrap()).await;
    for name in ["zookeeper", "n", ".", "..", "/"] {
        let held = locks.mutex(name).unwrap().lock().await.unwrap();
        assert_eq!(records(&server, "").await.len(), 1, "{name}");
        held.release().await.unwrap();
    }
    server.create("/plain", "", ZkMode::Persistent).await;
    locks.mutex("plain").unwrap().lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_ttl_that_the_server_does_not_give_is_refused_with_what_it_does() {
    let (least, most) = (Duration::from_millis(1_500), Duration::from_millis(7_200));
    let options = Zk::options().min_session_timeout(least).max_session_timeout(most);
    let server = options.start().await;
    let locks = connect(super::at(&server)).await;
    let ttls = Ttl::new(least).unwrap()..=Ttl::new(most).unwrap();
    assert_eq!(*locks.guarantees().ttl(), ttls);
    let millis = Duration::from_millis(1);
    for (ttl, words) in [
        (least - millis, ["from", "1.5s"]),
        (Duration::from_secs(1), ["from", "1.5s"]),
        (most + millis, ["to", "7.2s"]),
        (Duration::from_secs(3_600), ["to", "7.2s"]),
    ] {
        let mutex = locks.mutex("short").unwrap().ttl(ttl);
        says(&fails("a mutex", mutex.lock()).await, InvalidConfig, &words);
        let table = locks.rw_lock("short").unwrap().ttl(ttl);
        says(&fails("a reader", table.try_read()).await, InvalidConfig, &words);
    }
    assert!(server.sessions().await.is_empty() && records(&server, "leasehold").await.is_empty());
    for ttl in [least, most, Duration::from_millis(2_345)] {
        let mutex = locks.mutex("whole").unwrap().ttl(ttl);
        let guard = mutex.lock().await.unwrap();
        let sessions = server.sessions().await;
        let own = sessions.iter().find(|session| !session.ephemerals.is_empty()).unwrap();
        assert_eq!(own.timeout, Some(ttl));
        guard.release().await.unwrap();
    }
}
