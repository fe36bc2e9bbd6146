//! Ours, connected.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lock_zk::ZkConfig;
use lockcore::Locks;

use super::OURS;
use super::server::address;
use crate::subjects::store::ours::Ours;

/// The clients of [`Ours`].
pub(super) async fn clients(url: &str, ttl: Duration) -> Result<Ours> {
    Ours::connect(OURS, async || connect(url, ttl).await).await
}

/// A client with its default options, apart from the TTL.
pub(super) async fn connect(url: &str, ttl: Duration) -> Result<Locks> {
    let (host, port) = address(url)?.split_once(':').context("no port")?;
    let lock = ZkConfig::new([(host, port.parse()?)]).connect().await?;
    Ok(Locks::new(lock).ttl(ttl)?)
}
