//! Options that make no sense.

use std::time::Duration;

use lock_redis::RedisConfig;
use lockcore::ErrorKind::InvalidConfig;

use super::{CANARY, says};

#[test]
fn options_out_of_range_are_refused_by_name() {
    let config = || RedisConfig::single("127.0.0.1", 1).login(Some("worker"), CANARY);
    for prefix in ["a b", "{a}", "a*", "a\n", "ä", "a%20", &"x".repeat(129)] {
        says(&config().prefix(prefix).unwrap_err(), InvalidConfig, &["`prefix`", "128"]);
    }
    for prefix in ["", "a", "a:b/c._-", &"x".repeat(128)] {
        let _: RedisConfig = config().prefix(prefix).unwrap();
    }
    says(&config().max_waiters(0).unwrap_err(), InvalidConfig, &["`max_waiters`", "at least 1"]);
    for time in [Duration::ZERO, Duration::from_millis(9), Duration::MAX] {
        let error = config().request_timeout(time).unwrap_err();
        says(&error, InvalidConfig, &["`request_timeout`", "10 ms"]);
        says(&config().recheck(time).unwrap_err(), InvalidConfig, &["`recheck`", "10 ms"]);
    }
    let cluster = RedisConfig::cluster([("127.0.0.1", 1)]);
    says(&cluster.database(1).unwrap_err(), InvalidConfig, &["cluster", "database 0"]);
}

#[tokio::test]
async fn no_server_at_all_is_refused() {
    let nobody = || std::iter::empty::<(&str, u16)>();
    let error = RedisConfig::cluster(nobody()).connect().await.unwrap_err();
    says(&error, InvalidConfig, &["connect", "address"]);
    let error = RedisConfig::sentinel(nobody(), "mymaster").connect().await.unwrap_err();
    says(&error, InvalidConfig, &["connect", "address"]);
}

#[test]
fn a_configuration_does_not_print_its_password() {
    let config = RedisConfig::sentinel([("127.0.0.1", 1)], "mymaster")
        .login(Some("worker"), CANARY)
        .sentinel_login(None, CANARY)
        .tls(lock_redis::RedisTls::new().client(CANARY, CANARY));
    let text = format!("{config:?} {config:#?}");
    assert!(text.contains("mymaster") && !text.contains(CANARY), "{text}");
}
