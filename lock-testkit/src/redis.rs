//! A Redis, or a Valkey, of the test's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::port::Port;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::redis_options::{Flavour, OBSERVER, RedisOptions};
use crate::resp::{Resp, Value};
use crate::tls::{Tls, TlsOptions};
use crate::wait::scaled;

/// A server on 127.0.0.1 that nobody else uses, killed when this is dropped.
#[derive(Debug)]
pub struct Redis {
    // Before the directory, so that the process is gone when its files go.
    process: Mutex<Process>,
    options: RedisOptions,
    ports: Ports,
    tls: Option<Tls>,
    dir: TempDir,
}

impl Redis {
    /// What a server can be started with.
    pub fn options(flavour: Flavour) -> RedisOptions {
        RedisOptions::new(flavour)
    }

    pub(crate) async fn start(options: RedisOptions) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let server = Self::launch(&options);
            if server.ready().await.is_ok() {
                return server;
            }
        }
        panic!("{} found its ports taken {PORT_ATTEMPTS} times", options.flavour.name());
    }

    /// Where clients connect: with TLS, if it has TLS.
    pub fn addr(&self) -> SocketAddr {
        let main = self.ports.tls.as_ref().or(self.ports.plain.as_ref());
        main.expect("BUG: every server has one of the two").addr()
    }

    /// The port of [`addr`](Redis::addr).
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Where clients connect without TLS, unless that is off.
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        self.ports.plain.as_ref().map(Port::addr)
    }

    /// `redis://127.0.0.1:…`, or `rediss://localhost:…` with TLS; with the password, if it has one.
    ///
    /// No character is escaped: choose a password that needs none.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The [`url`](Redis::url) of the way through a proxy.
    pub fn url_via(&self, proxy: &Proxy) -> String {
        self.url_at(proxy.addr().port())
    }

    /// The [`url`](Redis::url) of a user.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url_with(&format!("{user}:{password}@"), self.port())
    }

    #[cfg(feature = "tls")]
    /// Its certificates, if it has TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// A connection that may do everything.
    ///
    /// # Panics
    ///
    /// When the server is down or paused.
    pub async fn resp(&self) -> Resp {
        match self.try_resp().await {
            Ok(resp) => resp,
            Err(error) => panic!("no connection to {}: {error}", self.name()),
        }
    }

    /// A connection that may do everything, or why there is none.
    ///
    /// # Errors
    ///
    /// What the socket says, or [`TimedOut`](io::ErrorKind::TimedOut) after ten seconds.
    pub async fn try_resp(&self) -> io::Result<Resp> {
        // A server whose every port speaks TLS has the socket too.
        let mut resp = match &self.ports.plain {
            Some(port) => Resp::try_connect(port.addr()).await?,
            None => Resp::try_connect_unix(&self.dir.path().join(SOCKET)).await?,
        };
        if !self.options.users.is_empty() {
            resp.try_command(&["AUTH", OBSERVER, OBSERVER]).await?;
        } else if let Some(password) = &self.options.password {
            resp.try_command(&["AUTH", password]).await?;
        }
        Ok(resp)
    }

    /// Freezes it: connections stay open and silent, and new ones are accepted by the kernel.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// Lets it go on after [`pause`](Redis::pause).
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

    /// Kills it if it lives, and starts it again with its port and with what it had on the disk.
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

    /// As [`restart`](Redis::restart), without any data.
    ///
    /// # Panics
    ///
    /// When it does not answer within 20 s.
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

    pub(crate) fn options_used(&self) -> &RedisOptions {
        &self.options
    }

    /// The port on which the nodes of a cluster speak to each other.
    pub(crate) fn bus_port(&self) -> Option<u16> {
        self.ports.bus.as_ref().map(Port::number)
    }

    fn launch(options: &RedisOptions) -> Self {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        fs::create_dir(dir.path().join(DATA)).expect("the data has a directory");
        let tls = options.tls.as_ref().map(|tls| Tls::make(tls, dir.path()));
        let ports = Ports::claim(options);
        let text = options.configuration(dir.path())
            + &ports.configuration()
            + &tls.as_ref().map(Tls::configuration).unwrap_or_default();
        fs::write(dir.path().join(CONFIGURATION), text).expect("the configuration is written");
        let process = Mutex::new(run(options, dir.path()));
        Self { process, options: options.clone(), ports, tls, dir }
    }

    async fn run_again(&self) {
        let process = run(&self.options, self.dir.path());
        *self.process() = process;
        if let Err(PortTaken) = self.ready().await {
            panic!("somebody took the port of {}", self.name());
        }
    }

    async fn ready(&self) -> Result<(), PortTaken> {
        let start = Instant::now();
        loop {
            if self.answers().await {
                return Ok(());
            }
            {
                let process = self.process();
                if !process.is_running() {
                    if process.logs().contains("in use") {
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

    async fn answers(&self) -> bool {
        let Ok(mut resp) = self.try_resp().await else { return false };
        // An error means that it is still reading its data.
        matches!(resp.try_command(&["PING"]).await, Ok(Value::Simple(pong)) if pong == "PONG")
    }

    fn url_at(&self, port: u16) -> String {
        let password = self.options.password.as_ref();
        let credentials = password.map(|password| format!(":{password}@")).unwrap_or_default();
        self.url_with(&credentials, port)
    }

    fn url_with(&self, credentials: &str, port: u16) -> String {
        let (scheme, host) = match self.tls {
            Some(_) => ("rediss", "localhost"),
            None => ("redis", "127.0.0.1"),
        };
        format!("{scheme}://{credentials}{host}:{port}")
    }

    fn name(&self) -> String {
        format!("{} at {}", self.options.flavour.name(), self.addr())
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PortTaken;

#[derive(Debug)]
struct Ports {
    plain: Option<Port>,
    tls: Option<Port>,
    bus: Option<Port>,
}

impl Ports {
    fn claim(options: &RedisOptions) -> Self {
        let plain = options.tls.as_ref().is_none_or(TlsOptions::has_plain_port);
        Self {
            plain: plain.then(Port::claim),
            tls: options.tls.is_some().then(Port::claim),
            bus: options.cluster.then(Port::claim),
        }
    }

    fn configuration(&self) -> String {
        let number = |port: &Option<Port>| port.as_ref().map_or(0, Port::number);
        let mut text = format!("port {}\n", number(&self.plain));
        for (name, port) in [("tls-port", &self.tls), ("cluster-port", &self.bus)] {
            if port.is_some() {
                text += &format!("{name} {}\n", number(port));
            }
        }
        text
    }
}

fn run(options: &RedisOptions, dir: &Path) -> Process {
    let mut command = Command::new(options.flavour.program());
    command.arg(dir.join(CONFIGURATION));
    command.envs(options.variables.iter().map(|(name, value)| (name, value)));
    Process::start(options.flavour.name(), &command, &dir.join(LOG))
}

const CONFIGURATION: &str = "server.conf";
const DATA: &str = "data";
const LOG: &str = "log";
const SOCKET: &str = "socket";
const PORT_ATTEMPTS: usize = 5;
const START: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
