//! One server.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::etcd::command::{Peers, Ports, command};
use crate::etcd::options::{EtcdOptions, EtcdVersion};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::tls::Tls;
use crate::wait::scaled;

/// A server on 127.0.0.1 that nobody else uses, killed when this is dropped.
///
/// ```no_run
/// # async fn test() {
/// use lock_testkit::{Etcd, EtcdVersion, Permission};
///
/// let rights = [("lock/", Permission::ReadWrite)];
/// let server = Etcd::options(EtcdVersion::V3_4).user("joe", "pw", &rights).start().await;
/// // The client under test connects to server.url_as("joe", "pw") and takes a lock …
/// for lease in server.leases().await {
///     server.revoke_lease(lease).await;
/// }
/// // … and has lost it.
/// assert!(server.keys("lock/").await.is_empty());
/// # }
/// ```
///
/// The kit looks into it through a port of its own, over HTTP. Those requests count among the RPCs
/// that the server counts; in no other way do they meet the clients.
#[derive(Debug)]
pub struct Etcd {
    // Before the directory, so that the process is gone when its files go.
    process: Mutex<Process>,
    options: EtcdOptions,
    ports: Ports,
    peers: Peers,
    tls: Option<Tls>,
    token: Mutex<Option<String>>,
    dir: TempDir,
}

impl Etcd {
    /// What a server can be started with.
    pub fn options(version: EtcdVersion) -> EtcdOptions {
        EtcdOptions::new(version)
    }

