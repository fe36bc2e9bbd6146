//! What the tests have in common: clients, looks into the server, and beliefs that are noted.

use std::time::Duration;

pub(crate) use lock_conformance::lab::{believe, take};
use lock_conformance::time::{eventually, scaled};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdCluster, EtcdKey, EtcdOptions, EtcdVersion, GrpcProxy};
use lockcore::Locks;

/// Both servers.
pub(crate) const VERSIONS: [EtcdVersion; 2] = [EtcdVersion::V3_7, EtcdVersion::V3_4];

/// No TTL ends during a test with this one.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// For what takes no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// So many milliseconds, as this machine needs them.
pub(crate) fn ms(millis: u64) -> Duration {
    scaled(Duration::from_millis(millis))
}

/// A TTL of so many seconds, as this machine needs them: whole ones.
pub(crate) fn ttl(seconds: u64) -> Duration {
    Duration::from_secs(scaled(Duration::from_secs(seconds)).as_secs_f64().ceil() as u64)
}

/// What all tests start.
pub(crate) fn options(version: EtcdVersion) -> EtcdOptions {
    // A second is the shortest TTL then. No machine fails here, only processes do.
    let options = Etcd::options(version).unsafe_no_fsync();
    options.election(Duration::from_millis(50), Duration::from_millis(500))
}

/// An etcd 3.7.
pub(crate) async fn etcd() -> Etcd {
    server(EtcdVersion::V3_7).await
}

/// One of this version.
pub(crate) async fn server(version: EtcdVersion) -> Etcd {
    options(version).start().await
}

/// Three members.
pub(crate) async fn cluster() -> EtcdCluster {
    EtcdCluster::start_with(options(EtcdVersion::V3_7)).await
}

/// A client of what listens there, with the defaults.
pub(crate) fn config(port: u16) -> EtcdConfig {
    EtcdConfig::new([("127.0.0.1", port)])
}

/// A client of calls that can be broken one by one, which gives up on one soon.
pub(crate) fn via(proxy: &GrpcProxy) -> EtcdConfig {
    config(proxy.addr().port()).request_timeout(ms(400)).unwrap()
}

/// A client that knows all members.
pub(crate) fn of_all(cluster: &EtcdCluster) -> EtcdConfig {
    EtcdConfig::new(cluster.members().iter().map(|member| ("127.0.0.1", member.port())))
}

/// Connects.
pub(crate) async fn connect(config: EtcdConfig, ttl: Duration) -> Locks {
    Locks::new(config.connect().await.unwrap()).ttl(ttl).unwrap()
}

/// The keys of a lock, in the order in which they came.
pub(crate) async fn keys(server: &Etcd, name: &str) -> Vec<EtcdKey> {
    let mut keys = server.keys(format!("leasehold/{name}/")).await;
    keys.sort_by_key(|key| key.create_revision);
    keys
}

/// Waits until `count` hold a name or wait for it.
pub(crate) async fn until_keys(server: &Etcd, name: &str, count: usize) {
    let what = format!("{count} hold {name} or wait");
    eventually(&what, || async { keys(server, name).await.len() == count }).await;
}

/// Waits until the server watches so many keys.
pub(crate) async fn until_watched(server: &Etcd, count: u64) {
    let what = format!("{count} keys are watched");
    eventually(&what, || async { server.watchers().await == count }).await;
}

/// Waits until no key of any lock is there.
pub(crate) async fn nothing_left(server: &Etcd) {
    eventually("no key of a lock is left", || async { left(server).await.is_empty() }).await;
}

/// The keys of all locks: those of sessions stay.
pub(crate) async fn left(server: &Etcd) -> Vec<EtcdKey> {
    let mut keys = server.keys("leasehold/").await;
    keys.retain(|key| !key.key.starts_with("leasehold/~/"));
    keys
}
