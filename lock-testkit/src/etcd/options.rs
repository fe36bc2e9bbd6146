//! What an etcd is started with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::etcd::server::Etcd;
use crate::tls::TlsOptions;
use crate::tools;

/// Which etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EtcdVersion {
    /// The `etcd` that Debian 12 packages.
    V3_4,
    /// The one that comes with this crate.
    V3_7,
}

impl EtcdVersion {
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::V3_4 => {
                let program = tools::installed("etcd");
                let version = INSTALLED.get_or_init(|| version_of(&program));
                assert!(
                    version.starts_with("etcd Version: 3.4."),
                    "`etcd` says “{version}”, and the tests want the 3.4 that \
                     `cargo xtask setup` installs on Debian 12",
                );
                program
            }
            Self::V3_7 => match etcd_bin_vendored::etcd_bin_path() {
                Ok(path) => path.to_owned(),
                Err(error) => panic!("no etcd 3.7 for this machine: {error}"),
            },
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V3_4 => "etcd 3.4",
            Self::V3_7 => "etcd 3.7",
        }
    }
}

/// What a user may do with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read and watch them.
    Read,
    /// Write and delete them.
    Write,
    /// Both.
    ReadWrite,
}

impl Permission {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadWrite => "READWRITE",
        }
    }
}

/// What an [`Etcd`] is started with. Without any option: durable, no users, no TLS, and the times of
/// etcd itself, by which no lease is shorter than two seconds.
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `start`"]
pub struct EtcdOptions {
    pub(crate) version: EtcdVersion,
    pub(crate) users: Vec<User>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) heartbeat: Duration,
    pub(crate) election: Duration,
    flags: Vec<String>,
}

impl EtcdOptions {
    /// A server of `version` without any option.
    pub fn new(version: EtcdVersion) -> Self {
        Self {
            version,
            users: Vec::new(),
            tls: None,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(1000),
            flags: Vec::new(),
        }
    }

    /// Clients must be users, of whom this is one; it may do this with the keys of these prefixes.
    ///
    /// The kit itself is `root`.
    pub fn user(mut self, name: &str, password: &str, rights: &[(&str, Permission)]) -> Self {
        let rights = rights.iter().map(|(prefix, right)| ((*prefix).to_owned(), *right)).collect();
        self.users.push(User { name: name.to_owned(), password: password.to_owned(), rights });
        self
    }

    #[cfg(feature = "tls")]
    /// With certificates of its own. Who shows a client's certificate and no token is the user
    /// `client`.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How large its data may grow; beyond that it raises an alarm, and writes fail until
    /// that is taken back.
    pub fn quota_bytes(self, bytes: u64) -> Self {
        self.flag(&format!("--quota-backend-bytes={bytes}"))
    }

    /// How often a leader is heard, and how long a member waits for it.
    ///
    /// etcd wants at least five heartbeats in `timeout`, and grants no lease shorter than
    /// [`Etcd::min_lease_ttl`], one and a half times the `timeout` in whole seconds.
    /// A restart takes as long as one or two of `timeout`.
    pub fn election(mut self, heartbeat: Duration, timeout: Duration) -> Self {
        self.heartbeat = heartbeat;
        self.election = timeout;
        self
    }

    /// How long the token of a user is good after it was last used, in whole seconds.
    pub fn simple_token_ttl(self, ttl: Duration) -> Self {
        self.flag(&format!("--auth-token-ttl={}", ttl.as_secs()))
    }

    /// It does not wait for the disk, and so may forget. Etcd 3.4 always waits.
    pub fn unsafe_no_fsync(self) -> Self {
        match self.version {
            EtcdVersion::V3_4 => self,
            EtcdVersion::V3_7 => self.flag("--unsafe-no-fsync"),
        }
    }

    /// A flag of the program, as `--max-txn-ops=8`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
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
    pub async fn start(self) -> Etcd {
        Etcd::start(self).await
    }

    /// The command, but for what concerns ports, peers and certificates.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.version.program());
        // It takes flags from there too.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD_") {
                command.env_remove(name);
            }
        }
        command
            .arg("--logger=zap")
            .arg("--log-outputs=stderr")
            .arg(format!("--heartbeat-interval={}", self.heartbeat.as_millis()))
            .arg(format!("--election-timeout={}", self.election.as_millis()))
            // As little as it allows: a test's password need not resist anybody.
            .arg("--bcrypt-cost=4")
            .args(&self.flags);
        command
    }
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) rights: Vec<(String, Permission)>,
}

/// What the program says of itself, in the first line.
fn version_of(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().expect("etcd tells its version");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

static INSTALLED: OnceLock<String> = OnceLock::new();
