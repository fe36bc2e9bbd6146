//! Ours, as an application uses it: through the handles.

use std::time::Duration;

use anyhow::Result;
use lock_redis::RedisConfig;
use lockcore::{Locks, Mutex};

use super::server::address;
use super::{CLIENTS, OURS, names};
use crate::subjects::{At, Subject};

/// Clients with handles for all names.
pub(super) struct Ours(Vec<Vec<Mutex>>);

impl Ours {
    pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Self> {
        let names = names(OURS);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let locks = connect(url, ttl).await?;
            clients.push(names.iter().map(|name| locks.mutex(name)).collect::<Result<_, _>>()?);
        }
        Ok(Self(clients))
    }
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        OURS
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let guard = self.0[at.client][at.name].lock().await?;
        inside().await;
        guard.release().await?;
        Ok(())
    }
}

/// A client with its default options, apart from the TTL.
pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Locks> {
    let address = address(url)?;
    let config = RedisConfig::single(address.ip().to_string(), address.port());
    Ok(Locks::new(config.connect().await?).ttl(ttl)?)
}
