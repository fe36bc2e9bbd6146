//! Users and their tokens.

use std::time::Duration;

use lock_testkit::{Etcd, EtcdError, EtcdVersion, Permission, eventually};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::http::post;
use crate::{SOON, VERSIONS};

#[tokio::test]
async fn users_may_do_what_their_rights_say() {
    for version in VERSIONS {
        let server = start(version).await;
        let mut stranger = TcpStream::connect(server.addr()).await.unwrap();
        let body = r#"{"key":"bG9jay9h"}"#;
        let refusal = post(&mut stranger, "/v3/kv/range", body, "}").await.unwrap();
        assert!(refusal.contains("user name is empty"), "{refusal}");

        let joe = server.authenticate("joe", "pw").await.unwrap();
        put(&server, &joe, "lock/a").await.unwrap();
        assert_eq!(put(&server, &joe, "other").await.unwrap_err().code(), Some(DENIED));
        assert_eq!(put(&server, &joe, "look/a").await.unwrap_err().code(), Some(DENIED));
        range(&server, &joe, "look/a").await.unwrap();
        assert_eq!(server.keys("").await.len(), 1);
        assert!(server.authenticate("joe", "no").await.is_err());
    }
}

#[tokio::test]
async fn rights_are_given_and_taken() {
    for version in VERSIONS {
        let server = start(version).await;
        let as_joe = async |key: &str| {
            let joe = server.authenticate("joe", "pw").await.unwrap();
            put(&server, &joe, key).await
        };
        server.grant_permission("joe", "more/", Permission::Write).await;
        as_joe("more/a").await.unwrap();
        server.revoke_permission("joe", "more/").await;
        assert_eq!(as_joe("more/a").await.unwrap_err().code(), Some(DENIED));
        as_joe("lock/a").await.unwrap();
        server.revoke_role("joe").await;
        assert_eq!(as_joe("lock/a").await.unwrap_err().code(), Some(DENIED));
        server.grant_role("joe").await;
        as_joe("lock/a").await.unwrap();
        server.add_user("ann", "pw").await;
        let ann = server.authenticate("ann", "pw").await.unwrap();
        assert_eq!(put(&server, &ann, "lock/a").await.unwrap_err().code(), Some(DENIED));
    }
}

#[tokio::test]
async fn tokens_become_void() {
    for version in VERSIONS {
        let server = start(version).await;
        let joe = server.authenticate("joe", "pw").await.unwrap();
        put(&server, &joe, "lock/a").await.unwrap();
        server.change_password("joe", "pw").await;
        let error = put(&server, &joe, "lock/a").await.unwrap_err();
        assert_eq!(error.code(), Some(UNKNOWN_TOKEN), "{error}");
        let joe = server.authenticate("joe", "pw").await.unwrap();
        server.change_password("joe", "new").await;
        assert!(put(&server, &joe, "lock/a").await.is_err());
        assert!(server.authenticate("joe", "pw").await.is_err());

        server.restart().await;
        assert_eq!(server.keys("lock/").await.len(), 1);

        let joe = server.authenticate("joe", "new").await.unwrap();
        server.remove_user("joe").await;
        assert!(put(&server, &joe, "lock/a").await.is_err());
        assert!(server.authenticate("joe", "new").await.is_err());

        server.restart_empty().await;
        server.authenticate("joe", "pw").await.unwrap();
        assert!(server.keys("").await.is_empty());
    }
}

#[tokio::test]
async fn idle_tokens_run_out() {
    for version in VERSIONS {
        let options = Etcd::options(version).user("joe", "pw", &[("lock/", Permission::ReadWrite)]);
        let server = options.simple_token_ttl(Duration::from_secs(1)).start().await;
        // To look at one is to use it.
        let mut tokens = Vec::new();
        for _ in 0..TOKENS {
            tokens.push(server.authenticate("joe", "pw").await.unwrap());
        }
        let error = eventually("a token runs out", SOON, || {
            let token = tokens.pop().unwrap();
            let server = &server;
            async move { put(server, &token, "lock/a").await.err() }
        })
        .await;
        assert_eq!(error.code(), Some(UNKNOWN_TOKEN), "{error}");
        // The kit's own ran out too, and it does not mind.
        assert!(server.keys("other").await.is_empty());
    }
}

async fn start(version: EtcdVersion) -> Etcd {
    let rights = [("lock/", Permission::ReadWrite), ("look/", Permission::Read)];
    Etcd::options(version).user("joe", "pw", &rights).start().await
}

async fn put(server: &Etcd, token: &str, key: &str) -> Result<Value, EtcdError> {
    server.call_with(token, "/v3/kv/put", json!({"key": base64(key), "value": ""})).await
}

async fn range(server: &Etcd, token: &str, key: &str) -> Result<Value, EtcdError> {
    server.call_with(token, "/v3/kv/range", json!({"key": base64(key)})).await
}

/// Of the few names that the tests use.
fn base64(key: &str) -> &'static str {
    match key {
        "lock/a" => "bG9jay9h",
        "look/a" => "bG9vay9h",
        "more/a" => "bW9yZS9h",
        "other" => "b3RoZXI=",
        _ => panic!("{key} has not been encoded"),
    }
}

const TOKENS: usize = 500;
const DENIED: i64 = 7;
const UNKNOWN_TOKEN: i64 = 16;
