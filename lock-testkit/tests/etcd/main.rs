//! The kit on real servers of etcd: it starts them, breaks them, and sees what is in them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod http;
mod server;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod users;

use std::time::Duration;

use lock_testkit::EtcdVersion;

const VERSIONS: [EtcdVersion; 2] = [EtcdVersion::V3_4, EtcdVersion::V3_7];
const SOON: Duration = Duration::from_secs(20);
