//! One server.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::process::Process;
use crate::proxy::Proxy;
use crate::tls::Tls;
use crate::wait::scaled;
use crate::zk::command::{DATA, Peers, Ports, command};
use crate::zk::options::ZkOptions;
use crate::zk::words;

/// A server on 127.0.0.1 that nobody else uses, killed when this is dropped: the 3.8 that Debian 12
/// packages.
///
/// ```no_run
/// # async fn test() {
/// use lock_testkit::Zk;
///
/// let server = Zk::start().await;
/// // The client under test connects to server.connect_string() and takes a lock …
/// for session in server.sessions().await {
///     server.expire_session(session.id).await;
/// }
/// // … and has lost it.
/// assert!(server.children("/lock").await.is_empty());
/// # }
/// ```
///
/// The kit looks into it through connections of its own from 127.0.0.2, without TLS. Its requests
/// count among those that the server counts, and its sessions make transactions; in no other way
/// do they meet the clients.
#[derive(Debug)]
pub struct Zk {
    // Before the directory, so that the process is gone when its files go.
    process: Mutex<Process>,
    options: ZkOptions,
    ports: Ports,
    peers: Peers,
    tls: Option<Tls>,
    dir: TempDir,
}

impl Zk {
    /// What a server can be started with.
    pub fn options() -> ZkOptions {
        ZkOptions::new()
    }

    /// Starts one without any option, and returns when it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed, or does not answer within 30 s.
    ///
    /// # Cancel safety
    ///
    /// A server that was started is killed.
    pub async fn start() -> Self {
        Self::start_with(ZkOptions::new()).await
    }

    /// Starts one with these options, and returns when it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed, or does not answer within 30 s.
    ///
    /// # Cancel safety
    ///
    /// A server that was started is killed.
    pub async fn start_with(options: ZkOptions) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let server = Self::launch(&options, Ports::claim(&options), Peers::default(), None);
            if server.ready().await.is_ok() {
                return server;
            }
        }
        panic!("ZooKeeper found its ports taken {PORT_ATTEMPTS} times");
    }

    /// Where clients connect: with TLS, if it has TLS.
    pub fn addr(&self) -> SocketAddr {
        self.ports.tls.as_ref().unwrap_or(&self.ports.plain).addr()
    }

    /// The port of [`addr`](Zk::addr).
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Where clients connect without TLS, unless that is off.
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        match &self.options.tls {
            None => Some(self.addr()),
            Some(tls) => tls.has_plain_port().then(|| self.observer()),
        }
    }

    /// `127.0.0.1:…`, or `localhost:…` with TLS, as clients of ZooKeeper want it.
    pub fn connect_string(&self) -> String {
        self.connect_string_at(self.port())
    }

    /// The [`connect_string`](Zk::connect_string) of the way through a proxy.
    pub fn connect_string_via(&self, proxy: &Proxy) -> String {
        self.connect_string_at(proxy.addr().port())
    }

    #[cfg(feature = "tls")]
    /// Its certificates, if it has TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The shortest timeout that it grants to a session.
    pub fn min_session_timeout(&self) -> Duration {
        self.options.sessions.0.unwrap_or(2 * self.options.tick)
    }

    /// The longest timeout that it grants to a session.
    pub fn max_session_timeout(&self) -> Duration {
        self.options.sessions.1.unwrap_or(20 * self.options.tick)
    }

    /// Freezes it: connections stay open and silent, and new ones are accepted by the kernel.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// Lets it go on after [`pause`](Zk::pause). Sessions whose timeout is over by then expire
    /// though it was it that slept, unless it first reads the pings that wait in its sockets: either
    /// may happen.
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
    /// Every session then has its full time again.
    ///
    /// # Panics
    ///
    /// When it does not answer within 30 s.
    ///
    /// # Cancel safety
    ///
    /// The server is up, or coming up.
    pub async fn restart(&self) {
        self.kill();
        self.run_again().await;
    }

    /// As [`restart`](Zk::restart), without any data.
    ///
    /// # Panics
    ///
    /// When it does not answer within 30 s.
    ///
    /// # Cancel safety
    ///
    /// The server is up, or coming up.
    pub async fn restart_empty(&self) {
        self.kill();
        let data = self.dir.path().join(DATA);
        fs::remove_dir_all(&data).expect("the data can be removed");
        fs::create_dir(&data).expect("the data has a directory");
        self.run_again().await;
    }

    /// All that it has printed, over its restarts.
    pub fn logs(&self) -> String {
        self.process().logs()
    }

    pub(crate) fn observer(&self) -> SocketAddr {
        self.ports.plain.addr()
    }

    pub(crate) fn superuser(&self) -> (&str, &str) {
        (&self.options.superuser.0, &self.options.superuser.1)
    }

    /// With the certificates of its ensemble, or with some of its own.
    pub(crate) fn launch(
        options: &ZkOptions,
        ports: Ports,
        peers: Peers,
        tls: Option<Tls>,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        fs::create_dir(dir.path().join(DATA)).expect("the data has a directory");
        let make = || options.tls.as_ref().map(|tls| Tls::make(tls, dir.path()));
        let tls = tls.or_else(make);
        let command = command(options, &ports, &peers, tls.as_ref(), dir.path());
        let process = Mutex::new(Process::start(NAME, &command, &dir.path().join(LOG)));
        Self { process, options: options.clone(), ports, peers, tls, dir }
    }

    async fn run_again(&self) {
        let command =
            command(&self.options, &self.ports, &self.peers, self.tls.as_ref(), self.dir.path());
        *self.process() = Process::start(NAME, &command, &self.dir.path().join(LOG));
        if let Err(PortTaken) = self.ready().await {
            panic!("somebody took a port of ZooKeeper at {}", self.addr());
        }
    }

    /// Waits until it serves clients.
    pub(crate) async fn ready(&self) -> Result<(), PortTaken> {
        let start = Instant::now();
        loop {
            if self.serves().await {
                return Ok(());
            }
            {
                let process = self.process();
                if !process.is_running() {
                    // Of all its restarts, the last one counts.
                    if process.last_logs().contains("Address already in use") {
                        return Err(PortTaken);
                    }
                    panic!("ZooKeeper at {} did not start; {}", self.addr(), process.last_logs());
                }
            }
            if start.elapsed() > scaled(START) {
                panic!("ZooKeeper at {} does not answer within {START:?}", self.addr());
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether it serves clients, at each of its ports.
    pub(crate) async fn serves(&self) -> bool {
        // A connection that comes too early is accepted, and never answered.
        let state = words::ask(self.observer(), "srvr", scaled(EARLY)).await;
        // It opens the port for TLS after that.
        state.is_ok_and(|state| state.contains("Mode: "))
            && TcpStream::connect(self.addr()).await.is_ok()
    }

    fn connect_string_at(&self, port: u16) -> String {
        let host = if self.tls.is_some() { "localhost" } else { "127.0.0.1" };
        format!("{host}:{port}")
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct PortTaken;

const NAME: &str = "ZooKeeper";
const LOG: &str = "log";
const PORT_ATTEMPTS: usize = 5;
const START: Duration = Duration::from_secs(30);
const EARLY: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_noticed() {
        let options = ZkOptions::new();
        let ports = Ports::claim(&options);
        let _other = TcpListener::bind(ports.plain.addr()).unwrap();
        let server = Zk::launch(&options, ports, Peers::default(), None);
        assert!(server.ready().await.is_err());
    }
}
