//! Each rule does what it says, and nothing when it is over.

use std::time::{Duration, Instant};

use lock_testkit::{GrpcProxy, Swallow, eventually};
use tokio::time::timeout;

use super::{PATIENCE, SILENCE};
use crate::client::Client;
use crate::server::Server;

#[tokio::test]
async fn a_swallowed_reply_was_applied_and_ends_the_connection() {
    let (server, proxy, mut client) = start().await;
    let swallow = proxy.swallow_reply("Echo/Unary", 2);
    client.unary("first").await.unwrap();
    assert!(!swallow.has_landed());
    let mut stream = client.open("Stream").await;
    stream.send("x");
    assert_eq!(stream.text().await, "x");

    let error = client.unary("second").await.unwrap_err();
    assert!(error.is_io(), "{error:?}");
    swallow.landed(PATIENCE).await;
    assert!(server.saw("Unary second"));
    assert_eq!(proxy.messages_to_client("Echo/Unary"), 1);
    let error = timeout(PATIENCE, stream.next()).await.unwrap().unwrap_err();
    assert!(error.is_io(), "{error:?}");
    let _ = client.closed().await;

    // It was for one call.
    Client::connect(proxy.addr()).await.unary("third").await.unwrap();
}

#[tokio::test]
async fn a_swallowed_reply_can_leave_silence() {
    let (server, proxy, client) = start().await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenSilence, "Echo/Unary", 1);
    let mut call = client.open("Unary").await;
    call.send_last("lost");
    swallow.landed(PATIENCE).await;
    assert!(server.saw("Unary lost"));
    assert!(timeout(SILENCE, call.next()).await.is_err());
    // All others go on.
    client.unary("heard").await.unwrap();
    assert_eq!(proxy.open_calls("*"), 1);
    call.cancel();
    none_open(&proxy).await;
}

#[tokio::test]
async fn a_silent_call_ends_with_its_server() {
    let (server, proxy, mut client) = start().await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenSilence, "*", 1);
    let mut call = client.open("Unary").await;
    call.send_last("lost");
    swallow.landed(PATIENCE).await;
    server.kill();
    timeout(PATIENCE, call.next()).await.unwrap().unwrap_err();
    let _ = client.closed().await;
}

#[tokio::test]
async fn two_swallows_take_two_replies_and_a_disarmed_one_none() {
    let (_server, proxy, client) = start().await;
    let silence = |nth| proxy.swallow_reply_then(Swallow::ThenSilence, "Echo/Unary", nth);
    let (off, one, two) = (silence(1), silence(1), silence(1));
    off.disarm();
    for swallow in [&one, &two] {
        assert!(!swallow.has_landed());
        let mut call = client.open("Unary").await;
        call.send_last("x");
        swallow.landed(PATIENCE).await;
    }
    assert!(!off.has_landed());
    client.unary("y").await.unwrap();
}

#[tokio::test]
async fn held_requests_go_on_when_released() {
    let (server, proxy, client) = start().await;
    let mut open = client.open("Stream").await;
    open.send("before");
    assert_eq!(open.text().await, "before");

    let hold = proxy.hold_requests("*");
    open.send("held");
    let mut unary = client.open("Unary").await;
    unary.send_last("held");
    hold.hit(2, PATIENCE).await;
    assert!(timeout(SILENCE, open.next()).await.is_err());
    assert_eq!(server.log(), ["Stream before"]);
    assert_eq!((proxy.calls("*"), proxy.messages_to_server("*")), (2, 1));

    hold.release();
    assert_eq!(open.text().await, "held");
    assert_eq!(timeout(PATIENCE, unary.rest()).await.unwrap().unwrap().1, ["held"]);
    open.send("after");
    assert_eq!(open.text().await, "after");
}

#[tokio::test]
async fn held_replies_were_applied_and_go_on_when_released() {
    let (server, proxy, client) = start().await;
    let mut open = client.open("Stream").await;
    open.send("before");
    assert_eq!(open.text().await, "before");

    let hold = proxy.hold_replies("Echo/Stream");
    open.send("held");
    client.unary("another").await.unwrap();
    hold.hit(1, PATIENCE).await;
    assert!(timeout(SILENCE, open.next()).await.is_err());
    assert!(server.saw("Stream held"));
    hold.release();
    assert_eq!(open.text().await, "held");
    open.send("after");
    assert_eq!(open.text().await, "after");
}

#[tokio::test]
async fn a_hold_is_for_its_path_alone() {
    let (_server, proxy, client) = start().await;
    let hold = proxy.hold_requests("Echo/Stream");
    client.unary("x").await.unwrap();
    assert_eq!(hold.hits(), 0);
}

#[tokio::test]
async fn a_held_request_is_applied_though_its_client_gave_up() {
    let (server, proxy, client) = start().await;
    let other = Client::connect(proxy.addr()).await;
    other.unary("other").await.unwrap();
    let hold = proxy.hold_requests("Echo/Slow");
    let (mut cancelled, mut dead) = (client.open("Slow").await, client.open("Slow").await);
    cancelled.send_last("cancelled");
    dead.send_last("dead");
    hold.hit(2, PATIENCE).await;
    assert_eq!(proxy.connections(), 2);
    cancelled.cancel();
    client.kill();
    eventually("the end of the link", PATIENCE, || async {
        (proxy.connections() == 1).then_some(())
    })
    .await;
    assert!(!server.saw("Slow cancelled") && !server.saw("Slow dead"));

    hold.release();
    for text in ["Slow cancelled", "Slow dead"] {
        server.sees(text).await;
    }
    // It is not told that nobody wants the answer.
    server.answer_slow();
    server.answer_slow();
    eventually("two answers", PATIENCE, || async {
        (server.log().iter().filter(|line| *line == "Slow end").count() == 2).then_some(())
    })
    .await;
    none_open(&proxy).await;
    server.sees("disconnected").await;
}

