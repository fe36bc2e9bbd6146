//! A server of gRPC whose messages are texts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use lock_testkit::eventually;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::PATIENCE;
use crate::client::{Reader, encode};

/// `/test.Echo/Unary` answers one message and ends, `/test.Echo/Stream` answers each,
/// `/test.Echo/Never` none, `/test.Echo/Slow` each when it may, `/test.Echo/Reset` by a reset, `/test.Echo/Bare` by a status alone.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    log: Log,
    slow: Arc<Semaphore>,
    accept: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let slow = Arc::new(Semaphore::new(0));
        let shared = (Arc::clone(&log), Arc::clone(&slow));
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, slow) = shared.clone();
                connections.spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    let mut calls = JoinSet::new();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        calls.spawn(serve(request, respond, Arc::clone(&log), Arc::clone(&slow)));
                    }
                    say(&log, "disconnected");
                });
            }
        });
        Self { addr, log, slow, accept }
    }

    /// All connections end, as when the process is killed.
    pub(crate) fn kill(&self) {
        self.accept.abort();
    }

    /// Lets it answer one more slow message.
    pub(crate) fn answer_slow(&self) {
        self.slow.add_permits(1);
    }

    /// What has reached it.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn saw(&self, what: &str) -> bool {
        self.log().iter().any(|line| line == what)
    }

    pub(crate) async fn sees(&self, what: &str) {
        eventually(what, PATIENCE, || async { self.saw(what).then_some(()) }).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

type Log = Arc<Mutex<Vec<String>>>;

fn say(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

async fn serve(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    log: Log,
    slow: Arc<Semaphore>,
) {
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let mut reader = Reader::new(request.into_body());
    if method == "Reset" {
        respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        return;
    }
    if method == "Bare" {
        let head = Response::builder().header("grpc-status", "5").body(()).unwrap();
        respond.send_response(head, true).unwrap();
        return;
    }
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    loop {
        let text = tokio::select! {
            text = reader.next() => text,
            reason = std::future::poll_fn(|cx| stream.poll_reset(cx)) => {
                return say(&log, format!("{method} {:?}", reason.ok()));
            }
        };
        match text {
            Ok(Some(text)) => {
                say(&log, format!("{method} {text}"));
                if method == "Slow" {
                    slow.acquire().await.unwrap().forget();
                }
                if method != "Never" {
                    stream.send_data(encode(&text), false).unwrap();
                }
            }
            Ok(None) => {
                say(&log, format!("{method} end"));
                if method == "Never" {
                    return cancelled(stream, &log).await;
                }
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                trailers.insert("told", method.parse().unwrap());
                return stream.send_trailers(trailers).unwrap();
            }
            Err(error) => return say(&log, format!("{method} {:?}", error.reason())),
        }
    }
}

async fn cancelled(mut stream: SendStream<Bytes>, log: &Log) {
    if let Ok(reason) = std::future::poll_fn(|cx| stream.poll_reset(cx)).await {
        say(log, format!("Never {:?}", Some(reason)));
    }
}
