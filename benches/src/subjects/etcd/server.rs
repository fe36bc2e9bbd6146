//! The server, and how its requests are counted.

use anyhow::{Context as _, Result};
use lock_testkit::{Etcd, EtcdVersion, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::UNITS;
use crate::subjects::store::crowd::Seen;
use crate::subjects::store::{Meter, far};

/// A server of our own, as etcd comes: it waits for the disk before it answers a write. It ends when
/// it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    etcd: Etcd,
    /// What clients go through, if they do not connect to the server itself.
    link: Option<Proxy>,
}

/// The messages that came from clients before this was made, by their method: one for each request,
/// and for streams, one for each that was sent on it.
pub(super) struct Messages {
    address: String,
    before: Vec<f64>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self { etcd: Etcd::options(EtcdVersion::V3_7).start().await, link: None }
    }

    /// One at the end of a [link](far::link).
    pub(super) async fn start_far() -> Self {
        let near = Self::start().await;
        Self { link: Some(far::link(near.etcd.addr()).await), ..near }
    }

    pub(super) fn url(&self) -> String {
        self.link.as_ref().map_or_else(|| self.etcd.url(), |link| self.etcd.url_via(link))
    }

    /// The requests of clients, and what was sent to those who watch.
    pub(super) async fn seen(&self) -> Result<Seen> {
        let metrics = metrics(&self.etcd.addr().to_string()).await?;
        let sent = metrics.lines().filter_map(|line| messages(line, SENT));
        let notifications = sent.filter(|(method, _)| *method == "Watch").map(|(_, count)| count);
        Ok(Seen { requests: tally(&metrics)[0], notifications: notifications.sum() })
    }

    pub(super) fn process(&self) -> u32 {
        self.etcd.pid()
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
    for (method, count) in metrics.lines().filter_map(|line| messages(line, RECEIVED)) {
        let at = UNITS.iter().position(|unit| *unit == method).unwrap_or(UNITS.len() - 1);
        counts[at] += count;
        counts[0] += count;
    }
    counts
}

/// Lines are such as `grpc_server_msg_received_total{grpc_method="Txn",…} 7`.
fn messages<'line>(line: &'line str, counter: &str) -> Option<(&'line str, f64)> {
    let (labels, count) = line.strip_prefix(counter)?.strip_prefix('{')?.split_once('}')?;
    let (_, method) = labels.split_once("grpc_method=\"")?;
    let (method, _) = method.split_once('"')?;
    Some((method, count.trim().parse().ok()?))
}

const RECEIVED: &str = "grpc_server_msg_received_total";
const SENT: &str = "grpc_server_msg_sent_total";

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
