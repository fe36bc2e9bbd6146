//! The `etcdctl` that Debian packages, as a client of the same lock.

use std::path::{Path, PathBuf};
use std::process::Command;

use lock_conformance::time::eventually;
use lock_testkit::{Etcd, Process};

/// `etcdctl lock NAME`, which holds until it is told to stop. Killed when this is dropped.
pub(crate) struct Etcdctl {
    process: Process,
    log: PathBuf,
}

impl Etcdctl {
    /// Starts it; its lease is of so many seconds. It queues a little later.
    pub(crate) fn start(server: &Etcd, name: &str, ttl: u32) -> Self {
        let log = format!("etcdctl-{}-{:016x}.log", std::process::id(), fastrand::u64(..));
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(log);
        let mut command = command(server);
        command.args(["lock", &format!("--ttl={ttl}"), name]);
        Self { process: Process::start("etcdctl", &command, &log), log }
    }

    /// As [`start`](Self::start), and returns when it stands in the queue.
    pub(crate) async fn queue(server: &Etcd, name: &str, ttl: u32) -> Self {
        let there = async || server.keys(format!("{name}/")).await.len();
        let before = there().await;
        let started = Self::start(server, name, ttl);
        eventually("etcdctl has queued", async || there().await > before).await;
        started
    }

    /// As [`queue`](Self::queue), and returns when it holds.
    pub(crate) async fn hold(server: &Etcd, name: &str, ttl: u32) -> Self {
        let started = Self::queue(server, name, ttl).await;
        eventually("etcdctl holds", async || started.holds()).await;
        started
    }

    /// Whether it has said that it holds: it prints its key then.
    pub(crate) fn holds(&self) -> bool {
        assert!(self.process.is_running(), "etcdctl has ended: {}", self.process.logs());
        !self.process.logs().is_empty()
    }

    /// Tells it to give the lock back and end, as who presses Ctrl-C does.
    pub(crate) async fn end(self) {
        let pid = self.process.pid().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        eventually("etcdctl ends", async || !self.process.is_running()).await;
    }

    /// Kills it: it gives nothing back.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}

impl Drop for Etcdctl {
    fn drop(&mut self) {
        // At worst it stays with what else was built.
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Runs an `etcdctl` that has to succeed.
pub(crate) fn run(server: &Etcd, words: &[&str]) {
    let output = command(server).args(words).output().unwrap();
    assert!(output.status.success(), "etcdctl {words:?}: {output:?}");
}

fn command(server: &Etcd) -> Command {
    let mut command = Command::new("etcdctl");
    let endpoint = format!("--endpoints=127.0.0.1:{}", server.port());
    command.env("ETCDCTL_API", "3").arg(endpoint);
    command
}
