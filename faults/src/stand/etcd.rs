//! Three members of etcd, with users.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use fastrand::Rng;
use lock_testkit::{
    Etcd as Server, EtcdCluster, EtcdVersion, GrpcProxy, Permission, Proxy, Swallow,
};
use serde_json::json;
use tokio::time::sleep;

use super::{Stand, Step, Terms, members};
use crate::fault::Fault;
use crate::way::{Held, Swallowed, Way};

pub(crate) struct Etcd {
    cluster: EtcdCluster,
}

impl Etcd {
    pub(crate) async fn start() -> Self {
        // No machine fails here, only processes do: what a process has written outlives it.
        let options = Server::options(EtcdVersion::V3_7)
            .unsafe_no_fsync()
            .election(Duration::from_millis(50), Duration::from_millis(500))
            .user(USER, PASSWORD, &[(PREFIX, Permission::ReadWrite)]);
        Self { cluster: EtcdCluster::start_with(options).await }
    }

    /// One that answers.
    async fn any(&self) -> &Server {
        self.cluster.member(self.cluster.leader().await)
    }

    async fn removes(&self, form: &str, name: &str) -> Result<String> {
        let server = self.any().await;
        let keys = server.keys(format!("{PREFIX}{name}/")).await;
        let holder =
            keys.iter().min_by_key(|key| key.create_revision).context("nobody holds it")?;
        if form == "delete" {
            ensure!(server.delete(&holder.key).await, "the key was gone");
            return Ok("the holder's key".to_owned());
        }
        server.revoke_lease(holder.lease).await;
        Ok(format!("lease {:x}", holder.lease))
    }
}

#[async_trait]
impl Stand for Etcd {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    async fn way(&self) -> Way {
        let mut way = Way::none();
        for member in self.cluster.members() {
            let calls = GrpcProxy::start(member.addr()).await;
            way.bytes.push(Proxy::start(calls.addr()).await);
            way.calls.push(calls);
        }
        way
    }

    fn url(&self, way: &Way) -> String {
        format!("etcd://{USER}:{PASSWORD}@{}?request_timeout=1s&recheck=500ms", way.hosts())
    }

    fn swallow(&self, way: &Way, step: Step) -> Swallowed {
        if step == Step::Renew {
            let lose = |calls: &GrpcProxy| calls.black_hole_replies("Lease/LeaseKeepAlive");
            return Swallowed::Stream(way.calls.iter().map(lose).collect());
        }
        // Each is one transaction, and the next one.
        let swallow =
            |calls: &GrpcProxy| calls.swallow_reply_then(Swallow::ThenSilence, "KV/Txn", 1);
        Swallowed::Calls(way.calls.iter().map(swallow).collect())
    }

    fn hold_renewals(&self, way: &Way) -> Held {
        let hold = |calls: &GrpcProxy| calls.hold_replies("Lease/LeaseKeepAlive");
        Held::Calls(way.calls.iter().map(hold).collect())
    }

    async fn strike(&self, fault: Fault, form: &str, name: &str, rng: &mut Rng) -> Result<String> {
        match fault {
            Fault::RecordRemoved => self.removes(form, name).await,
            Fault::Housekeeping if form == "compact" => {
                let revision = self.any().await.compact().await;
                Ok(format!("compacted at {revision}"))
            }
            Fault::Housekeeping => {
                for member in self.cluster.members() {
                    member.defrag().await;
                }
                Ok("all members".to_owned())
            }
            Fault::ServerFull => {
                let server = self.any().await;
                let body = json!({"action": "ACTIVATE", "memberID": "0", "alarm": "NOSPACE"});
                server.call("/v3/maintenance/alarm", body).await?;
                let alarms = server.alarms().await;
                sleep(self.ttl()).await;
                self.any().await.disarm().await;
                ensure!(!alarms.is_empty(), "no alarm was raised");
                Ok(alarms.join(", "))
            }
            Fault::AuthRevoked => {
                self.any().await.revoke_role(USER).await;
                sleep(self.ttl()).await;
                self.any().await.grant_role(USER).await;
                Ok("the role".to_owned())
            }
            _ => members::strike(&self.cluster, fault, form, self.ttl(), rng).await,
        }
    }

    fn deafen(&self, way: &mut Way) {
        way.deaf = way.calls.iter().map(|calls| calls.black_hole_replies("Watch/Watch")).collect();
    }

    fn hear(&self, way: &mut Way) -> u64 {
        way.deaf.drain(..).map(|rule| rule.hits()).sum()
    }

    async fn left(&self) -> Vec<String> {
        let server = self.any().await;
        let keys = server.keys(PREFIX).await.into_iter();
        // The epochs of sessions stay.
        let mut left: Vec<_> =
            keys.map(|key| key.key).filter(|key| !key.starts_with("leasehold/~/")).collect();
        left.extend(server.leases().await.iter().map(|lease| format!("lease {lease:x}")));
        for member in self.cluster.members() {
            let watchers = member.watchers().await;
            left.extend((watchers > 0).then(|| format!("{watchers} watchers")));
        }
        left
    }
}

const TERMS: Terms = Terms {
    ttl: Duration::from_millis(2_000),
    // Leases are looked through every half second, and a new leader gives each its TTL anew.
    slack: Duration::from_millis(1_500),
    floor: 30.0,
};
const USER: &str = "worker";
const PASSWORD: &str = "of-this-run-only";
const PREFIX: &str = "leasehold/";
