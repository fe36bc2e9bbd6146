//! The server, and how its commands are counted.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

/// A Redis of our own that keeps nothing on the disk. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    folder: PathBuf,
    url: String,
}

/// Every command that clients send from here on; not those that scripts run.
pub(super) struct Monitor {
    address: String,
    lines: Lines<BufReader<TcpStream>>,
}

impl Server {
    pub(super) fn start() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = std::env::temp_dir().join(format!("leasehold-bench-{port}"));
        fs::create_dir_all(&folder)?;
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server does not start")?;
        let server = Self { process, folder, url: format!("redis://{address}") };
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(start.elapsed() < PATIENCE, "redis-server does not answer");
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What fails here has ended already, or is left to the system.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Monitor {
    pub(super) async fn start(url: &str) -> Result<Self> {
        let address = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let mut stream = TcpStream::connect(&address).await.with_context(|| address.clone())?;
        stream.write_all(b"MONITOR\r\n").await?;
        let mut lines = BufReader::new(stream).lines();
        let answer = lines.next_line().await?;
        ensure!(answer.as_deref() == Some("+OK"), "the server answers {answer:?} to MONITOR");
        Ok(Self { address, lines })
    }

    /// How many commands came until now.
    pub(super) async fn count(mut self) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(format!("ECHO {MARK}\r\n").as_bytes()).await?;
        let mut commands = 0;
        while let Some(line) = self.lines.next_line().await? {
            if line.contains(MARK) {
                return Ok(commands);
            }
            commands += u64::from(is_from_client(&line));
        }
        bail!("the server has ended")
    }
}

/// Lines are such as `+1700000000.123456 [0 127.0.0.1:50000] "GET" "key"`; of a script, `[0 lua]`.
fn is_from_client(line: &str) -> bool {
    let source = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    source.is_some_and(|(source, _)| !source.ends_with(" lua"))
}

const PATIENCE: Duration = Duration::from_secs(10);
const MARK: &str = "leasehold-bench-counts-until-here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_scripts_are_not_counted() {
        assert!(is_from_client("+1700000000.123456 [0 127.0.0.1:50000] \"GET\" \"a [0 lua]\""));
        assert!(!is_from_client("+1700000000.123456 [0 lua] \"GET\" \"a\""));
        assert!(!is_from_client("+OK"));
    }
}