    pub(crate) async fn start(options: EtcdOptions) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let ports = Ports::claim();
            let peers = Peers::none(&ports);
            let server = Self::launch(&options, ports, peers, None);
            if server.ready().await.is_ok() {
                server.set_up_users().await;
                return server;
            }
        }
        panic!("{} found its ports taken {PORT_ATTEMPTS} times", options.version.name());
    }

    /// Where clients connect: with TLS, if it has TLS.
    pub fn addr(&self) -> SocketAddr {
        self.ports.client.addr()
    }

    /// The port of [`addr`](Etcd::addr).
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Where clients connect without TLS, unless that is off.
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        match &self.options.tls {
            None => Some(self.addr()),
            Some(tls) => tls.has_plain_port().then(|| self.ports.observer.addr()),
        }
    }

    /// `etcd://127.0.0.1:…`, or `etcds://localhost:…` with TLS.
    pub fn url(&self) -> String {
        self.url_with("", self.port())
    }

    /// The [`url`](Etcd::url) of the way through a proxy.
    pub fn url_via(&self, proxy: &Proxy) -> String {
        self.url_with("", proxy.addr().port())
    }

    /// The [`url`](Etcd::url) of a user.
    ///
    /// No character is escaped: choose a password that needs none.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url_with(&format!("{user}:{password}@"), self.port())
    }

    #[cfg(feature = "tls")]
    /// Its certificates, if it has TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Which etcd it is.
    pub fn version(&self) -> EtcdVersion {
        self.options.version
    }

    /// The shortest lease that it grants: it makes shorter ones as long as this.
    pub fn min_lease_ttl(&self) -> Duration {
        let ticks = self.options.election.as_millis() / self.options.heartbeat.as_millis();
        let time = u128::div_ceil(3 * ticks / 2 * self.options.heartbeat.as_millis(), 1000);
        Duration::from_secs(u64::try_from(time).expect("BUG: an election takes no ages"))
    }

    /// Freezes it: connections stay open and silent, and new ones are accepted by the kernel.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// Lets it go on after [`pause`](Etcd::pause).
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// Kills it with `SIGKILL`. Its port stays taken, its data on the disk.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Whether its process lives, frozen or not.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Kills it if it lives, and starts it again with its ports and with what it had on the disk.
    ///
    /// Every lease then has its full time again. It takes the time of an election or two, as
    /// the server waits whether there is a leader. The tokens of users may be good or void.
    ///
    /// # Panics
    ///
    /// When it does not answer within 20 s.
    ///
    /// # Cancel safety
    ///
    /// The server is up, or coming up.
    pub async fn restart(&self) {
        self.kill();
        self.run_again().await;
    }

    /// As [`restart`](Etcd::restart), without any data but its users.
    ///
    /// # Panics
    ///
    /// When it does not answer within 20 s. A member of a cluster does not.
    ///
    /// # Cancel safety
    ///
    /// The server is up, or coming up, and may have no users.
    pub async fn restart_empty(&self) {
        self.kill();
        fs::remove_dir_all(self.data()).expect("the data can be removed");
        self.run_again().await;
        self.set_up_users().await;
    }

    /// All that it has printed, over its restarts.
    pub fn logs(&self) -> String {
        self.process().logs()
    }

    pub(crate) fn observer(&self) -> SocketAddr {
        self.ports.observer.addr()
    }

    pub(crate) fn options_used(&self) -> &EtcdOptions {
        &self.options
    }

    /// With the certificates of its cluster, or with some of its own.
    pub(crate) fn launch(
        options: &EtcdOptions,
        ports: Ports,
        peers: Peers,
        tls: Option<Tls>,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        let make = || options.tls.as_ref().map(|tls| Tls::make(tls, dir.path()));
        let tls = tls.or_else(make);
        let command = command(options, &ports, &peers, tls.as_ref(), &dir.path().join(DATA));
        let process = Process::start(options.version.name(), &command, &dir.path().join(LOG));
        let (process, token) = (Mutex::new(process), Mutex::default());
        Self { process, options: options.clone(), ports, peers, tls, token, dir }
    }

    async fn run_again(&self) {
        let command =
            command(&self.options, &self.ports, &self.peers, self.tls.as_ref(), &self.data());
        let log = self.dir.path().join(LOG);
        *self.process() = Process::start(self.options.version.name(), &command, &log);
        *self.kept_token() = None;
        if let Err(PortTaken) = self.ready().await {
            panic!("somebody took a port of {}", self.name());
        }
    }

    /// Waits until it serves reads, for which a member of a cluster needs a leader.
    pub(crate) async fn ready(&self) -> Result<(), PortTaken> {
        let start = Instant::now();
        loop {
            if self.call("/v3/kv/range", json!({"key": "AA=="})).await.is_ok() {
                return Ok(());
            }
            {
                let process = self.process();
                if !process.is_running() {
                    if process.logs().contains("address already in use") {
                        return Err(PortTaken);
                    }
                    panic!("{} did not start; {}", self.name(), process.last_logs());
                }
            }
            if start.elapsed() > scaled(START) {
                panic!("{} does not answer within {START:?}", self.name());
            }
            sleep(PAUSE).await;
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    fn url_with(&self, credentials: &str, port: u16) -> String {
        let (scheme, host) = match self.tls {
            Some(_) => ("etcds", "localhost"),
            None => ("etcd", "127.0.0.1"),
        };
        format!("{scheme}://{credentials}{host}:{port}")
    }

    pub(super) fn name(&self) -> String {
        format!("{} at {}", self.options.version.name(), self.addr())
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of the kit, if it has one.
    pub(super) fn kept_token(&self) -> MutexGuard<'_, Option<String>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct PortTaken;

const DATA: &str = "data";
const LOG: &str = "log";
const PORT_ATTEMPTS: usize = 5;
const START: Duration = Duration::from_secs(20);
pub(super) const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_noticed() {
        for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
            for taken in [|ports: &Ports| ports.client.addr(), |ports: &Ports| ports.peer.addr()] {
                let ports = Ports::claim();
                let _other = TcpListener::bind(taken(&ports)).unwrap();
                let peers = Peers::none(&ports);
                let server = Etcd::launch(&EtcdOptions::new(version), ports, peers, None);
                assert!(server.ready().await.is_err());
            }
        }
    }
}
