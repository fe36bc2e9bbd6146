//! Options that make no sense, and times that the server does not take.

use std::time::Duration;

use lock_etcd::{EtcdConfig, EtcdTls};
use lock_testkit::{Etcd, EtcdVersion};
use lockcore::ErrorKind::InvalidConfig;
use lockcore::Ttl;

use super::{CANARY, at, connect, fails, says};

#[test]
fn options_out_of_range_are_refused_by_name() {
    let config = || EtcdConfig::new([("127.0.0.1", 1)]).login("worker", CANARY);
    for prefix in ["a b", "{a}", "a*", "a\n", "a\0", "ä", "a%20", "a/", "/", "~", &"x".repeat(129)]
    {
        says(&config().prefix(prefix).unwrap_err(), InvalidConfig, &["`prefix`", "128", "slash"]);
    }
    for prefix in ["", "a", "/a", "a:b/c._-", &"x".repeat(128)] {
        let _: EtcdConfig = config().prefix(prefix).unwrap();
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
    let tls = EtcdTls::new().client(CANARY, CANARY);
    let config = EtcdConfig::new([("store.test", 2379)]).login("worker", CANARY).tls(tls.clone());
    let text = format!("{config:?} {config:#?} {tls:?} {tls:#?}");
    assert!(text.contains("store.test") && !text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn a_ttl_that_the_server_does_not_take_is_refused_with_the_nearest() {
    let options = |election| {
        let heartbeat = Duration::from_millis(100);
        Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync().election(heartbeat, election)
    };
    let (usual, slow) = tokio::join!(
        Etcd::options(EtcdVersion::V3_4).start(),
        options(Duration::from_millis(2_000)).start()
    );
    for (server, least) in [(usual, 2), (slow, 3)] {
        let locks = connect(at(&server)).await;
        let whole = |seconds| Ttl::new(Duration::from_secs(seconds)).unwrap();
        assert_eq!(*locks.guarantees().ttl(), whole(least)..=Ttl::MAX);
        assert_eq!(locks.guarantees().ttl_step(), Duration::from_secs(1));
        let millis = Duration::from_millis;
        let (least_words, step_words) =
            (format!("{least}s"), format!("{least}s or {}s", least + 1));
        let cases = [
            (millis(100), vec!["from", &*least_words]),
            (millis(least * 1_000 - 1), vec!["from", &*least_words]),
            (millis(least * 1_000 + 1), vec![&*step_words]),
            (millis(least * 1_000 + 500), vec![&*step_words]),
            (millis(1), vec!["24 hours"]),
            (Duration::from_secs(24 * 60 * 60 + 1), vec!["24 hours"]),
        ];
        for (ttl, words) in cases {
            let error = match locks.mutex("short") {
                Ok(mutex) => fails("a mutex", mutex.ttl(ttl).lock()).await,
                Err(error) => error,
            };
            says(&error, InvalidConfig, &words);
            let error =
                fails("a reader", locks.rw_lock("short").unwrap().ttl(ttl).try_read()).await;
            says(&error, InvalidConfig, &words);
        }
        assert!(server.keys("").await.is_empty() && server.leases().await.is_empty());
        for seconds in [least, least + 1, 24 * 60 * 60] {
            let mutex = locks.mutex("whole").unwrap().ttl(Duration::from_secs(seconds));
            let guard = mutex.lock().await.unwrap();
            let lease = server.keys("leasehold/whole/").await[0].lease;
            let left = server.lease_ttl(lease).await.unwrap();
            assert!((seconds as i64 - 1..=seconds as i64).contains(&left), "{left} of {seconds}");
            guard.release().await.unwrap();
        }
    }
}
