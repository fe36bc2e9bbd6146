//! Users that are refused, or lack a permission.

use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Redis, RedisOptions};
use lockcore::ErrorKind::{InvalidConfig, Unauthorized};

use super::{CANARY, at, fails, says, server};

#[tokio::test]
async fn a_wrong_password_is_refused_at_connect() {
    let server = RedisOptions::new(Flavour::Redis).password("right").start().await;
    let error = fails("a wrong password", at(&server).login(None, CANARY).connect()).await;
    says(&error, Unauthorized, &["connect", "password"]);
    let named = at(&server).login(Some("default"), CANARY);
    says(&fails("with a name", named.connect()).await, Unauthorized, &["connect", "password"]);
}

#[tokio::test]
async fn an_unknown_user_is_refused_at_connect() {
    let server = server().await;
    let error = fails("an unknown user", at(&server).login(Some("nobody"), CANARY).connect()).await;
    says(&error, Unauthorized, &["connect", "user"]);
}

#[tokio::test]
async fn a_missing_password_is_told_from_a_wrong_one() {
    let server = RedisOptions::new(Flavour::Redis).password(CANARY).start().await;
    let error = fails("no password", at(&server).connect()).await;
    says(&error, Unauthorized, &["connect", "wants a password", "login"]);
}

#[tokio::test]
async fn a_password_that_nobody_asked_for_is_refused_by_name() {
    let server = server().await;
    // A default user without a password takes every one.
    at(&server).login(Some("default"), CANARY).connect().await.unwrap();
    let error = fails("a user who is off", {
        super::run(&server, &["ACL", "SETUSER", "off", "off", &format!(">{CANARY}")]).await;
        at(&server).login(Some("off"), CANARY).connect()
    });
    says(&error.await, Unauthorized, &["connect", "user"]);
}

#[tokio::test]
async fn a_user_without_the_keys_hears_it_at_connect() {
    let server = server().await;
    let config = user(&server, "~other:* ~{other:* &* +@all").await;
    says(&fails("no keys", config.connect()).await, Unauthorized, &["connect", "~PREFIX:*"]);

    let config = user(&server, "~leasehold:* &* +@all").await;
    says(&fails("no queue", config.connect()).await, Unauthorized, &["connect", "~{PREFIX:*"]);
}

#[tokio::test]
async fn a_user_without_the_channel_hears_it_at_connect() {
    let server = server().await;
    let config = user(&server, "~* resetchannels &other:* +@all").await;
    let error = fails("no channel", config.connect()).await;
    says(&error, Unauthorized, &["connect", "&PREFIX:wake:*"]);
}

#[tokio::test]
async fn a_user_without_a_command_hears_its_name_at_connect() {
    let server = server().await;
    for command in ["evalsha", "subscribe", "publish", "zadd", "set", "pexpireat"] {
        let config = user(&server, &format!("~* &* +@all -{command}")).await;
        let error = fails(command, config.connect()).await;
        says(&error, Unauthorized, &["connect", "lacks a permission"]);
        assert!(error.message().to_lowercase().contains(command), "no `{command}` in {error}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named_at_connect() {
    let server = server().await;
    let error = fails("database 99", at(&server).database(99).unwrap().connect()).await;
    says(&error, InvalidConfig, &["connect", "database"]);
    // Nobody may choose one.
    let config = user(&server, "~* &* +@all -select").await.database(1).unwrap();
    says(&fails("no SELECT", config.connect()).await, Unauthorized, &["connect", "select"]);
}

/// Gives a user these permissions and no other.
async fn user(server: &Redis, rules: &str) -> RedisConfig {
    let password = format!(">{CANARY}");
    let mut command = vec!["ACL", "SETUSER", "worker", "reset", "on", &password];
    command.extend(rules.split(' '));
    super::run(server, &command).await;
    at(server).login(Some("worker"), CANARY)
}
