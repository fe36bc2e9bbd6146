//! What the work costs without any lock: commands of the bare client.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo as _, cmd};

use super::server::Server;
use super::{BARE, COMMAND};
use crate::subjects::store::{TTL, names};
use crate::subjects::{At, Subject};
use crate::workload::Workload;

/// `SET NX PX` and `DEL`. It cannot wait.
pub(super) struct Bare {
    connection: MultiplexedConnection,
    names: Vec<String>,
}

/// One `DEL` of a key that does not exist.
pub(super) struct Command {
    connection: MultiplexedConnection,
    name: String,
    /// The server of all subjects, which is to live as long as they do.
    _server: Arc<Server>,
}

impl Bare {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self { connection: connect(url).await?, names: names(BARE) })
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
        let (mut connection, name) = (self.connection.clone(), &self.names[at.name]);
        let mut set = cmd("SET");
        set.arg(name).arg(OWNER).arg("NX").arg("PX").arg(TTL.as_millis() as u64);
        let is_taken: bool = set.query_async(&mut connection).await?;
        ensure!(is_taken, "{name} is held");
        inside().await;
        let deleted: u64 = cmd("DEL").arg(name).query_async(&mut connection).await?;
        ensure!(deleted == 1, "{name} was not held");
        Ok(())
    }
}

impl Command {
    pub(super) async fn connect(server: &Arc<Server>) -> Result<Self> {
        let connection = connect(&server.url()).await?;
        Ok(Self { connection, name: format!("{COMMAND}/absent"), _server: server.clone() })
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
        let mut connection = self.connection.clone();
        let deleted: u64 = cmd("DEL").arg(&self.name).query_async(&mut connection).await?;
        ensure!(deleted == 0, "{} was there", self.name);
        inside().await;
        Ok(())
    }
}

/// As a careful user connects: small writes leave at once.
async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let info = url.into_connection_info()?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let connection = Client::open(info)?.get_multiplexed_async_connection().await;
    connection.context("the bare client cannot connect")
}

/// As long as the random value of a lock is.
const OWNER: &str = "0123456789abcdef0123456789abcdef";
