//! Faults of single commands, in front of a real server.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use lock_testkit::{Flavour, Proxy, Redis, Resp, Swallow, Value, eventually};
use tokio::time::timeout;

#[tokio::test]
async fn commands_pass_and_are_counted() {
    let (server, proxy) = start().await;
    for on in [false, true] {
        proxy.one_byte_chunks(on);
        let mut client = Resp::connect(proxy.addr()).await;
        client.command(&["HELLO", if on { "3" } else { "2" }]).await;
        let long = "x".repeat(10_000);
        assert_eq!(client.command(&["set", "key", &long]).await.as_str(), Some("OK"));
        assert_eq!(client.command(&["GET", "key"]).await.as_str(), Some(long.as_str()));
        assert!(client.command(&["NO"]).await.as_error().is_some());
        for command in ["INCR a", "INCR a", "GET a"] {
            let words: Vec<_> = command.split(' ').collect();
            client.send(&words).await.unwrap();
        }
        client.read().await.unwrap();
        let count = client.read().await.unwrap().as_int().unwrap().to_string();
        assert_eq!(client.read().await.unwrap().as_str(), Some(count.as_str()));
    }
    let seen = proxy.requests_seen();
    assert_eq!((seen["SET"], seen["GET"], seen["INCR"], seen["HELLO"]), (2, 4, 4, 2));
    drop(server);
}

#[tokio::test]
async fn a_swallowed_reply_was_applied_and_ends_the_connection() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply(is("SET"));
    let mut client = Resp::connect(proxy.addr()).await;
    assert_eq!(client.command(&["PING"]).await.as_str(), Some("PONG"));
    assert!(!swallow.has_landed());

    // The replies before it come through, also when they are late.
    proxy.delay(Duration::ZERO, Duration::from_millis(30));
    client.send(&["PING"]).await.unwrap();
    client.send(&["SET", "key", "applied"]).await.unwrap();
    assert_eq!(client.read().await.unwrap().as_str(), Some("PONG"));
    assert_eq!(client.read().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    swallow.landed(PATIENCE).await;
    assert!(swallow.has_landed());
    assert_eq!(get(&server, "key").await.as_str(), Some("applied"));

    // It was for one command.
    let mut client = Resp::connect(proxy.addr()).await;
    assert_eq!(client.command(&["SET", "key", "2"]).await.as_str(), Some("OK"));
}

