//! The lock service that etcd has itself, used as its documentation shows.

use std::time::Duration;

use anyhow::Result;
use etcd_client::{LockClient, LockOptions};

use super::LOCK_RPC;
use super::bare::{connect, long_lease};
use crate::subjects::store::names;
use crate::subjects::{At, CLIENTS, Subject};
use crate::workload::Workload;

/// Each client has a lease of its own: without one, every lock would grant one of a minute and leave
/// it behind. Renewing it is left to the user, so here it is a long one.
pub(super) struct LockRpc {
    clients: Vec<(LockClient, i64)>,
    names: Vec<String>,
}

impl LockRpc {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Self::with_leases(url, CLIENTS).await
    }

    /// As many as there are leases, which share the usual number of connections.
    pub(super) async fn with_leases(url: &str, leases: usize) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(connect(url).await?);
        }
        let mut clients = Vec::new();
        for client in connections.iter().cycle().take(leases) {
            clients.push((client.lock_client(), long_lease(client).await?));
        }
        Ok(Self { clients, names: names(LOCK_RPC) })
    }
}

impl Subject for LockRpc {
    fn name(&self) -> &'static str {
        LOCK_RPC
    }

    /// The server waits with a watch that begins in the past, and looks for such ones every tenth of
    /// a second.
    fn is_served_every(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Those of one lease are one to it, and let each other in.
    fn does(&self, workload: Workload) -> bool {
        match workload {
            Workload::OneName { tasks, .. } => tasks <= CLIENTS,
            Workload::OwnNames { .. } | Workload::HandOff { .. } => true,
            _ => false,
        }
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let (client, lease) = &self.clients[at.client];
        let (mut client, name) = (client.clone(), self.names[at.name].as_str());
        let held = client.lock(name, Some(LockOptions::new().with_lease(*lease))).await?;
        inside().await;
        client.unlock(held.key()).await?;
        Ok(())
    }
}
