//! A cluster of three.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::etcd::command::{Peers, Ports};
use crate::etcd::maintenance::Status;
use crate::etcd::mesh::Mesh;
use crate::etcd::options::{EtcdOptions, EtcdVersion};
use crate::etcd::server::{Etcd, PortTaken};
use crate::proxy::Proxy;
use crate::tls::Tls;
use crate::wait::{eventually, scaled};

/// Three members on 127.0.0.1, killed when this is dropped.
///
/// ```no_run
/// # async fn test() {
/// use lock_testkit::{EtcdCluster, EtcdVersion};
///
/// let cluster = EtcdCluster::start(EtcdVersion::V3_7).await;
/// // The clients under test connect to cluster.url() …
/// let leader = cluster.leader().await;
/// cluster.partition(leader);
/// // … and this member still talks to them, but knows nothing of the others.
/// cluster.leader_other_than(leader).await;
/// cluster.heal(leader);
/// # }
/// ```
///
/// Members speak to each other by TLS tunnels through proxies of the kit, a proxy for each
/// [way](EtcdCluster::link). With TLS for clients, they have the same certificate.
#[derive(Debug)]
pub struct EtcdCluster {
    // Before the ways between them, so that they do not complain of these.
    members: Vec<Etcd>,
    ids: Vec<String>,
    mesh: Mesh,
    isolated: Mutex<[bool; SIZE]>,
    _certificates: TempDir,
}

impl EtcdCluster {
    /// Starts one, and returns when all its members answer.
    ///
    /// # Panics
    ///
    /// When they do not within 20 s.
    ///
    /// # Cancel safety
    ///
    /// Servers that were started are killed.
    pub async fn start(version: EtcdVersion) -> Self {
        Self::start_with(EtcdOptions::new(version)).await
    }

