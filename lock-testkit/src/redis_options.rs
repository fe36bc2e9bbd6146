//! What a Redis is started with.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::redis::Redis;
use crate::tls::TlsOptions;
use crate::tools;

/// Whose server it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flavour {
    /// The `redis-server` of the distribution.
    #[default]
    Redis,
    /// The `valkey-server` that `cargo xtask setup` fetched. It has no TLS.
    Valkey,
}

impl Flavour {
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Redis => tools::installed("redis-server"),
            Self::Valkey => tools::fetched("valkey-server"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

/// What a [`Redis`] is started with. Without any option: no persistence, no password, no TLS.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing starts before `start`"]
pub struct RedisOptions {
    pub(crate) flavour: Flavour,
    pub(crate) append_only: bool,
    pub(crate) password: Option<String>,
    pub(crate) users: Vec<String>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) lines: Vec<String>,
    pub(crate) cluster: bool,
    pub(crate) variables: Vec<(String, String)>,
}

impl RedisOptions {
    /// A server of `flavour` without any option.
    pub fn new(flavour: Flavour) -> Self {
        Self { flavour, ..Self::default() }
    }

    /// Every write is on the disk before it is answered (`appendfsync always`).
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Clients of the default user must give this password, and so must replicas.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A user, as in the server's configuration: `joe on >secret ~lock:* &* +@read`.
    pub fn user(mut self, rules: &str) -> Self {
        self.users.push(rules.to_owned());
        self
    }

    #[cfg(feature = "tls")]
    /// With certificates of its own.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How much it may store, as `2mb`; beyond that, writes fail.
    pub fn max_memory(self, limit: &str) -> Self {
        self.config(&format!("maxmemory {limit}")).config("maxmemory-policy noeviction")
    }

    /// It copies the server at `primary`.
    pub fn replica_of(self, primary: SocketAddr) -> Self {
        self.config(&format!("replicaof {} {}", primary.ip(), primary.port()))
    }

    /// A line of the server's configuration file.
    pub fn config(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// A variable of the server's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cluster_node(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// Starts the server, and returns when it answers.
    ///
    /// # Panics
    ///
    /// When the program is not installed, or does not answer within 20 s.
    ///
    /// # Cancel safety
    ///
    /// A server that was started is killed.
    pub async fn start(self) -> Redis {
        Redis::start(self).await
    }

    /// The configuration file, but for its ports.
    pub(crate) fn configuration(&self, dir: &Path) -> String {
        let mut text = format!(
            "bind 127.0.0.1\nprotected-mode no\ndaemonize no\ndir {0}/data\n\
             unixsocket {0}/socket\nsave \"\"\n\
             repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n",
            dir.display(),
        );
        let mut line = |line: &str| text.write_fmt(format_args!("{line}\n")).expect("text grows");
        if self.append_only {
            line("appendonly yes");
            line("appendfsync always");
        }
        if let Some(password) = &self.password {
            line(&format!("requirepass {password}"));
            line(&format!("masterauth {password}"));
        }
        if !self.users.is_empty() {
            // Whatever the others may do, the test can look into the server.
            line(&format!("user {OBSERVER} on >{OBSERVER} ~* &* +@all"));
        }
        for user in &self.users {
            line(&format!("user {user}"));
        }
        if self.cluster {
            line("cluster-enabled yes");
            line("cluster-node-timeout 2000");
        }
        for own in &self.lines {
            line(own);
        }
        text
    }
}

/// Name and password of the user for the kit itself, where there are users.
pub(crate) const OBSERVER: &str = "leasehold-testkit";
