//! The server, and how its requests are counted.

use anyhow::{Context as _, Result};
use lock_testkit::{Etcd, EtcdVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::UNITS;
use crate::subjects::store::Meter;

/// A server of our own, as etcd comes: it waits for the disk before it answers a write. It ends when
/// it is dropped.
#[derive(Debug)]
pub(super) struct Server(Etcd);

/// The messages that came from clients before this was made, by their method: one for each request,
/// and for streams, one for each that was sent on it.
pub(super) struct Messages {
    address: String,
    before: Vec<f64>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self(Etcd::options(EtcdVersion::V3_7).start().await)
    }

    pub(super) fn url(&self) -> String {
        self.0.url()
    }

    pub(super) fn process(&self) -> u32 {
        self.0.pid()
    }
}

impl Meter for Messages {
    async fn start(url: &str) -> Result<Self> {
        let address = address(url)?.to_owned();
        let before = tally(&metrics(&address).await?);
        Ok(Self { address, before })
    }

    async fn read(self) -> Result<Vec<f64>> {
        let now = tally(&metrics(&self.address).await?);
        Ok(now.iter().zip(&self.before).map(|(now, before)| now - before).collect())
    }
}

/// Host and port of a [`Server::url`].
pub(super) fn address(url: &str) -> Result<&str> {
    url.strip_prefix("etcd://").with_context(|| format!("{url} has no address"))
}

/// What the server tells of itself. Asking for it is no gRPC, so it does not count itself.
async fn metrics(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await.context("no connection")?;
    // Of that version an answer comes in one piece, and its end is that of the connection.
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The messages of each of the [`UNITS`].
fn tally(metrics: &str) -> Vec<f64> {
    let mut counts = vec![0.0; UNITS.len()];
    for (method, count) in metrics.lines().filter_map(received) {
        let at = UNITS.iter().position(|unit| *unit == method).unwrap_or(UNITS.len() - 1);
        counts[at] += count;
        counts[0] += count;
    }
    counts
}

/// Lines are such as `grpc_server_msg_received_total{grpc_method="Txn",…} 7`.
fn received(line: &str) -> Option<(&str, f64)> {
    let (labels, count) = line.strip_prefix("grpc_server_msg_received_total{")?.split_once('}')?;
    let (_, method) = labels.split_once("grpc_method=\"")?;
    let (method, _) = method.split_once('"')?;
    Some((method, count.trim().parse().ok()?))
}

/// All of them, which comes first.
pub(super) const REQUESTS: &str = "requests";
pub(super) const KEEP_ALIVES: &str = "LeaseKeepAlive";
/// All that have no number of their own, which comes last.
pub(super) const OTHERS: &str = "others";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_their_method() {
        let metrics = "# TYPE grpc_server_msg_received_total counter\n\
             grpc_server_msg_received_total{grpc_method=\"Txn\",grpc_service=\"etcdserverpb.KV\"} 7\n\
             grpc_server_msg_received_total{grpc_method=\"Lock\",grpc_type=\"unary\"} 2\n\
             grpc_server_msg_received_total{grpc_method=\"Unlock\",grpc_type=\"unary\"} 1\n\
             grpc_server_msg_sent_total{grpc_method=\"Txn\"} 9\n";
        let counts = tally(metrics);
        let of = |unit| counts[UNITS.iter().position(|other| *other == unit).unwrap()];
        assert_eq!((of(REQUESTS), of("Txn"), of("Watch"), of(OTHERS)), (10.0, 7.0, 0.0, 3.0));
    }
}
