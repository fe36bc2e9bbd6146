//! What is in a server: nodes and sessions.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::wait::scaled;
use crate::zk::acl::{ZkAcl, ZkMode};
use crate::zk::client::ZkClient;
use crate::zk::error::{NO_NODE, SESSION_EXPIRED, ZkError};
use crate::zk::password::password;
use crate::zk::server::Zk;
use crate::zk::stat::ZkStat;

/// Looking and reaching into it, by somebody who may do all. Each panics when the server refuses, or
/// does not reply within ten seconds. Who does not wait for it does not know whether it was done.
///
/// Each call has a session of its own, which takes two transactions.
impl Zk {
    /// A session that may do all, from the address of the kit.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// There may be a session, until it times out.
    pub async fn client(&self) -> Result<ZkClient, ZkError> {
        let mut client = ZkClient::of_kit(self.observer(), 0, &[0; 16]).await?;
        let (user, password) = self.superuser();
        client.authenticate(user, password).await?;
        client.sync().await?;
        Ok(client)
    }

    /// The names of the children of a node in their order; none if there is no such node.
    pub async fn children(&self, path: &str) -> Vec<String> {
        let found = self.with(path, async |client| client.children(path, false).await).await;
        let mut names = found.unwrap_or_default();
        names.sort();
        names
    }

    /// What the server knows of a node, if there is one.
    pub async fn stat(&self, path: &str) -> Option<ZkStat> {
        self.with(path, async |client| client.exists(path, false).await).await.flatten()
    }

    /// The data of a node, if there is one.
    pub async fn data(&self, path: &str) -> Option<Vec<u8>> {
        self.with(path, async |client| client.data(path, false).await).await
    }

    /// Creates a node that anybody may use, and returns its path, with the number if it has one. An
    /// ephemeral one would go at once: [`client`](Zk::client) keeps it.
    pub async fn create(&self, path: &str, data: impl AsRef<[u8]>, mode: ZkMode) -> String {
        self.create_with(path, data, mode, &[ZkAcl::anyone(ZkAcl::ALL)]).await
    }

    /// Creates a node that is for these, and returns its path, with the number if it has one.
    pub async fn create_with(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        mode: ZkMode,
        acl: &[ZkAcl],
    ) -> String {
        let data = data.as_ref();
        let made = self.with(path, async |client| client.create(path, data, mode, acl).await).await;
        match made {
            Some((path, _)) => path,
            None => panic!("ZooKeeper at {}: {path} has no parent", self.addr()),
        }
    }

    /// Writes the data of a node, and says whether there is one.
    pub async fn set_data(&self, path: &str, data: impl AsRef<[u8]>) -> bool {
        let data = data.as_ref();
        self.with(path, async |client| client.set_data(path, data, -1).await).await.is_some()
    }

    /// Deletes a node without children, and says whether there was one.
    pub async fn delete(&self, path: &str) -> bool {
        self.with(path, async |client| client.delete(path, -1).await).await.is_some()
    }

    /// Deletes a node and all below it, and says how many there were. What others create meanwhile
    /// may be in the way.
    pub async fn delete_tree(&self, path: &str) -> usize {
        let mut paths = self.tree(path).await;
        paths.reverse();
        if self.stat(path).await.is_some() {
            paths.push(path.to_owned());
        }
        let mut deleted = 0;
        for path in paths {
            deleted += usize::from(self.delete(&path).await);
        }
        deleted
    }

    /// Who may do what with a node, if there is one.
    pub async fn acl(&self, path: &str) -> Option<Vec<ZkAcl>> {
        self.with(path, async |client| client.acl(path).await).await
    }

    /// Says who may do what with a node, and whether there is one.
    pub async fn set_acl(&self, path: &str, acl: &[ZkAcl]) -> bool {
        self.with(path, async |client| client.set_acl(path, acl).await).await.is_some()
    }

    /// Every path below a node in its order, without `/zookeeper`.
    pub async fn tree(&self, path: &str) -> Vec<String> {
        let walked = self.with(path, async |client| walk(client, path).await).await;
        walked.unwrap_or_default()
    }

    /// Limits how many nodes there may be, with this one and all below it, to so many. It needs
    /// [`enforce_quota`](crate::ZkOptions::enforce_quota), and that the node has none yet.
    pub async fn set_quota(&self, path: &str, nodes: u32) {
        let mut above = QUOTAS.to_owned();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            above = format!("{above}/{name}");
            if self.stat(&above).await.is_none() {
                self.create(&above, "", ZkMode::Persistent).await;
            }
        }
        let count = self.tree(path).await.len() + 1;
        let limit = format!("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit={nodes}");
        let used = format!("count={count},bytes=0");
        self.create(&format!("{above}/zookeeper_limits"), limit, ZkMode::Persistent).await;
        self.create(&format!("{above}/zookeeper_stats"), used, ZkMode::Persistent).await;
    }

    /// Ends a session as if it had timed out: its ephemeral nodes go, and its client hears that it
    /// is expired when it comes back. Says whether it lived.
    ///
    /// The server closes the client's connection, then the session: a client that comes back
    /// in between is thrown out again.
    pub async fn expire_session(&self, id: i64) -> bool {
        let begun = Instant::now();
        let mut lived = false;
        loop {
            let closed = async {
                let client = ZkClient::of_kit(self.observer(), id, &password(id)).await?;
                lived = true;
                client.close().await
            };
            let last = match closed.await {
                Ok(()) => return true,
                Err(error) if error.code() == Some(SESSION_EXPIRED) => return lived,
                // Its client took it back.
                Err(error) => error,
            };
            assert!(begun.elapsed() < scaled(EXPIRY), "session 0x{id:x} does not end: {last}");
            sleep(PAUSE).await;
        }
    }

    /// Closes the connection of a session, which lives on. Says whether it lived.
    pub async fn drop_connection(&self, id: i64) -> bool {
        match ZkClient::of_kit(self.observer(), id, &password(id)).await {
            Ok(_) => true,
            Err(error) if error.code() == Some(SESSION_EXPIRED) => false,
            Err(error) => panic!("ZooKeeper at {}: session 0x{id:x}: {error}", self.addr()),
        }
    }

    /// Nothing, if there is no such node.
    async fn with<T>(
        &self,
        path: &str,
        work: impl AsyncFnOnce(&mut ZkClient) -> Result<T, ZkError>,
    ) -> Option<T> {
        let done = async {
            let mut client = self.client().await?;
            let done = work(&mut client).await;
            client.close().await?;
            done
        };
        match done.await {
            Ok(done) => Some(done),
            Err(error) if error.code() == Some(NO_NODE) => None,
            Err(error) => panic!("ZooKeeper at {}: {path}: {error}", self.addr()),
        }
    }
}

async fn walk(client: &mut ZkClient, path: &str) -> Result<Vec<String>, ZkError> {
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let names = match client.children(&path, false).await {
            Ok(names) => names,
            // It went while we walked.
            Err(error) if error.code() == Some(NO_NODE) => continue,
            Err(error) => return Err(error),
        };
        for name in names {
            let child = format!("{}/{name}", path.trim_end_matches('/'));
            if child != "/zookeeper" {
                found.push(child.clone());
                open.push(child);
            }
        }
    }
    found.sort();
    Ok(found)
}

const QUOTAS: &str = "/zookeeper/quota";
const EXPIRY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
