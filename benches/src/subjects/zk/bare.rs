//! What the work costs without any lock: requests of the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::server::{Server, address};
use super::{BARE, COMMAND};
use crate::subjects::store::{TTL, names};
use crate::subjects::{At, Subject};
use crate::workload::Workload;

/// A node that ends with the session and has a number, made in a directory that is there; and a
/// delete. It cannot wait.
pub(super) struct Bare {
    client: Client,
    stems: Vec<String>,
}

/// One delete of a node that does not exist: the server writes to its log that it failed.
pub(super) struct Command {
    client: Client,
    path: String,
    /// The server of all subjects, which is to live as long as they do.
    _server: Arc<Server>,
}

impl Bare {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let client = connect(url, TTL).await?;
        let directories = directories(&client, BARE).await?;
        let stems = directories.iter().map(|path| format!("{path}/{OWNER}")).collect();
        Ok(Self { client, stems })
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
        let stem = self.stems[at.name].as_str();
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let (_, number) = self.client.create(stem, OWNER.as_bytes(), &options).await?;
        inside().await;
        self.client.delete(&format!("{stem}{number}"), None).await?;
        Ok(())
    }
}

impl Command {
    pub(super) async fn connect(server: &Arc<Server>) -> Result<Self> {
        let client = connect(&server.url(), TTL).await?;
        Ok(Self { client, path: format!("/{COMMAND} absent"), _server: server.clone() })
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
        let deleted = self.client.delete(&self.path, None).await;
        ensure!(deleted == Err(Error::NoNode), "{} was there: {deleted:?}", self.path);
        inside().await;
        Ok(())
    }
}

/// As its documentation shows, with a session of this timeout.
pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Client> {
    let connecting = Client::connector().with_session_timeout(ttl).connect(address(url)?);
    connecting.await.context("the bare client cannot connect")
}

/// Makes a directory for each of the names of `subject`, to stay.
pub(super) async fn directories(client: &Client, subject: &str) -> Result<Vec<String>> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let paths: Vec<_> = names(subject).iter().map(|name| format!("/{name}")).collect();
    for path in &paths {
        client.mkdir(path, &options).await?;
    }
    Ok(paths)
}

/// As long as what ours makes is called, and says.
const OWNER: &str = "_c_01234567-89ab-cdef-0123-456789abcdef-lock-";
