//! Ours, connected.

use std::time::Duration;

use anyhow::Result;
use lock_redis::RedisConfig;
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
    let address = address(url)?;
    let config = RedisConfig::single(address.ip().to_string(), address.port());
    Ok(Locks::new(config.connect().await?).ttl(ttl)?)
}
