//! The recipe that comes with the client library, used as its documentation shows.

use std::mem;
use std::time::Duration;

use anyhow::Result;
use zookeeper_client::{Acls, Client, LockOptions, LockPrefix};

use super::RECIPE;
use super::bare::{connect, directories};
use crate::subjects::{At, CLIENTS, Subject};

/// Like Curator's, in directories that are there.
pub(super) struct Recipe {
    clients: Vec<Client>,
    directories: Vec<String>,
}

impl Recipe {
    pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect(url, ttl).await?);
        }
        let directories = directories(&clients[0], RECIPE).await?;
        Ok(Self { clients, directories })
    }
}

impl Subject for Recipe {
    fn name(&self) -> &'static str {
        RECIPE
    }

    /// Its release is a drop, which asks for a delete and tells nobody what became of it. Asked for by
    /// hand, the same delete can be awaited.
    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let client = &self.clients[at.client];
        let prefix = LockPrefix::new_curator(&self.directories[at.name], "lock-")?;
        let held = client.lock(prefix, b"", LockOptions::new(Acls::anyone_all())).await?;
        inside().await;
        let path = held.lock_path().to_owned();
        // Forgotten, it deletes nothing once more.
        mem::forget(held);
        client.delete(&path, None).await?;
        Ok(())
    }
}
