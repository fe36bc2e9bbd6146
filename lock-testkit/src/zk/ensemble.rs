//! Several servers that are one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::port::Port;
use crate::proxy::Proxy;
use crate::tls::Tls;
use crate::wait::{eventually, scaled};
use crate::zk::command::{Peers, Ports};
use crate::zk::mesh::{Ends, Mesh};
use crate::zk::options::ZkOptions;
use crate::zk::server::{PortTaken, Zk};
use crate::zk::words::{self, ZkSession};

/// Members on 127.0.0.1, killed when this is dropped.
///
/// ```no_run
/// # async fn test() {
/// use lock_testkit::ZkEnsemble;
///
/// let ensemble = ZkEnsemble::start(3).await;
/// // The clients under test connect to ensemble.connect_string() …
/// let leader = ensemble.leader().await;
/// ensemble.partition(leader);
/// // … and this member still talks to them until it notices.
/// ensemble.leader_other_than(leader).await;
/// ensemble.heal(leader);
/// # }
/// ```
///
/// Members speak to each other through proxies of the kit, two for each way: one by which they
/// [follow](ZkEnsemble::link), and one by which they [elect](ZkEnsemble::election_link). A member
/// that hears nothing for ten ticks gives up its leader, or gives up to be one; the settings
/// `syncLimit` and `initLimit` say otherwise. With TLS for clients, they have the same certificate.
#[derive(Debug)]
pub struct ZkEnsemble {
    // Before the ways between them, so that they do not complain of these.
    members: Vec<Zk>,
    mesh: Mesh,
    isolated: Mutex<BTreeSet<usize>>,
    _peer_ports: Vec<PeerPorts>,
    _certificates: TempDir,
}

impl ZkEnsemble {
    /// Starts one of so many members, and returns when all of them serve.
    ///
    /// # Panics
    ///
    /// When they do not within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Servers that were started are killed.
    pub async fn start(size: usize) -> Self {
        Self::start_with(size, ZkOptions::new()).await
    }

