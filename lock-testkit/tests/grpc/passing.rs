//! Without a rule nothing is changed.

use h2::Reason;
use lock_testkit::{GrpcProxy, Proxy, eventually};
use tokio::time::timeout;

use super::PATIENCE;
use crate::client::{Client, encode};
use crate::server::Server;

#[tokio::test]
async fn unary_calls_pass_and_are_counted() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    proxy.keep_requests("Echo/Unary");
    let client = Client::connect(proxy.addr()).await;
    for text in ["a", "b", ""] {
        let (status, texts) = client.unary(text).await.unwrap();
        assert_eq!((status.as_str(), texts), ("0", vec![text.to_owned()]));
    }
    assert_eq!(proxy.calls("Echo/Unary"), 3);
    assert_eq!(proxy.messages_to_server("Echo/Unary"), 3);
    assert_eq!(proxy.kept_requests("Echo/Unary").len(), 3);
    assert_eq!(proxy.messages_to_client("/test.Echo/Unary"), 3);
    assert_eq!(proxy.calls("Echo/Stream"), 0);
    assert_eq!(proxy.record(), ["/test.Echo/Unary"; 3]);
    assert_eq!(proxy.connections(), 1);
    none_open(&proxy).await;
}

#[tokio::test]
async fn a_stream_stays_open_and_its_trailers_come() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    let mut call = client.open("Stream").await;
    for number in 0..50 {
        call.send(&number.to_string());
        assert_eq!(call.text().await, number.to_string());
    }
    assert_eq!(proxy.open_calls("Echo/Stream"), 1);
    assert_eq!(proxy.calls("*"), 1);
    call.end();
    assert_eq!(call.next().await.unwrap(), None);
    assert_eq!(call.trailers().await.unwrap()["told"], "Stream");
    assert_eq!(proxy.messages_to_client("*"), 50);
    none_open(&proxy).await;
}

#[tokio::test]
async fn messages_are_counted_wherever_frames_end() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    let mut call = client.open("Stream").await;
    let mut data = [encode("one"), encode(""), encode("three")].concat();
    call.send_raw(data.clone().into());
    data.extend(encode("four"));
    data.chunks(1).for_each(|byte| call.send_raw(byte.to_vec().into()));
    call.end();
    let (_, texts) = timeout(PATIENCE, call.rest()).await.unwrap().unwrap();
    assert_eq!(texts, ["one", "", "three", "one", "", "three", "four"]);
    assert_eq!((proxy.messages_to_server("*"), proxy.messages_to_client("*")), (7, 7));
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    // More than all windows on the way.
    let long = "0123456789".repeat(5_000_000);
    let mut call = client.open("Stream").await;
    call.send(&long);
    call.send_last("and a short one");
    let (_, texts) = timeout(PATIENCE, call.rest()).await.unwrap().unwrap();
    assert!(texts == [long, "and a short one".to_owned()]);
}

#[tokio::test]
async fn what_a_server_refuses_is_refused() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    let mut call = client.open("Reset").await;
    let error = timeout(PATIENCE, call.next()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    let mut call = client.open("Bare").await;
    let (status, texts) = timeout(PATIENCE, call.rest()).await.unwrap().unwrap();
    assert_eq!((status.as_str(), texts.len()), ("5", 0));
    assert_eq!(client.unary("after").await.unwrap().0, "0");
    none_open(&proxy).await;
}

#[tokio::test]
async fn faults_of_bytes_can_come_before_those_of_calls() {
    let server = Server::start().await;
    let calls = GrpcProxy::start(server.addr).await;
    let bytes = Proxy::start(calls.addr()).await;
    bytes.one_byte_chunks(true);
    let mut client = Client::connect(bytes.addr()).await;
    assert_eq!(client.unary("through two").await.unwrap().1, ["through two"]);
    bytes.reset();
    client.closed().await.unwrap_err();
    eventually("the end of the link", PATIENCE, || async {
        (calls.connections() == 0).then_some(())
    })
    .await;
    server.sees("disconnected").await;
}

#[tokio::test]
async fn connections_go_where_they_are_told() {
    let (first, second) = (Server::start().await, Server::start().await);
    let proxy = GrpcProxy::start(first.addr).await;
    let old = Client::connect(proxy.addr()).await;
    old.unary("old").await.unwrap();
    proxy.set_target(second.addr);
    let new = Client::connect(proxy.addr()).await;
    new.unary("new").await.unwrap();
    old.unary("still").await.unwrap();
    assert_eq!(first.log(), ["Unary old", "Unary end", "Unary still", "Unary end"]);
    assert_eq!(second.log(), ["Unary new", "Unary end"]);
}

async fn none_open(proxy: &GrpcProxy) {
    eventually("the end of all calls", PATIENCE, || async {
        (proxy.open_calls("*") == 0).then_some(())
    })
    .await;
}
