//! The server, and how its commands are counted.

use std::env;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use lock_testkit::{Flavour, Proxy, Redis};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use crate::subjects::store::{Meter, far};

/// A server of our own that keeps nothing on the disk. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    redis: Redis,
    /// What clients go through, if they do not connect to the server itself.
    link: Option<Proxy>,
}

/// Every command that clients send from here on, and apart from those, what scripts run.
pub(super) struct Monitor {
    address: SocketAddr,
    lines: Lines<BufReader<TcpStream>>,
}

impl Server {
    /// Redis, unless the environment wants Valkey.
    pub(super) async fn start() -> Result<Self> {
        let flavour = match env::var(FLAVOUR).as_deref() {
            Err(_) | Ok("" | "redis") => Flavour::Redis,
            Ok("valkey") => Flavour::Valkey,
            Ok(other) => bail!("{FLAVOUR} is `redis` or `valkey`, not `{other}`"),
        };
        Ok(Self { redis: Redis::options(flavour).start().await, link: None })
    }

    /// One at the end of a [link](far::link).
    pub(super) async fn start_far() -> Result<Self> {
        let near = Self::start().await?;
        Ok(Self { link: Some(far::link(near.redis.addr()).await), ..near })
    }

    pub(super) fn url(&self) -> String {
        self.link.as_ref().map_or_else(|| self.redis.url(), |link| self.redis.url_via(link))
    }

    /// A way to it that counts commands and messages.
    pub(super) async fn counted(&self) -> Proxy {
        Proxy::resp(self.redis.addr()).await
    }

    pub(super) fn url_via(&self, way: &Proxy) -> String {
        self.redis.url_via(way)
    }

    pub(super) fn process(&self) -> u32 {
        self.redis.pid()
    }
}

impl Meter for Monitor {
    async fn start(url: &str) -> Result<Self> {
        let address = address(url)?;
        let mut stream = TcpStream::connect(address).await.context("no connection")?;
        stream.write_all(b"MONITOR\r\n").await?;
        let mut lines = BufReader::new(stream).lines();
        let answer = lines.next_line().await?;
        ensure!(answer.as_deref() == Some("+OK"), "the server answers {answer:?} to MONITOR");
        Ok(Self { address, lines })
    }

    async fn read(mut self) -> Result<Vec<f64>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(format!("ECHO {MARK}\r\n").as_bytes()).await?;
        let (mut of_clients, mut of_scripts) = (0_u32, 0_u32);
        while let Some(line) = self.lines.next_line().await? {
            if line.contains(MARK) {
                return Ok(vec![f64::from(of_clients), f64::from(of_scripts)]);
            }
            let count = if is_from_client(&line) { &mut of_clients } else { &mut of_scripts };
            *count += 1;
        }
        bail!("the server has ended")
    }
}

/// Where the server of a [`Server::url`] is.
pub(super) fn address(url: &str) -> Result<SocketAddr> {
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    address.parse().with_context(|| format!("{url} has no address"))
}

/// Lines are such as `+1700000000.123456 [0 127.0.0.1:50000] "GET" "key"`; of a script, `[0 lua]`.
fn is_from_client(line: &str) -> bool {
    let source = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    source.is_some_and(|(source, _)| !source.ends_with(" lua"))
}

const FLAVOUR: &str = "LEASEHOLD_BENCH_REDIS_FLAVOUR";
const MARK: &str = "leasehold-bench-counts-until-here";

pub(super) const COMMANDS: &str = "commands";
/// What scripts run, which costs the server and no trip.
pub(super) const IN_SCRIPTS: &str = "run by scripts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_scripts_are_told_apart() {
        assert!(is_from_client("+1700000000.123456 [0 127.0.0.1:50000] \"GET\" \"a [0 lua]\""));
        assert!(!is_from_client("+1700000000.123456 [0 lua] \"GET\" \"a\""));
        assert!(!is_from_client("+OK"));
    }
}