    /// Starts one of so many members with these options, and returns when all of them serve.
    ///
    /// # Panics
    ///
    /// When they do not within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Servers that were started are killed.
    pub async fn start_with(size: usize, options: ZkOptions) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            if let Ok(ensemble) = Self::launch(size, &options).await {
                return ensemble;
            }
        }
        panic!("an ensemble found its ports taken {PORT_ATTEMPTS} times");
    }

    /// How many members it has.
    #[expect(clippy::len_without_is_empty, reason = "it always has members")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// All members.
    pub fn members(&self) -> &[Zk] {
        &self.members
    }

    /// One of them, to look into it or to break it.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn member(&self, index: usize) -> &Zk {
        &self.members[index]
    }

    /// Where clients connect.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Zk::addr).collect()
    }

    /// `127.0.0.1:…,127.0.0.1:…`, as clients of ZooKeeper want it.
    pub fn connect_string(&self) -> String {
        let all: Vec<_> = self.members.iter().map(Zk::connect_string).collect();
        all.join(",")
    }

    #[cfg(feature = "tls")]
    /// The certificates of its members, if they have TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.members[0].tls()
    }

    /// The member that leads, and that has just proved it by a write. It waits while there is none.
    ///
    /// # Panics
    ///
    /// When there is none within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind but a session of the kit.
    pub async fn leader(&self) -> usize {
        eventually("a majority has a leader", LEADER, || self.leading(None)).await
    }

    /// The member that leads, once that is not `old`.
    ///
    /// # Panics
    ///
    /// When there is none within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind but a session of the kit.
    pub async fn leader_other_than(&self, old: usize) -> usize {
        eventually("a majority has another leader", LEADER, || self.leading(Some(old))).await
    }

    /// The member to look into: its leader.
    ///
    /// # Panics
    ///
    /// When there is none within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind but a session of the kit.
    pub async fn serving(&self) -> &Zk {
        &self.members[self.leader().await]
    }

    /// The sessions that live, in the order of their ids, without those of the kit.
    ///
    /// # Panics
    ///
    /// When there is no leader within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind but a session of the kit.
    pub async fn sessions(&self) -> Vec<ZkSession> {
        let dump = self.serving().await.must_tell("dump").await;
        let mut connections = String::new();
        for member in &self.members {
            // Others know nothing of a connection to a member that is down or frozen.
            let told = timeout(scaled(ASK), member.word("cons")).await;
            connections += &told.ok().and_then(Result::ok).unwrap_or_default();
        }
        words::sessions(&dump, &connections)
    }

    /// Kills a member with `SIGKILL`. Its ports stay taken, its data on the disk.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn kill(&self, index: usize) {
        self.members[index].kill();
    }

    /// Freezes a member: its connections stay open and silent.
    ///
    /// # Panics
    ///
    /// When there is no such member, or when it is down.
    pub fn pause(&self, index: usize) {
        self.members[index].pause();
    }

    /// Lets a member go on after [`pause`](ZkEnsemble::pause).
    ///
    /// # Panics
    ///
    /// When there is no such member, or when it is down.
    pub fn resume(&self, index: usize) {
        self.members[index].resume();
    }

    /// Kills a member if it lives, and starts it again with its ports and its data. It waits until
    /// the member serves, for which there must be a majority.
    ///
    /// # Panics
    ///
    /// When there is no such member, or when it does not serve within 30 s.
    ///
    /// # Cancel safety
    ///
    /// The member is up, or coming up.
    pub async fn restart(&self, index: usize) {
        self.members[index].restart().await;
    }

    /// Cuts a member off from the others, in both directions, also for connections to come. Clients
    /// reach it as before. Nothing is closed: what is sent meanwhile is kept.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn partition(&self, index: usize) {
        self.isolate(index, true);
    }

    /// Ends [`partition`](ZkEnsemble::partition): what was kept goes on its way.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn heal(&self, index: usize) {
        self.isolate(index, false);
    }

    /// The connections by which the member `from` follows the member `to`, for other faults.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn link(&self, from: usize, to: usize) -> &Proxy {
        self.mesh.quorum(from, to)
    }

    /// The connections that the member `from` opens to the member `to` to elect a leader. Of two,
    /// the later one opens them, and messages go both ways.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn election_link(&self, from: usize, to: usize) -> &Proxy {
        self.mesh.election(from, to)
    }

    async fn launch(size: usize, options: &ZkOptions) -> Result<Self, PortTaken> {
        assert!(size > 1, "an ensemble has more members than {size}");
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        let tls = options.tls.as_ref().map(|tls| Tls::make(tls, dir.path()));
        let peer_ports: Vec<_> = (0..size).map(|_| PeerPorts::claim()).collect();
        let mesh = Mesh::start(peer_ports.iter().map(PeerPorts::ends).collect()).await;
        let lines = lines(&peer_ports);
        let launch = |index| {
            let peers = peers(index, &mesh, &lines);
            Zk::launch(options, Ports::claim(options), peers, tls.clone())
        };
        let members: Vec<_> = (0..size).map(launch).collect();
        for member in &members {
            member.ready().await?;
        }
        let isolated = Mutex::default();
        Ok(Self { members, mesh, isolated, _peer_ports: peer_ports, _certificates: dir })
    }

    async fn leading(&self, old: Option<usize>) -> Option<usize> {
        for (index, member) in self.members.iter().enumerate() {
            if old == Some(index) {
                continue;
            }
            // One that was cut off, or was frozen, may still think that it leads.
            let proof = async {
                let state = member.word("srvr").await.ok()?;
                let client = state.contains("Mode: leader").then(|| member.client())?.await.ok()?;
                client.close().await.ok()
            };
            if let Ok(Some(())) = timeout(scaled(ASK), proof).await {
                return Some(index);
            }
        }
        None
    }

    fn isolate(&self, index: usize, isolated: bool) {
        assert!(index < self.len(), "there is no member {index}");
        let mut all = self.isolated.lock().unwrap_or_else(PoisonError::into_inner);
        if isolated {
            all.insert(index);
        } else {
            all.remove(&index);
        }
        for other in (0..self.len()).filter(|other| *other != index) {
            let cut = all.contains(&index) || all.contains(&other);
            for (from, to) in [(index, other), (other, index)] {
                for link in [self.mesh.quorum(from, to), self.mesh.election(from, to)] {
                    if cut {
                        link.cut();
                    } else {
                        link.restore();
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct PeerPorts {
    quorum: Port,
    election: Port,
}

impl PeerPorts {
    fn claim() -> Self {
        Self { quorum: Port::claim(), election: Port::claim() }
    }

    fn ends(&self) -> Ends {
        Ends { quorum: self.quorum.addr(), election: self.election.addr() }
    }
}

/// What all members are told of each other.
fn lines(ports: &[PeerPorts]) -> Vec<String> {
    let mut lines = vec!["initLimit=10".to_owned(), "syncLimit=10".to_owned()];
    for (index, ports) in ports.iter().enumerate() {
        let (quorum, election) = (ports.quorum.number(), ports.election.number());
        lines.push(format!("server.{}=127.0.0.1:{quorum}:{election}", index + 1));
    }
    lines
}

fn peers(index: usize, mesh: &Mesh, lines: &[String]) -> Peers {
    let socks = mesh.socks(index);
    Peers {
        id: Some(index + 1),
        lines: lines.to_vec(),
        properties: vec![
            format!("-DsocksProxyHost={}", socks.ip()),
            format!("-DsocksProxyPort={}", socks.port()),
            // Otherwise Java reaches the loopback without a proxy.
            "-DsocksNonProxyHosts=".to_owned(),
            "-Dzookeeper.cnxTimeout=1000".to_owned(),
            // Who looks for a leader asks again after a time that doubles up to a minute otherwise.
            "-Dzookeeper.fastleader.maxNotificationInterval=1000".to_owned(),
        ],
    }
}

const PORT_ATTEMPTS: usize = 5;
const LEADER: Duration = Duration::from_secs(30);
const ASK: Duration = Duration::from_secs(1);
