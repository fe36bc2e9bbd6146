//! A master, a replica, and sentinels that watch them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::port::Port;
use crate::process::Process;
use crate::redis::Redis;
use crate::redis_options::{Flavour, RedisOptions};
use crate::resp::{Resp, Value};
use crate::wait::eventually;

/// What [`Sentinels`] are started with.
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `start`"]
pub struct SentinelOptions {
    sentinels: usize,
    servers: RedisOptions,
}

impl SentinelOptions {
    /// Three sentinels, and servers of `flavour` without any option.
    pub fn new(flavour: Flavour) -> Self {
        Self { sentinels: 3, servers: RedisOptions::new(flavour) }
    }

    /// How many sentinels there are. More than half of them decide.
    pub fn sentinels(mut self, count: usize) -> Self {
        self.sentinels = count;
        self
    }

    /// What the master and the replica are started with. The sentinels know their password, and
    /// have none themselves.
    pub fn servers(mut self, options: RedisOptions) -> Self {
        self.servers = options;
        self
    }

    /// Starts them, and returns when the replica is in step and every sentinel knows everyone.
    ///
    /// # Panics
    ///
    /// When a program is not installed, or when they are not ready within 30 s.
    pub async fn start(self) -> Sentinels {
        Sentinels::start_with(self).await
    }
}

/// A master and its replica, and sentinels that make the replica master within a few seconds of
/// the master's death. All are killed when this is dropped.
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<Sentinel>,
    servers: [Redis; 2],
}

impl Sentinels {
    /// Three sentinels, and servers without any option.
    ///
    /// # Panics
    ///
    /// As [`SentinelOptions::start`].
    pub async fn start(flavour: Flavour) -> Self {
        SentinelOptions::new(flavour).start().await
    }

    /// Where the sentinels are.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(|sentinel| sentinel.port.addr()).collect()
    }

    /// The name under which the sentinels know the master.
    pub fn master_name(&self) -> &str {
        NAME
    }

    /// `redis+sentinel://127.0.0.1:…,127.0.0.1:…,127.0.0.1:…/mymaster`, with the password of the
    /// servers, if they have one.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.addrs().iter().map(SocketAddr::to_string).collect();
        let password = self.servers[0].options_used().password.as_ref();
        let credentials = password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis+sentinel://{credentials}{}/{NAME}", hosts.join(","))
    }

    /// Both servers; the first was master at the start.
    pub fn servers(&self) -> &[Redis; 2] {
        &self.servers
    }

    /// The server at this address.
    ///
    /// # Panics
    ///
    /// When neither is.
    pub fn server_at(&self, addr: SocketAddr) -> &Redis {
        let server = self.servers.iter().find(|server| server.addr() == addr);
        server.unwrap_or_else(|| panic!("no server of this group is at {addr}"))
    }

    /// A connection to a sentinel, counted from zero.
    ///
    /// # Panics
    ///
    /// When there is no such sentinel, or when it is down.
    pub async fn resp(&self, sentinel: usize) -> Resp {
        Resp::connect(self.sentinels[sentinel].port.addr()).await
    }

    /// Kills a sentinel, counted from zero.
    ///
    /// # Panics
    ///
    /// When there is no such sentinel.
    pub fn kill_sentinel(&self, sentinel: usize) {
        self.sentinels[sentinel].process.kill();
    }

    /// The master, as the sentinels that live say with one voice.
    ///
    /// # Panics
    ///
    /// When they do not agree within 30 s.
    pub async fn master(&self) -> SocketAddr {
        eventually("the sentinels agree on the master", PATIENCE, || async {
            let mut masters = Vec::new();
            for sentinel in self.living() {
                masters.push(sentinel.master().await?);
            }
            masters.dedup();
            (masters.len() == 1).then(|| masters[0])
        })
        .await
    }

    /// Kills the server that the sentinels call master, and returns its address.
    ///
    /// # Panics
    ///
    /// As [`master`](Sentinels::master).
    pub async fn kill_master(&self) -> SocketAddr {
        let master = self.master().await;
        self.server_at(master).kill();
        master
    }

    /// Waits until a server other than `old` is master, and says so itself; returns its address.
    ///
    /// # Panics
    ///
    /// When that is not within 60 s.
    pub async fn master_after(&self, old: SocketAddr) -> SocketAddr {
        eventually("another master", FAILOVER, || async {
            let master = self.master().await;
            (master != old && self.role(master).await? == "master").then_some(master)
        })
        .await
    }

    /// Makes the replica master and the master replica while both live; returns the new master's
    /// address when both have their roles. What had not been copied by then is lost.
    ///
    /// # Panics
    ///
    /// When that is not done within 60 s.
    pub async fn failover(&self) -> SocketAddr {
        let old = self.master().await;
        eventually("a failover begins", FAILOVER, || async {
            // Refused while the last one is not over, or while a sentinel has not heard of the
            // replica for a while.
            let mut resp = self.living().next()?.resp().await?;
            let reply = resp.try_command(&["SENTINEL", "FAILOVER", NAME]).await.ok()?;
            (reply.as_str() == Some("OK")).then_some(())
        })
        .await;
        let new = self.master_after(old).await;
        eventually("the old master copies the new one", FAILOVER, || async {
            (self.role(old).await? == "slave").then_some(())
        })
        .await;
        new
    }

    async fn start_with(options: SentinelOptions) -> Self {
        let master = options.servers.clone().start().await;
        let replica = options.servers.clone().replica_of(master.addr()).start().await;
        in_step(&master, &replica).await;
        let mut sentinels = Vec::new();
        for _ in 0..options.sentinels {
            sentinels.push(Sentinel::start(&options, master.addr()).await);
        }
        let group = Self { sentinels, servers: [master, replica] };
        group.acquainted().await;
        group
    }

    /// Waits until every sentinel knows the replica and all other sentinels.
    async fn acquainted(&self) {
        let others = (self.sentinels.len() - 1).to_string();
        for sentinel in &self.sentinels {
            eventually("the sentinels know everyone", PATIENCE, || async {
                let mut resp = sentinel.resp().await?;
                let master = resp.try_command(&["SENTINEL", "MASTER", NAME]).await.ok()?;
                let replicas = resp.try_command(&["SENTINEL", "REPLICAS", NAME]).await.ok()?;
                let replica = replicas.as_slice()?.first()?;
                let known = master.field("num-other-sentinels")?.as_str() == Some(&others)
                    && master.field("flags")?.as_str() == Some("master")
                    && replica.field("flags")?.as_str() == Some("slave")
                    && replica.field("master-link-status")?.as_str() == Some("ok");
                known.then_some(())
            })
            .await;
        }
    }

    /// What the server at `addr` says of itself.
    async fn role(&self, addr: SocketAddr) -> Option<String> {
        // A server that changes its role closes its connections.
        let mut resp = self.server_at(addr).try_resp().await.ok()?;
        let role = resp.try_command(&["ROLE"]).await.ok()?;
        role.as_slice()?.first()?.as_str().map(str::to_owned)
    }

    fn living(&self) -> impl Iterator<Item = &Sentinel> {
        self.sentinels.iter().filter(|sentinel| sentinel.process.is_running())
    }
}

