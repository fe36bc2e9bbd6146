//! Calls and connections that end early.

use h2::Reason;
use lock_testkit::{GrpcProxy, Port, eventually};
use tokio::time::timeout;

use super::PATIENCE;
use crate::client::Client;
use crate::server::Server;

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_server() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;

    let mut open = client.open("Stream").await;
    open.send("x");
    assert_eq!(open.text().await, "x");
    open.cancel();
    server.sees("Stream Some(CANCEL)").await;

    // One that has said everything.
    let mut whole = client.open("Never").await;
    whole.send_last("y");
    server.sees("Never end").await;
    whole.cancel();
    server.sees("Never Some(CANCEL)").await;

    assert_eq!(client.unary("other").await.unwrap().0, "0");
    eventually("the end of all calls", PATIENCE, || async {
        (proxy.open_calls("*") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_client_is_dead_for_the_server() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    let mut call = client.open("Stream").await;
    call.send("x");
    assert_eq!(call.text().await, "x");
    client.kill();
    server.sees("disconnected").await;
    eventually("the end of the link", PATIENCE, || async {
        (proxy.connections() == 0 && proxy.open_calls("*") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_server_is_dead_for_the_client() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let mut client = Client::connect(proxy.addr()).await;
    let idle = Client::connect(proxy.addr()).await;
    idle.unary("x").await.unwrap();
    let (mut stream, mut never) = (client.open("Stream").await, client.open("Never").await);
    stream.send("x");
    never.send_last("y");
    assert_eq!(stream.text().await, "x");
    server.sees("Never end").await;
    let _stalled = proxy.stall("Echo/Never");

    server.kill();
    // The end of the connection, and not of the call.
    for call in [&mut stream, &mut never] {
        let error = timeout(PATIENCE, call.next()).await.unwrap().unwrap_err();
        assert!(error.is_io() && !error.is_reset(), "{error:?}");
    }
    // Closed, as the kernel does for a process.
    let _ = client.closed().await;
    eventually("the end of both links", PATIENCE, || async {
        (proxy.connections() == 0 && idle.is_closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_behind_the_proxy_is_a_reset() {
    let port = Port::claim();
    let proxy = GrpcProxy::start(port.addr()).await;
    let mut client = Client::connect(proxy.addr()).await;
    client.closed().await.unwrap_err();
    assert_eq!(proxy.calls("*"), 0);
}

#[tokio::test]
async fn connections_are_reset() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let mut client = Client::connect(proxy.addr()).await;
    client.unary("x").await.unwrap();
    proxy.reset();
    client.closed().await.unwrap_err();
    server.sees("disconnected").await;
    let client = Client::connect(proxy.addr()).await;
    client.unary("y").await.unwrap();
}

#[tokio::test]
async fn streams_are_reset_and_the_connection_stays() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let client = Client::connect(proxy.addr()).await;
    let (mut one, mut two) = (client.open("Stream").await, client.open("Stream").await);
    let mut other = client.open("Never").await;
    one.send("x");
    assert_eq!(one.text().await, "x");
    two.send("x");
    assert_eq!(two.text().await, "x");
    other.send("x");
    server.sees("Never x").await;

    assert_eq!(proxy.reset_streams("Echo/Stream"), 2);
    for call in [&mut one, &mut two] {
        let error = timeout(PATIENCE, call.next()).await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    }
    server.sees("Stream Some(CANCEL)").await;
    assert_eq!(proxy.open_calls("Echo/Never"), 1);
    assert_eq!(proxy.reset_streams("Echo/Stream"), 0);
    client.unary("after").await.unwrap();
    assert!(!client.is_closed());
}

#[tokio::test]
async fn a_dropped_proxy_is_closed() {
    let server = Server::start().await;
    let proxy = GrpcProxy::start(server.addr).await;
    let mut client = Client::connect(proxy.addr()).await;
    client.unary("x").await.unwrap();
    drop(proxy);
    let _ = client.closed().await;
    server.sees("disconnected").await;
}
