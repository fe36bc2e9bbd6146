//! The kit on real servers: it starts them, breaks them, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod child;
mod cluster;
mod process;
mod proxy;
mod proxy_resp;
mod proxy_zk;
mod redis;
mod sentinel;
#[cfg(feature = "tls")]
mod tls;
mod zk_peer;
