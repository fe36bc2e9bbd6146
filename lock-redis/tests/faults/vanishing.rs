//! Clients that do not hear what became of their commands.

use std::time::Duration;

use lock_testkit::{Flavour, Proxy, Redis, RedisOptions, Swallow, SwallowHandle};
use lockcore::Locks;

use crate::stage::{Kind, connect, hasty, kind, ms};

pub(crate) const WAYS: [Swallow; 2] = [Swallow::ThenCut, Swallow::ThenSilence];
pub(crate) const NAME: &str = "name";

/// A client whose replies can vanish, and one that loses none.
pub(crate) struct Stage {
    pub(crate) server: Redis,
    pub(crate) proxy: Proxy,
    pub(crate) victim: Locks,
    pub(crate) other: Locks,
}

impl Stage {
    pub(crate) async fn new(flavour: Flavour, ttl: Duration) -> Self {
        let server = RedisOptions::new(flavour).start().await;
        let proxy = Proxy::resp(server.addr()).await;
        let victim = connect(hasty(proxy.addr()).recheck(ms(200)).unwrap(), ttl).await;
        let other = connect(hasty(server.addr()), ttl).await;
        Self { server, proxy, victim, other }
    }

    pub(crate) fn swallow(&self, what: Kind, then: Swallow) -> SwallowHandle {
        self.proxy.swallow_reply_then(then, move |words| kind(words) == what)
    }
}