#[tokio::test]
async fn a_client_that_gives_up_after_the_release_is_heard() {
    let (server, proxy, client) = start().await;
    let hold = proxy.hold_requests("*");
    let mut call = client.open("Never").await;
    call.send_last("x");
    hold.hit(1, PATIENCE).await;
    hold.release();
    server.sees("Never end").await;
    call.cancel();
    server.sees("Never Some(CANCEL)").await;
}

#[tokio::test]
async fn messages_get_lost_one_by_one() {
    let (server, proxy, client) = start().await;
    let mut open = client.open("Stream").await;
    open.send("before");
    assert_eq!(open.text().await, "before");
    let hole = proxy.black_hole_replies("Echo/Stream");
    open.send("lost");
    hole.hit(1, PATIENCE).await;
    let mut new = client.open("Stream").await;
    new.send("lost too");
    hole.hit(2, PATIENCE).await;
    assert!(server.saw("Stream lost too"));
    client.unary("heard").await.unwrap();
    assert_eq!(hole.hits(), 2);

    hole.release();
    for call in [&mut open, &mut new] {
        call.send("after");
        assert_eq!(call.text().await, "after");
    }
    assert_eq!(proxy.messages_to_client("Echo/Stream"), 3);
}

#[tokio::test]
async fn a_stream_can_end_in_a_black_hole() {
    let (_server, proxy, client) = start().await;
    let hole = proxy.black_hole_replies("*");
    let mut call = client.open("Stream").await;
    call.send_last("lost");
    let (status, texts) = timeout(PATIENCE, call.rest()).await.unwrap().unwrap();
    assert_eq!((status.as_str(), texts.len(), hole.hits()), ("0", 0, 1));
}

#[tokio::test]
async fn a_stall_keeps_both_directions() {
    let (server, proxy, client) = start().await;
    let mut call = client.open("Slow").await;
    call.send("first");
    server.sees("Slow first").await;
    let stall = proxy.stall("Echo/Slow");
    server.answer_slow();
    // That was the reply, this is a request.
    stall.hit(1, PATIENCE).await;
    call.send("second");
    stall.hit(2, PATIENCE).await;
    assert!(timeout(SILENCE, call.next()).await.is_err());
    assert!(!server.saw("Slow second"));
    client.unary("other").await.unwrap();

    drop(stall);
    assert_eq!(call.text().await, "first");
    server.sees("Slow second").await;
    server.answer_slow();
    assert_eq!(call.text().await, "second");
}

#[tokio::test]
async fn requests_are_late_and_delays_do_not_add_up() {
    let (_server, proxy, client) = start().await;
    let late = Duration::from_millis(40);
    let delay = proxy.delay("Echo/Stream", late);
    let start = Instant::now();
    let mut call = client.open("Stream").await;
    for number in 0..20 {
        call.send(&number.to_string());
    }
    for number in 0..20 {
        assert_eq!(call.text().await, number.to_string());
    }
    let took = start.elapsed();
    assert!(took >= late && took < late * 20, "{took:?}");
    assert!(delay.hits() >= 20);
    drop(delay);
    let start = Instant::now();
    client.unary("x").await.unwrap();
    assert!(start.elapsed() < late * 20);
}

#[tokio::test]
async fn refused_calls_never_reach_the_server() {
    let (server, proxy, client) = start().await;
    let fail = proxy.fail("Echo/Unary", 14, "not now");
    let mut call = client.open("Unary").await;
    call.send_last("refused");
    let trailers = timeout(PATIENCE, call.trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-message"], "not now");
    assert_eq!(client.unary("refused").await.unwrap().0, "14");
    let mut other = client.open("Stream").await;
    other.send("x");
    assert_eq!(other.text().await, "x");
    assert_eq!(fail.hits(), 2);
    drop(fail);
    assert_eq!(client.unary("through").await.unwrap().0, "0");

    let second = proxy.fail_nth("Echo/Unary", 2, 8, "");
    let swallow = proxy.swallow_reply("Echo/Unary", 2);
    let mut statuses = Vec::new();
    for text in ["1", "2"] {
        statuses.push(client.unary(text).await.unwrap().0);
    }
    assert_eq!(statuses, ["0", "8"]);
    // The refused one had no reply, so it is that of the next one.
    assert!(!swallow.has_landed());
    client.unary("3").await.unwrap_err();
    assert!(swallow.has_landed() && server.saw("Unary 3"));
    assert_eq!(second.hits(), 1);
    assert!(!server.saw("Unary refused") && !server.saw("Unary 2"));
}

async fn start() -> (Server, GrpcProxy, Client) {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    (server, proxy, client)
}

async fn none_open(proxy: &GrpcProxy) {
    eventually("the end of all calls", PATIENCE, || async {
        (proxy.open_calls("*") == 0).then_some(())
    })
    .await;
}
