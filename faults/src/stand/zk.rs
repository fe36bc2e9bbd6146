//! Three members of ZooKeeper.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use fastrand::Rng;
use lock_testkit::{Proxy, Swallow, Zk as Server, ZkAcl, ZkEnsemble, ZkOptions, zk_request};
use tokio::time::sleep;

use super::{Stand, Step, Terms, members};
use crate::fault::Fault;
use crate::way::{Held, Swallowed, Way};

pub(crate) struct Zk {
    ensemble: ZkEnsemble,
}

impl Zk {
    pub(crate) async fn start() -> Self {
        let options = ZkOptions::new().tick_time(Duration::from_millis(500)).enforce_quota();
        Self { ensemble: ZkEnsemble::start_with(MEMBERS, options).await }
    }

    async fn any(&self) -> &Server {
        self.ensemble.serving().await
    }

    async fn removes(&self, form: &str, name: &str) -> Result<String> {
        let server = self.any().await;
        let mut nodes = server.children(&format!("{PREFIX}/{name}")).await;
        // The order of those who stand there is that of the numbers at the end of their names.
        nodes.sort_by_key(|node| node.rsplit('-').next().map(str::to_owned));
        let holder = format!("{PREFIX}/{name}/{}", nodes.first().context("nobody holds it")?);
        if form == "delete" {
            ensure!(server.delete(&holder).await, "the node was gone");
            return Ok("the holder's node".to_owned());
        }
        let session = server.stat(&holder).await.context("the node was gone")?.ephemeral_owner;
        ensure!(server.expire_session(session).await, "the session was gone");
        Ok(format!("session {session:x}"))
    }

    /// Deletes the directory of a lock whenever nobody stands there, as the server does itself.
    async fn reaps_directories(&self) -> Result<String> {
        let server = self.any().await;
        let mut reaped = 0;
        for _ in 0..REAPS {
            for directory in server.children(PREFIX).await {
                let path = format!("{PREFIX}/{directory}");
                if directory != "~" && server.children(&path).await.is_empty() {
                    let mut client = server.client().await?;
                    reaped += u32::from(client.delete(&path, -1).await.is_ok());
                    client.close().await?;
                }
            }
        }
        ensure!(reaped > 0, "there was always somebody in each");
        Ok(format!("{reaped} directories"))
    }

    async fn is_full(&self) -> Result<String> {
        let nodes = self.any().await.tree(PREFIX).await.len() + 1;
        self.any().await.set_quota(PREFIX, u32::try_from(nodes)?).await;
        sleep(self.ttl()).await;
        let server = self.any().await;
        for path in [LIMITS, STATISTICS] {
            ensure!(server.delete(path).await, "{path} was gone");
        }
        Ok(format!("at {nodes} nodes"))
    }

    async fn revokes(&self) -> Result<String> {
        let server = self.any().await;
        let reading = [ZkAcl::anyone(ZkAcl::READ)];
        let mut directories = vec![PREFIX.to_owned()];
        let names = server.children(PREFIX).await;
        directories.extend(names.iter().map(|name| format!("{PREFIX}/{name}")));
        for directory in &directories {
            server.set_acl(directory, &reading).await;
        }
        sleep(self.ttl()).await;
        let server = self.any().await;
        for directory in &directories {
            server.set_acl(directory, &[ZkAcl::anyone(ZkAcl::ALL)]).await;
        }
        Ok(format!("{} directories", directories.len()))
    }
}

#[async_trait]
impl Stand for Zk {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    async fn way(&self) -> Way {
        let mut way = Way::none();
        for member in self.ensemble.members() {
            way.bytes.push(Proxy::zk(member.addr()).await);
        }
        way
    }

    fn url(&self, way: &Way) -> String {
        format!("zk://{}?request_timeout=1s&recheck=500ms", way.hosts())
    }

    fn swallow(&self, way: &Way, step: Step) -> Swallowed {
        let (request, part) = match step {
            Step::Acquire => ("create", "-lock-"),
            Step::Release => ("delete", "-lock-"),
            Step::Renew => ("multi", ""),
        };
        let swallow =
            |proxy: &Proxy| proxy.swallow_reply_then(Swallow::ThenReset, zk_request(request, part));
        Swallowed::Frames(way.bytes.iter().map(swallow).collect())
    }

    fn hold_renewals(&self, way: &Way) -> Held {
        let hold = |proxy: &Proxy| proxy.hold_replies(zk_request("multi", ""));
        Held::Frames(way.bytes.iter().map(hold).collect())
    }

    async fn strike(&self, fault: Fault, form: &str, name: &str, rng: &mut Rng) -> Result<String> {
        match fault {
            Fault::RecordRemoved => self.removes(form, name).await,
            Fault::Housekeeping => self.reaps_directories().await,
            Fault::ServerFull => self.is_full().await,
            Fault::AuthRevoked => self.revokes().await,
            _ => members::strike(&self.ensemble, fault, form, self.ttl(), rng).await,
        }
    }

    fn deafen(&self, way: &mut Way) {
        way.bytes.iter().for_each(|proxy| proxy.drop_notifications(true));
    }

    fn hear(&self, way: &mut Way) -> u64 {
        way.bytes.iter().for_each(|proxy| proxy.drop_notifications(false));
        way.bytes.iter().map(Proxy::notifications_lost).sum()
    }

    async fn left(&self) -> Vec<String> {
        let server = self.any().await;
        let mut left = server.tree(PREFIX).await;
        // Directories stay until the server takes them.
        left.retain(|path| path.matches('/').count() == 3);
        let sessions = self.ensemble.sessions().await;
        let alive = sessions.iter().filter(|session| session.client.is_some()).count();
        left.extend((alive > 0).then(|| format!("{alive} sessions")));
        for member in self.ensemble.members() {
            let watches = member.watch_count().await;
            left.extend((watches > 0).then(|| format!("{watches} watches")));
        }
        left
    }
}

const TERMS: Terms = Terms {
    ttl: Duration::from_millis(2_000),
    // Ends of sessions are rounded up to a tick, and a new leader gives each its time anew.
    slack: Duration::from_millis(1_500),
    floor: 50.0,
};
const MEMBERS: usize = 3;
const REAPS: usize = 20;
const PREFIX: &str = "/leasehold";
const LIMITS: &str = "/zookeeper/quota/leasehold/zookeeper_limits";
const STATISTICS: &str = "/zookeeper/quota/leasehold/zookeeper_stats";
