//! How the requests of clients are counted: by a proxy in front of the server.
//!
//! The process that holds leases is another one, so what the proxy has seen is asked for at an
//! address.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use lock_testkit::{Frame, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::server::{Server, url};
use super::{OTHERS, REQUESTS, TRIPS, UNITS};
use crate::subjects::store::Meter;

/// A way to a server, whose requests are counted.
#[derive(Debug)]
pub(super) struct Way {
    url: String,
    telling: JoinHandle<()>,
}

/// What came through a [`Way`] after this was made.
pub(super) struct Requests {
    address: String,
    before: Vec<f64>,
}

impl Way {
    pub(super) async fn to(server: &Server) -> Result<Self> {
        let proxy = server.counted().await;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("{}?{COUNTS}{}", url(&proxy), listener.local_addr()?);
        Ok(Self { url, telling: tokio::spawn(tell(listener, proxy)) })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

impl Meter for Requests {
    async fn start(url: &str) -> Result<Self> {
        let (_, address) = url.split_once(COUNTS).context("nobody counts there")?;
        Ok(Self { address: address.to_owned(), before: ask(address).await? })
    }

    async fn read(self) -> Result<Vec<f64>> {
        let now = ask(&self.address).await?;
        Ok(now.iter().zip(&self.before).map(|(now, before)| now - before).collect())
    }
}

/// Tells whoever connects what has come until now.
async fn tell(listener: TcpListener, proxy: Proxy) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let counts = tally(&proxy.requests_seen(), trips(proxy.record()));
        let text = counts.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        // Whoever asked has gone.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

async fn ask(address: &str) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).await.context("no connection")?;
    let mut counts = String::new();
    stream.read_to_string(&mut counts).await?;
    counts.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("no counts")
}

/// A number for each of the [`UNITS`].
fn tally(seen: &BTreeMap<String, u64>, trips: usize) -> Vec<f64> {
    let mut counts = vec![0.0; UNITS.len()];
    let place = |unit: &str| UNITS.iter().position(|other| *other == unit);
    for (name, count) in seen {
        let count = *count as f64;
        counts[place(name).or_else(|| place(OTHERS)).unwrap_or_default()] += count;
        if name != "ping" {
            counts[place(REQUESTS).unwrap_or_default()] += count;
        }
    }
    counts[place(TRIPS).unwrap_or_default()] += trips as f64;
    counts
}

/// Of all connections together.
fn trips(record: Vec<Frame>) -> usize {
    let mut connections: BTreeMap<usize, Vec<Frame>> = BTreeMap::new();
    for frame in record {
        connections.entry(frame.connection).or_default().push(frame);
    }
    connections.values().map(|frames| Frame::round_trips(frames)).sum()
}

const COUNTS: &str = "counts=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_name() {
        let seen = [("create", 3), ("sync", 2), ("setData", 1), ("ping", 9)];
        let seen = seen.map(|(name, count)| (name.to_owned(), count)).into();
        let counts = tally(&seen, 4);
        let of = |unit| counts[UNITS.iter().position(|other| *other == unit).unwrap()];
        assert_eq!([REQUESTS, TRIPS, "create", "ping", OTHERS].map(of), [6.0, 4.0, 3.0, 9.0, 3.0]);
    }
}