    /// Starts one of members with these options.
    ///
    /// # Panics
    ///
    /// When they do not answer within 20 s.
    ///
    /// # Cancel safety
    ///
    /// Servers that were started are killed.
    pub async fn start_with(options: EtcdOptions) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            if let Ok(cluster) = Self::launch(&options).await {
                cluster.members[0].set_up_users().await;
                for member in &cluster.members {
                    eventually("a member knows the users", LEADER, || async {
                        member.knows_users().await.then_some(())
                    })
                    .await;
                }
                return cluster;
            }
        }
        panic!("{} found its ports taken {PORT_ATTEMPTS} times", options.version.name());
    }

    /// Its members. Each can be paused, killed and restarted; one that is restarted answers only
    /// when a majority is up, so restart several at once.
    pub fn members(&self) -> &[Etcd] {
        &self.members
    }

    /// One of its [`members`](EtcdCluster::members).
    ///
    /// # Panics
    ///
    /// When there are less.
    pub fn member(&self, index: usize) -> &Etcd {
        &self.members[index]
    }

    /// How many members there are.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// `etcd://127.0.0.1:…,127.0.0.1:…,127.0.0.1:…`, or `etcds://localhost:…,…` with TLS.
    pub fn url(&self) -> String {
        self.joined(self.members.iter().map(Etcd::url))
    }

    /// The [`url`](EtcdCluster::url) of a user.
    ///
    /// No character is escaped: choose a password that needs none.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let others = self.members[1..].iter().map(Etcd::url);
        self.joined([self.members[0].url_as(user, password)].into_iter().chain(others))
    }

    #[cfg(feature = "tls")]
    /// The certificates of its members, if they have TLS.
    pub fn tls(&self) -> Option<&Tls> {
        self.members[0].tls()
    }

    /// The member that a majority follows. It waits while there is none.
    ///
    /// # Panics
    ///
    /// When there is none within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    pub async fn leader(&self) -> usize {
        eventually("a majority has a leader", LEADER, || self.followed()).await
    }

    /// The member that a majority follows, once that is not `old`.
    ///
    /// # Panics
    ///
    /// When there is none within 30 s.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    pub async fn leader_other_than(&self, old: usize) -> usize {
        eventually("a majority has another leader", LEADER, || async {
            self.followed().await.filter(|leader| *leader != old)
        })
        .await
    }

    /// Makes `to` the leader.
    ///
    /// # Panics
    ///
    /// When it is not within 30 s.
    ///
    /// # Cancel safety
    ///
    /// It may become the leader, or not.
    pub async fn move_leader(&self, to: usize) {
        eventually("the leader is moved", LEADER, || async {
            let leader = self.followed().await?;
            if leader == to {
                return Some(());
            }
            // It is refused by a member that is the leader no more, or while `to` lags behind.
            let body = json!({"targetID": self.ids[to]});
            let moved = self.members[leader].call("/v3/maintenance/transfer-leadership", body);
            drop(timeout(scaled(ASK), moved).await);
            None
        })
        .await;
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

    /// Ends [`partition`](EtcdCluster::partition): what was kept goes on its way.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn heal(&self, index: usize) {
        self.isolate(index, false);
    }

    /// The connections that the member `from` opens to the member `to`, for other faults. Each opens
    /// some to each other, and messages go both ways on most: break both links to break a way.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn link(&self, from: usize, to: usize) -> &Proxy {
        self.mesh.link(from, to)
    }

    async fn launch(options: &EtcdOptions) -> Result<Self, PortTaken> {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        let tls = options.tls.as_ref().map(|tls| Tls::make(tls, dir.path()));
        let ports: [_; SIZE] = std::array::from_fn(|_| Ports::claim());
        let mesh = Mesh::start(ports.iter().map(|ports| ports.peer.addr()).collect()).await;
        let token = format!("leasehold-{:016x}", fastrand::u64(..));
        let members: Vec<_> = ports
            .into_iter()
            .enumerate()
            .map(|(index, ports)| {
                let peers = peers(index, &ports, &mesh, &token);
                Etcd::launch(options, ports, peers, tls.clone())
            })
            .collect();
        let [a, b, c] = &members[..] else { unreachable!("BUG: there are three") };
        tokio::try_join!(a.ready(), b.ready(), c.ready())?;
        let mut ids = Vec::new();
        for member in &members {
            ids.push(member.status().await.expect("a member that answers has a state").member);
        }
        Ok(Self { members, ids, mesh, isolated: Mutex::default(), _certificates: dir })
    }

    /// The member that a majority follows, in the same term, and that agrees.
    async fn followed(&self) -> Option<usize> {
        let [a, b, c] = &self.members[..] else { unreachable!("BUG: there are three") };
        let (a, b, c) = tokio::join!(ask(a), ask(b), ask(c));
        let all: Vec<_> = [a, b, c].into_iter().flatten().collect();
        let leader = all.iter().find(|status| {
            let follows =
                |other: &&Status| other.leader == status.member && other.term == status.term;
            follows(status) && all.iter().filter(follows).count() > SIZE / 2
        })?;
        self.ids.iter().position(|id| *id == leader.member)
    }

    fn isolate(&self, index: usize, isolated: bool) {
        let mut all = self.isolated.lock().unwrap_or_else(PoisonError::into_inner);
        all[index] = isolated;
        for other in (0..SIZE).filter(|other| *other != index) {
            let cut = all[index] || all[other];
            for link in [self.mesh.link(index, other), self.mesh.link(other, index)] {
                if cut {
                    link.cut();
                } else {
                    link.restore();
                }
            }
        }
    }

    fn joined(&self, urls: impl Iterator<Item = String>) -> String {
        let mut joined = String::new();
        for url in urls {
            if joined.is_empty() {
                joined = url;
            } else {
                let (_, host) = url.split_once("://").expect("BUG: a URL has a scheme");
                joined = format!("{joined},{host}");
            }
        }
        joined
    }
}

fn peers(index: usize, ports: &Ports, mesh: &Mesh, token: &str) -> Peers {
    let all: Vec<_> = (0..SIZE).map(|n| format!("member-{n}={}", Mesh::url(n))).collect();
    Peers {
        flags: vec![
            format!("--name=member-{index}"),
            format!("--listen-peer-urls=https://{}", ports.peer.addr()),
            format!("--initial-advertise-peer-urls={}", Mesh::url(index)),
            format!("--initial-cluster={}", all.join(",")),
            format!("--initial-cluster-token={token}"),
            // Only what is encrypted goes through a proxy by a tunnel.
            "--peer-auto-tls".to_owned(),
        ],
        environment: vec![
            ("HTTPS_PROXY", mesh.proxy_url(index)),
            ("NO_PROXY", String::new()),
            ("no_proxy", String::new()),
        ],
    }
}

/// Nothing, if it is down, frozen, or knows no leader that could tell it who asks.
async fn ask(member: &Etcd) -> Option<Status> {
    timeout(scaled(ASK), member.status()).await.ok()?.ok()
}

const SIZE: usize = 3;
const PORT_ATTEMPTS: usize = 5;
const LEADER: Duration = Duration::from_secs(30);
const ASK: Duration = Duration::from_secs(1);
