//! What the tests have in common: clients, looks into the server, and beliefs that are noted.

use std::net::SocketAddr;
use std::time::Duration;

use lock_conformance::history::History;
pub(crate) use lock_conformance::lab::{believe, take};
use lock_conformance::time::{eventually, pause, scaled};
use lock_redis::RedisConfig;
use lock_testkit::{Flavour, Redis, RedisOptions, Resp};
use lockcore::{BootInstant, Guard, Locks, Released, Result};

/// Both kinds of server.
pub(crate) const FLAVOURS: [Flavour; 2] = [Flavour::Redis, Flavour::Valkey];

/// So many milliseconds, as this machine needs them.
pub(crate) fn ms(millis: u64) -> Duration {
    scaled(Duration::from_millis(millis))
}

/// A server without persistence.
pub(crate) async fn redis() -> Redis {
    RedisOptions::new(Flavour::Redis).start().await
}

/// A client of what listens there, with the defaults.
pub(crate) fn config(addr: SocketAddr) -> RedisConfig {
    RedisConfig::single("127.0.0.1", addr.port())
}

/// One that gives up on a silent connection soon.
pub(crate) fn hasty(addr: SocketAddr) -> RedisConfig {
    config(addr).request_timeout(ms(300)).unwrap()
}

/// Connects.
pub(crate) async fn connect(config: RedisConfig, ttl: Duration) -> Locks {
    Locks::new(config.connect().await.unwrap()).ttl(ttl).unwrap()
}

/// The key of a lock.
pub(crate) fn key(name: &str) -> String {
    format!("leasehold:{name}")
}

/// How many wait for a name.
pub(crate) async fn waiting(server: &mut Resp, name: &str) -> i64 {
    let queue = format!("{{leasehold:{name}}}:q");
    server.command(&["ZCARD", &queue]).await.as_int().unwrap()
}

/// Waits until `count` wait for a name.
pub(crate) async fn until_waiting(server: &Redis, name: &str, count: i64) {
    let mut server = server.resp().await;
    let limit = BootInstant::now().saturating_add(ms(10_000));
    loop {
        let now = waiting(&mut server, name).await;
        if now == count {
            return;
        }
        assert!(BootInstant::now() < limit, "{name}: {now} wait, not {count}");
        pause(Duration::from_millis(2)).await;
    }
}

/// Waits until so many clients of locks listen to the server.
pub(crate) async fn until_listening(server: &Redis, count: usize) {
    let mut server = server.resp().await;
    let limit = BootInstant::now().saturating_add(ms(10_000));
    loop {
        let channels = server.command(&["PUBSUB", "CHANNELS", "leasehold:wake:*"]).await;
        let now = channels.as_slice().unwrap().len();
        if now == count {
            return;
        }
        assert!(BootInstant::now() < limit, "{now} listen, not {count}");
        pause(Duration::from_millis(2)).await;
    }
}

/// The value of the lock's key, if it is there.
pub(crate) async fn value(server: &Redis, name: &str) -> Option<String> {
    let value = server.resp().await.command(&["GET", &key(name)]).await;
    value.as_str().map(str::to_owned)
}

/// The keys that contain `part`.
pub(crate) async fn keys(server: &mut Resp, part: &str) -> Vec<String> {
    let keys = server.command(&["KEYS", &format!("*{part}*")]).await;
    keys.as_slice().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// Waits until nothing of the names that contain `part` stands in the server but their fences, of
/// which each has a TTL.
pub(crate) async fn only_fences(server: &Redis, part: &str) {
    let mut server = server.resp().await;
    let limit = BootInstant::now().saturating_add(ms(10_000));
    let fences = loop {
        let keys = keys(&mut server, part).await;
        if keys.iter().all(|key| key.ends_with(":f")) {
            break keys;
        }
        assert!(BootInstant::now() < limit, "left behind: {keys:?}");
        pause(Duration::from_millis(5)).await;
    };
    assert!(!fences.is_empty(), "nothing was ever locked");
    for fence in fences {
        let left = server.command(&["PTTL", &fence]).await.as_int().unwrap();
        assert!(left > 0, "{fence} stays for ever");
    }
}

/// Believes for so long, and gives the lock back.
pub(crate) async fn hold(guard: Guard, history: &History, time: Duration) -> Result<Released> {
    believe(&guard, history, pause(time)).await;
    guard.release().await
}

/// Waits until the lock was lost.
pub(crate) async fn until_lost(guard: &Guard) {
    eventually("the lock is lost", || async { !guard.is_held() }).await;
}

/// What a command of ours is, by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Try,
    Enqueue,
    Check,
    Renew,
    RenewShared,
    Release,
    Delete,
    Other,
}

/// What a command is: scripts are told apart by their arguments.
pub(crate) fn kind(words: &[impl AsRef<[u8]>]) -> Kind {
    let word = |place: usize| words.get(place).map_or(&b""[..], AsRef::as_ref);
    match word(0).to_ascii_uppercase().as_slice() {
        b"DELIFEQ" | b"DELEX" => Kind::Delete,
        b"EVALSHA" | b"EVAL" => match (word(2), words.len()) {
            // The last argument says how to wait, after the mode.
            (b"5", 12) => match word(11).split(|byte| *byte == b' ').nth(1) {
                Some(b"try") => Kind::Try,
                Some(b"check") => Kind::Check,
                _ => Kind::Enqueue,
            },
            (b"5", 10) => Kind::RenewShared,
            (b"5", 9) => Kind::Release,
            (b"1", 6) => Kind::Renew,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    }
}
