//! Servers of their own that are broken.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lock_testkit::{Proxy, Zk, ZkEnsemble};

use super::server::{SCHEME, url};
use crate::subjects::store::broken::Stand;

pub(super) struct One(Zk);

impl Stand for One {
    async fn start() -> Self {
        Self(Zk::options().durable(true).start().await)
    }

    async fn link(&self) -> Proxy {
        Proxy::start(self.0.addr()).await
    }

    fn url(&self, link: Option<&Proxy>) -> String {
        link.map_or_else(|| format!("{SCHEME}{}", self.0.connect_string()), url)
    }

    async fn kills(&self) {
        self.0.kill();
    }

    async fn mends(&self) {
        self.0.restart().await;
    }
}

/// Three members, and which of them was killed.
pub(super) struct Three(ZkEnsemble, AtomicUsize);

impl Stand for Three {
    async fn start() -> Self {
        Self(ZkEnsemble::start(3).await, AtomicUsize::new(0))
    }

    async fn link(&self) -> Proxy {
        Proxy::start(self.0.member(0).addr()).await
    }

    fn url(&self, link: Option<&Proxy>) -> String {
        link.map_or_else(|| format!("{SCHEME}{}", self.0.connect_string()), url)
    }

    async fn kills(&self) {
        let leader = self.0.leader().await;
        self.1.store(leader, Relaxed);
        self.0.kill(leader);
    }

    async fn mends(&self) {
        self.0.restart(self.1.load(Relaxed)).await;
        self.0.leader().await;
    }
}
