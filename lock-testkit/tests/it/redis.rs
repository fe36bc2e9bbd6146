//! One server.

use std::time::Duration;

use lock_testkit::{Flavour, Proxy, Redis, RedisOptions, Resp, Value};
use tokio::time::timeout;

#[tokio::test]
async fn each_flavour_answers() {
    for (flavour, name) in [(Flavour::Redis, "redis"), (Flavour::Valkey, "valkey")] {
        let server = Redis::options(flavour).start().await;
        assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
        let proxy = Proxy::start(server.addr()).await;
        assert_eq!(server.url_via(&proxy), format!("redis://{}", proxy.addr()));
        let hello = Resp::connect(server.addr()).await.command(&["HELLO", "3"]).await;
        assert!(matches!(hello, Value::Map(_)), "{hello:?}");
        let mut resp = server.resp().await;
        let info = resp.command(&["INFO", "server"]).await;
        let is_valkey = info.as_str().unwrap().contains("valkey_version");
        assert_eq!(is_valkey, name == "valkey");
        assert!(server.logs().contains("eady to accept connections"));
    }
}

#[tokio::test]
async fn append_only_data_survives_kill_and_restart() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = Redis::options(flavour).append_only().start().await;
        set(&server, "key", "kept").await;
        let (pid, addr) = (server.pid(), server.addr());
        server.kill();
        assert!(!server.is_running() && Resp::try_connect(addr).await.is_err());
        server.restart().await;
        assert_ne!(server.pid(), pid);
        assert_eq!(server.addr(), addr);
        assert_eq!(get(&server, "key").await.as_str(), Some("kept"));

        server.restart_empty().await;
        assert_eq!(server.addr(), addr);
        assert!(get(&server, "key").await.is_null());
    }
}

#[tokio::test]
async fn other_data_does_not_survive_a_restart() {
    let server = Redis::options(Flavour::Redis).start().await;
    set(&server, "key", "lost").await;
    server.restart().await;
    assert!(get(&server, "key").await.is_null());
}

#[tokio::test]
async fn a_paused_server_is_silent_and_forgets_nothing() {
    let server = Redis::options(Flavour::Redis).start().await;
    let mut resp = server.resp().await;
    server.pause();
    resp.send(&["SET", "key", "late"]).await.unwrap();
    assert!(timeout(Duration::from_millis(200), resp.read()).await.is_err());
    server.resume();
    assert_eq!(resp.read().await.unwrap().as_str(), Some("OK"));
    assert_eq!(get(&server, "key").await.as_str(), Some("late"));
}

#[tokio::test]
async fn a_password_is_asked() {
    let server = Redis::options(Flavour::Redis).password("secret").start().await;
    assert_eq!(server.url(), format!("redis://:secret@127.0.0.1:{}", server.port()));
    let mut stranger = Resp::connect(server.addr()).await;
    let refusal = stranger.command(&["GET", "key"]).await;
    assert!(refusal.as_error().unwrap().starts_with("NOAUTH"));
    assert_eq!(stranger.command(&["AUTH", "secret"]).await.as_str(), Some("OK"));
    assert!(get(&server, "key").await.is_null());
    server.restart().await;
}

#[tokio::test]
async fn users_may_do_what_their_rules_say() {
    let options = RedisOptions::new(Flavour::Redis)
        .user("default off")
        .user("joe on >pw ~lock:* resetchannels &lock:* +get +set");
    let server = options.start().await;
    assert_eq!(server.url_as("joe", "pw"), format!("redis://joe:pw@127.0.0.1:{}", server.port()));
    let mut joe = Resp::connect(server.addr()).await;
    assert!(joe.command(&["PING"]).await.as_error().is_some());
    assert_eq!(joe.command(&["AUTH", "joe", "pw"]).await.as_str(), Some("OK"));
    assert_eq!(joe.command(&["SET", "lock:a", "1"]).await.as_str(), Some("OK"));
    for foul in [&["SET", "other", "1"][..], &["DEL", "lock:a"], &["SUBSCRIBE", "x"]] {
        let refusal = joe.command(foul).await;
        assert!(refusal.as_error().is_some_and(|e| e.starts_with("NOPERM")), "{refusal:?}");
    }
    assert_eq!(get(&server, "lock:a").await.as_str(), Some("1"));
}

#[tokio::test]
async fn memory_is_limited() {
    let server = RedisOptions::new(Flavour::Redis).max_memory("1kb").start().await;
    let refusal = server.resp().await.command(&["SET", "key", "value"]).await;
    assert!(refusal.as_error().unwrap().starts_with("OOM"), "{refusal:?}");
}

#[tokio::test]
async fn a_replica_copies() {
    let primary = RedisOptions::new(Flavour::Redis).password("pw").start().await;
    let replica =
        RedisOptions::new(Flavour::Redis).password("pw").replica_of(primary.addr()).start().await;
    set(&primary, "key", "copied").await;
    lock_testkit::eventually("the copy", Duration::from_secs(10), || async {
        (get(&replica, "key").await.as_str() == Some("copied")).then_some(())
    })
    .await;
    let refusal = replica.resp().await.command(&["SET", "key", "2"]).await;
    assert!(refusal.as_error().unwrap().starts_with("READONLY"));
}

#[tokio::test]
#[should_panic(expected = "did not start")]
async fn a_bad_configuration_is_shown() {
    RedisOptions::new(Flavour::Redis).config("no-such-option yes").start().await;
}

async fn set(server: &Redis, key: &str, value: &str) {
    let reply = server.resp().await.command(&["SET", key, value]).await;
    assert_eq!(reply.as_str(), Some("OK"), "{reply:?}");
}

async fn get(server: &Redis, key: &str) -> Value {
    server.resp().await.command(&["GET", key]).await
}
