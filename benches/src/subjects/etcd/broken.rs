//! Servers of their own that are broken.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, Proxy};

use crate::subjects::store::broken::Stand;

pub(super) struct One(Etcd);

impl Stand for One {
    async fn start() -> Self {
        Self(Etcd::options(EtcdVersion::V3_7).start().await)
    }

    async fn link(&self) -> Proxy {
        Proxy::start(self.0.addr()).await
    }

    fn url(&self, link: Option<&Proxy>) -> String {
        link.map_or_else(|| self.0.url(), |link| self.0.url_via(link))
    }

    async fn kills(&self) {
        self.0.kill();
    }

    async fn mends(&self) {
        self.0.restart().await;
    }
}

/// Three members, and which of them was killed.
pub(super) struct Three(EtcdCluster, AtomicUsize);

impl Stand for Three {
    async fn start() -> Self {
        Self(EtcdCluster::start(EtcdVersion::V3_7).await, AtomicUsize::new(0))
    }

    async fn link(&self) -> Proxy {
        Proxy::start(self.0.member(0).addr()).await
    }

    fn url(&self, link: Option<&Proxy>) -> String {
        link.map_or_else(|| self.0.url(), |link| self.0.member(0).url_via(link))
    }

    async fn kills(&self) {
        let leader = self.0.leader().await;
        self.1.store(leader, Relaxed);
        self.0.member(leader).kill();
    }

    async fn mends(&self) {
        self.0.member(self.1.load(Relaxed)).restart().await;
        self.0.leader().await;
    }
}
