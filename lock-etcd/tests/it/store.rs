//! A server, or a cluster of three.

use std::time::Duration;

use futures_util::future::join_all;
use lock_testkit::{Etcd, EtcdCluster, EtcdOptions, EtcdVersion, Permission};

use crate::role;

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

    /// One that knows the user of the README's recipe, and refuses all who are nobody.
    pub(crate) async fn for_a_worker(version: EtcdVersion, prefix: &str) -> Self {
        let [_, grant, give] = role::documented();
        assert_eq!(give, format!("etcdctl user grant-role {WORKER} locks"));
        let rights = match grant.split_once("--prefix=true readwrite shop/") {
            Some((_, "")) => [(prefix, Permission::ReadWrite)],
            _ => panic!("another recipe: {grant}"),
        };
        let options = options(version).user(WORKER, PASSWORD, &rights);
        Self::Single(Box::new(options.start().await))
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

pub(crate) const WORKER: &str = "worker";
pub(crate) const PASSWORD: &str = "c4nary-7f31e9";
