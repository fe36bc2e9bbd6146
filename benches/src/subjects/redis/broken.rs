//! A server of its own that is broken.

use lock_testkit::{Flavour, Proxy, Redis};

use crate::subjects::store::broken::Stand;

pub(super) struct One(Redis);

impl Stand for One {
    async fn start() -> Self {
        // So that what is held is still there when it comes back.
        Self(Redis::options(Flavour::Redis).append_only().start().await)
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
