//! A server, or a cluster of three.

use std::time::Duration;

use futures_util::future::join_all;
use lock_testkit::{Etcd, EtcdCluster, EtcdOptions, EtcdVersion};

/// A store of one member or more.
#[derive(Debug)]
pub(crate) enum Store {
    Single(Box<Etcd>),
    Cluster(EtcdCluster),
}

impl Store {
    pub(crate) async fn single(version: EtcdVersion) -> Self {
        Self::Single(Box::new(options(version).start().await))
    }

    pub(crate) async fn cluster(version: EtcdVersion) -> Self {
        Self::Cluster(EtcdCluster::start_with(options(version)).await)
    }

    pub(crate) fn members(&self) -> &[Etcd] {
        match self {
            Self::Single(server) => std::slice::from_ref(&**server),
            Self::Cluster(cluster) => cluster.members(),
        }
    }

    /// Any member: all know the same.
    pub(crate) fn any(&self) -> &Etcd {
        &self.members()[0]
    }

    pub(crate) async fn restart(&self) {
        // One alone of several cannot serve.
        self.members().iter().for_each(Etcd::kill);
        join_all(self.members().iter().map(Etcd::restart)).await;
    }
}

fn options(version: EtcdVersion) -> EtcdOptions {
    // A second is the shortest TTL then. What a process has written outlives the process, and nobody
    // takes the disk away.
    let options = Etcd::options(version).unsafe_no_fsync();
    options.election(Duration::from_millis(50), Duration::from_millis(500))
}