#[tokio::test]
async fn a_swallowed_reply_can_leave_silence() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenSilence, is("SET"));
    let mut client = Resp::connect(proxy.addr()).await;
    client.send(&["SET", "key", "applied"]).await.unwrap();
    swallow.landed(PATIENCE).await;
    client.send(&["SET", "key", "never"]).await.unwrap();
    assert!(timeout(SILENCE, client.read()).await.is_err());
    assert_eq!(get(&server, "key").await.as_str(), Some("applied"));
    assert_eq!(proxy.connections(), 1);
    drop(client);
    eventually("the end of the link", PATIENCE, || async {
        (proxy.connections() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_matcher_sees_the_arguments() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply(|words| words.get(1).is_some_and(|key| key == "second"));
    let mut client = Resp::connect(proxy.addr()).await;
    client.command(&["SET", "first", "1"]).await;
    assert!(client.try_command(&["SET", "second", "2"]).await.is_err());
    assert!(swallow.has_landed());
    assert_eq!(get(&server, "second").await.as_str(), Some("2"));
}

#[tokio::test]
async fn a_disarmed_swallow_loses_nothing() {
    let (_server, proxy) = start().await;
    let swallow = proxy.swallow_reply(|_| true);
    swallow.disarm();
    let mut client = Resp::connect(proxy.addr()).await;
    assert_eq!(client.command(&["PING"]).await.as_str(), Some("PONG"));
    assert!(!swallow.has_landed());
}

#[tokio::test]
async fn a_held_reply_was_applied_and_comes_when_released() {
    let (server, proxy) = start().await;
    let hold = proxy.hold_replies(is("SET"));
    let mut client = Resp::connect(proxy.addr()).await;
    client.send(&["PING"]).await.unwrap();
    client.send(&["SET", "key", "applied"]).await.unwrap();
    client.send(&["GET", "key"]).await.unwrap();
    assert_eq!(client.read().await.unwrap().as_str(), Some("PONG"));
    hold.held(PATIENCE).await;
    assert_eq!(get(&server, "key").await.as_str(), Some("applied"));
    assert!(timeout(SILENCE, client.read()).await.is_err());
    // Only that connection stands still, in one direction.
    let mut other = Resp::connect(proxy.addr()).await;
    assert_eq!(other.command(&["PING"]).await.as_str(), Some("PONG"));
    assert_eq!(hold.holding(), 1);
    hold.release();
    assert_eq!(client.read().await.unwrap().as_str(), Some("OK"));
    assert_eq!(client.read().await.unwrap().as_str(), Some("applied"));
    assert_eq!(client.command(&["SET", "key", "free"]).await.as_str(), Some("OK"));
}

#[tokio::test]
async fn a_held_request_is_applied_when_released() {
    let (server, proxy) = start().await;
    let hold = proxy.hold_requests(is("SET"));
    let mut client = Resp::connect(proxy.addr()).await;
    assert_eq!(client.command(&["PING"]).await.as_str(), Some("PONG"));
    client.send(&["SET", "key", "held"]).await.unwrap();
    client.send(&["PING"]).await.unwrap();
    hold.held(PATIENCE).await;
    assert_eq!(hold.holding(), 1);
    assert!(timeout(SILENCE, client.read()).await.is_err());
    assert!(get(&server, "key").await.is_null());

    // Its client gives up, and still it is applied.
    drop(client);
    hold.release();
    eventually("the ghost", PATIENCE, || async {
        (get(&server, "key").await.as_str() == Some("held")).then_some(())
    })
    .await;
    let mut client = Resp::connect(proxy.addr()).await;
    assert_eq!(client.command(&["SET", "key", "free"]).await.as_str(), Some("OK"));
}

#[tokio::test]
async fn notifications_are_lost_and_confirmations_are_not() {
    let (server, proxy) = start().await;
    for protocol in ["2", "3"] {
        let mut client = Resp::connect(proxy.addr()).await;
        client.command(&["HELLO", protocol]).await;
        let lost = proxy.notifications_lost();
        proxy.drop_notifications(true);
        client.send(&["SUBSCRIBE", "a", "b"]).await.unwrap();
        for channel in ["a", "b"] {
            let confirmation = client.read().await.unwrap();
            assert_eq!(words(&confirmation), ["subscribe", channel]);
        }
        publish(&server, "a", "lost").await;
        eventually("the loss", PATIENCE, || async {
            (proxy.notifications_lost() == lost + 1).then_some(())
        })
        .await;
        proxy.drop_notifications(false);
        publish(&server, "b", "heard").await;
        assert_eq!(words(&client.read().await.unwrap()), ["message", "b", "heard"]);
        client.send(&["PSUBSCRIBE", "c*"]).await.unwrap();
        assert_eq!(words(&client.read().await.unwrap()), ["psubscribe", "c*"]);
        publish(&server, "c", "pattern").await;
        let message = client.read().await.unwrap();
        assert_eq!(words(&message), ["pmessage", "c*", "c", "pattern"]);
        client.send(&["PING"]).await.unwrap();
        let pong = client.read().await.unwrap();
        assert!(pong.as_str() == Some("PONG") || words(&pong)[0] == "pong", "{pong:?}");
    }
}

#[tokio::test]
async fn a_reply_can_be_swallowed_beside_subscriptions() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply(is("SET"));
    let mut client = Resp::connect(proxy.addr()).await;
    client.command(&["HELLO", "3"]).await;
    client.command(&["SUBSCRIBE", "a"]).await;
    publish(&server, "a", "x").await;
    assert_eq!(words(&client.read().await.unwrap()), ["message", "a", "x"]);
    client.command(&["GET", "key"]).await;
    assert!(!swallow.has_landed());
    assert!(client.try_command(&["SET", "key", "applied"]).await.is_err());
    assert!(swallow.has_landed());
    assert_eq!(get(&server, "key").await.as_str(), Some("applied"));
}

async fn start() -> (Redis, Proxy) {
    let server = Redis::options(Flavour::Redis).start().await;
    let proxy = Proxy::resp(server.addr()).await;
    (server, proxy)
}

fn is(name: &'static str) -> impl Fn(&[Bytes]) -> bool {
    move |words| words[0].eq_ignore_ascii_case(name.as_bytes())
}

async fn get(server: &Redis, key: &str) -> Value {
    server.resp().await.command(&["GET", key]).await
}

async fn publish(server: &Redis, channel: &str, message: &str) {
    let heard = server.resp().await.command(&["PUBLISH", channel, message]).await;
    assert_eq!(heard.as_int(), Some(1));
}

fn words(value: &Value) -> Vec<&str> {
    value.as_slice().unwrap().iter().filter_map(Value::as_str).collect()
}

const SILENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
