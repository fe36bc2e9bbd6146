//! What an operator does to a server.

use serde_json::{Value, json};

use crate::etcd::gateway::{EtcdError, encode, number};
use crate::etcd::server::Etcd;
use crate::etcd::store::list;

/// What an operator does. Each panics when the server refuses, or does not reply within ten seconds.
/// Who does not wait for it does not know whether it was done.
impl Etcd {
    /// Gives the space of what was compacted back. It serves nobody meanwhile.
    pub async fn defrag(&self) {
        self.must("/v3/maintenance/defragment", json!({})).await;
    }

    /// The alarms that are on, as `NOSPACE`.
    pub async fn alarms(&self) -> Vec<String> {
        let names = |alarm: &Value| alarm["alarm"].as_str().unwrap_or_default().to_owned();
        self.raised().await.iter().map(names).collect()
    }

    /// Takes all alarms back. One whose cause is still there comes again.
    pub async fn disarm(&self) {
        for alarm in self.raised().await {
            let body = json!({
                "action": "DEACTIVATE",
                "memberID": alarm["memberID"],
                "alarm": alarm["alarm"],
            });
            self.must("/v3/maintenance/alarm", body).await;
        }
    }

    /// Writes under `prefix` until it has no space left, and says with which error it refused. It
    /// was started with [`quota_bytes`](crate::EtcdOptions::quota_bytes).
    ///
    /// # Panics
    ///
    /// When it took 64 MB.
    pub async fn fill(&self, prefix: &str) -> EtcdError {
        let value = "A".repeat(FILL / 3 * 4);
        for n in 0..FILL_LIMIT / FILL {
            let key = encode(format!("{prefix}{n}"));
            let body = json!({"key": key, "value": value});
            if let Err(error) = self.call("/v3/kv/put", body).await {
                assert!(error.message().contains("space exceeded"), "{error}");
                return error;
            }
        }
        panic!("it has more space than {FILL_LIMIT} bytes");
    }

    /// A digest of all that it stores: members that agree have the same at the same revision.
    pub async fn hash(&self) -> i64 {
        number(&self.must("/v3/maintenance/hash", json!({})).await["hash"])
    }

    async fn raised(&self) -> Vec<Value> {
        let reply = self.must("/v3/maintenance/alarm", json!({"action": "GET"})).await;
        list(&reply["alarms"]).to_vec()
    }

    /// What it thinks of its cluster.
    pub(crate) async fn status(&self) -> Result<Status, EtcdError> {
        let reply = self.call("/v3/maintenance/status", json!({})).await?;
        Ok(Status {
            member: reply["header"]["member_id"].as_str().unwrap_or_default().to_owned(),
            leader: reply["leader"].as_str().unwrap_or_default().to_owned(),
            term: number(&reply["raftTerm"]),
        })
    }
}

/// Of a member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) member: String,
    /// Whom it follows; there is none while it looks for one.
    pub(crate) leader: String,
    pub(crate) term: i64,
}

/// How much is written at a time, a multiple of three.
const FILL: usize = 30_000;
const FILL_LIMIT: usize = 64_000_000;
