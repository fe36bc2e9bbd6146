//! Where requests are counted.

use anyhow::Result;
use lock_testkit::Proxy;

use super::server::{Monitor, Server};
use crate::subjects::store::counted::Place;
use crate::subjects::store::crowd::{Gate, Seen};

impl Place for Server {
    type Meter = Monitor;

    async fn start() -> Result<Self> {
        Self::start().await
    }

    fn url(&self) -> String {
        self.url()
    }
}

/// A server behind a proxy that knows commands and messages.
pub(super) struct Watched {
    server: Server,
    proxy: Proxy,
}

impl Gate for Watched {
    async fn start() -> Result<Self> {
        let server = Server::start().await?;
        Ok(Self { proxy: server.counted().await, server })
    }

    fn url(&self) -> String {
        self.server.url_via(&self.proxy)
    }

    async fn seen(&self) -> Result<Seen> {
        let requests = self.proxy.requests_seen().values().sum::<u64>() as f64;
        let notifications = self.proxy.notifications_seen().values().sum::<u64>() as f64;
        Ok(Seen { requests, notifications })
    }
}
