//! What the work costs without any lock: requests of the bare client.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use etcd_client::{Client, Compare, CompareOp, KvClient, PutOptions, Txn, TxnOp};

use super::server::{Server, address};
use super::{BARE, COMMAND, LONG_LEASE_SECONDS};
use crate::subjects::store::names;
use crate::subjects::{At, Subject};
use crate::workload::Workload;

/// A transaction that puts a key under a lease if it is not there, and a delete. It cannot wait.
pub(super) struct Bare {
    client: KvClient,
    lease: i64,
    names: Vec<String>,
}

/// One delete of a key that does not exist: the server writes it to its log all the same.
pub(super) struct Command {
    client: KvClient,
    name: String,
    /// The server of all subjects, which is to live as long as they do.
    _server: Arc<Server>,
}

impl Bare {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let client = connect(url).await?;
        let lease = long_lease(&client).await?;
        Ok(Self { client: client.kv_client(), lease, names: names(BARE) })
    }
}

impl Subject for Bare {
    fn name(&self) -> &'static str {
        BARE
    }

    fn does(&self, workload: Workload) -> bool {
        matches!(workload, Workload::OwnNames { .. })
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let (mut client, name) = (self.client.clone(), self.names[at.name].as_str());
        let put = TxnOp::put(name, OWNER, Some(PutOptions::new().with_lease(self.lease)));
        let is_absent = Compare::create_revision(name, CompareOp::Equal, 0);
        let taken = client.txn(Txn::new().when([is_absent]).and_then([put])).await?;
        ensure!(taken.succeeded(), "{name} is held");
        inside().await;
        let deleted = client.delete(name, None).await?;
        ensure!(deleted.deleted() == 1, "{name} was not held");
        Ok(())
    }
}

impl Command {
    pub(super) async fn connect(server: &Arc<Server>) -> Result<Self> {
        let client = connect(&server.url()).await?.kv_client();
        Ok(Self { client, name: format!("{COMMAND}/absent"), _server: server.clone() })
    }
}

impl Subject for Command {
    fn name(&self) -> &'static str {
        COMMAND
    }

    fn does(&self, workload: Workload) -> bool {
        matches!(workload, Workload::Command { .. })
    }

    async fn cycle<F>(&self, _: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let deleted = self.client.clone().delete(self.name.as_str(), None).await?;
        ensure!(deleted.deleted() == 0, "{} was there", self.name);
        inside().await;
        Ok(())
    }
}

/// As its documentation shows.
pub(super) async fn connect(url: &str) -> Result<Client> {
    let endpoint = format!("http://{}", address(url)?);
    Client::connect([endpoint], None).await.context("the bare client cannot connect")
}

pub(super) async fn long_lease(client: &Client) -> Result<i64> {
    Ok(client.lease_client().grant(LONG_LEASE_SECONDS, None).await?.id())
}

/// As long as the value of a lock is.
const OWNER: &str = "0123456789abcdef0123456789abcdef";
