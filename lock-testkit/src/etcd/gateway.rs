//! The JSON that an etcd speaks besides gRPC, which is how the kit looks into it.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::scaled;

/// Why an etcd did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdError {
    code: Option<i64>,
    message: String,
}

impl EtcdError {
    /// The gRPC code, if it is the server that refused.
    pub fn code(&self) -> Option<i64> {
        self.code
    }

    /// What the server, or the socket, says.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn of_link(error: impl fmt::Display) -> Self {
        Self { code: None, message: error.to_string() }
    }

    fn of_reply(status: StatusCode, body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            return Self::of_link(format!("{status}: {}", String::from_utf8_lossy(body)));
        };
        let message = json["message"].as_str().unwrap_or_default().to_owned();
        Self { code: json["code"].as_i64(), message }
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (code {code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for EtcdError {}

/// A request in JSON, and its reply.
pub(crate) async fn post(
    addr: SocketAddr,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> Result<Value, EtcdError> {
    let request = Request::builder().method(Method::POST).uri(path);
    let mut request = request.header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(body.to_string().into());
    let bytes = send(addr, request.map_err(EtcdError::of_link)?).await?;
    serde_json::from_slice(&bytes).map_err(EtcdError::of_link)
}

/// A page in plain text.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Result<String, EtcdError> {
    let request = Request::builder().uri(path).body(Full::default());
    let bytes = send(addr, request.map_err(EtcdError::of_link)?).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Bytes in JSON.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a field, which is left out when it is empty.
pub(crate) fn decode(field: &Value) -> Vec<u8> {
    let text = field.as_str().unwrap_or_default();
    STANDARD.decode(text).expect("a server encodes well")
}

/// The number of a field: 64 bits come as text, and zero is left out.
pub(crate) fn number(field: &Value) -> i64 {
    match field {
        Value::Null => 0,
        Value::String(text) => text.parse().expect("a server writes numbers well"),
        other => other.as_i64().expect("a server writes numbers well"),
    }
}

async fn send(addr: SocketAddr, request: Request<Full<Bytes>>) -> Result<Bytes, EtcdError> {
    match timeout(scaled(PATIENCE), exchange(addr, request)).await {
        Ok(reply) => reply,
        Err(_) => Err(EtcdError::of_link(format!("no reply from {addr} within {PATIENCE:?}"))),
    }
}

/// On a connection of its own: what one server's restart broke is not the next request's concern.
async fn exchange(addr: SocketAddr, mut request: Request<Full<Bytes>>) -> Result<Bytes, EtcdError> {
    let host = addr.to_string().try_into().expect("BUG: an address is a good header");
    request.headers_mut().insert(HOST, host);
    let stream = TcpStream::connect(addr).await.map_err(EtcdError::of_link)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(EtcdError::of_link)?;
    // It ends when its sender is dropped; its error is the sender's too.
    tokio::spawn(connection);
    let reply = sender.send_request(request).await.map_err(EtcdError::of_link)?;
    let status = reply.status();
    let body = reply.into_body().collect().await.map_err(EtcdError::of_link)?.to_bytes();
    if status.is_success() { Ok(body) } else { Err(EtcdError::of_reply(status, &body)) }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