#[derive(Debug)]
struct Sentinel {
    process: Process,
    port: Port,
    // Goes after the process.
    _dir: TempDir,
}

impl Sentinel {
    async fn start(options: &SentinelOptions, master: SocketAddr) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let sentinel = Self::launch(options, master);
            let ready = eventually("a sentinel answers", PATIENCE, || async {
                if !sentinel.process.is_running() {
                    return Some(false);
                }
                let pong = sentinel.resp().await?.try_command(&["PING"]).await.ok()?;
                (pong.as_str() == Some("PONG")).then_some(true)
            });
            if ready.await {
                sentinel.hurry().await;
                return sentinel;
            }
            let last_logs = sentinel.process.last_logs();
            assert!(last_logs.contains("in use"), "a sentinel did not start; {last_logs}");
        }
        panic!("a sentinel found its port taken {PORT_ATTEMPTS} times");
    }

    fn launch(options: &SentinelOptions, master: SocketAddr) -> Self {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        let port = Port::claim();
        let mut text = format!(
            "bind 127.0.0.1\nprotected-mode no\ndaemonize no\nport {}\ndir {}\n\
             sentinel monitor {NAME} {} {} {}\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 5000\n",
            port.number(),
            dir.path().display(),
            master.ip(),
            master.port(),
            options.sentinels / 2 + 1,
        );
        if let Some(password) = &options.servers.password {
            text += &format!("sentinel auth-pass {NAME} {password}\n");
        }
        let configuration = dir.path().join("sentinel.conf");
        fs::write(&configuration, text).expect("the configuration is written");
        let mut command = Command::new(options.servers.flavour.program());
        command.arg(configuration).arg("--sentinel");
        let process = Process::start("sentinel", &command, &dir.path().join("log"));
        Self { process, port, _dir: dir }
    }

    /// Sentinels look around every two to ten seconds, and rest for 30 s when their machine was
    /// too busy to run them for two.
    async fn hurry(&self) {
        let mut resp = Resp::connect(self.port.addr()).await;
        for (parameter, milliseconds) in HURRY {
            let reply = resp.command(&["SENTINEL", "DEBUG", parameter, milliseconds]).await;
            assert_eq!(reply.as_str(), Some("OK"), "{parameter}: {reply:?}");
        }
    }

    async fn resp(&self) -> Option<Resp> {
        Resp::try_connect(self.port.addr()).await.ok()
    }

    async fn master(&self) -> Option<SocketAddr> {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let reply = self.resp().await?.try_command(&command).await.ok()?;
        let [host, port] = reply.as_slice()? else { return None };
        format!("{}:{}", host.as_str()?, port.as_str()?).parse().ok()
    }
}

async fn in_step(master: &Redis, replica: &Redis) {
    eventually("the replica is in step", PATIENCE, || async {
        let mut resp = replica.resp().await;
        let role = resp.try_command(&["ROLE"]).await.ok()?;
        let state = role.as_slice()?.get(3)?.as_str()?.to_owned();
        let seen = master.resp().await.try_command(&["ROLE"]).await.ok()?;
        let replicas = seen.as_slice()?.get(2).and_then(Value::as_slice)?.len();
        (state == "connected" && replicas == 1).then_some(())
    })
    .await;
}

const HURRY: &[(&str, &str)] = &[
    ("INFO-PERIOD", "500"),
    ("PUBLISH-PERIOD", "500"),
    ("ASK-PERIOD", "500"),
    ("PING-PERIOD", "200"),
    ("TILT-PERIOD", "1000"),
];
const NAME: &str = "mymaster";
const PORT_ATTEMPTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
const FAILOVER: Duration = Duration::from_secs(60);
