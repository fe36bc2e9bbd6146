//! Where requests are counted.

use anyhow::Result;
use lock_testkit::Proxy;

use super::meter::{Requests, Way};
use super::server::{Server, url};
use crate::subjects::store::counted::Place;
use crate::subjects::store::crowd::{Gate, Seen};

/// A server behind a way that counts.
pub(super) struct Counted {
    way: Way,
    _server: Server,
}

impl Place for Counted {
    type Meter = Requests;

    async fn start() -> Result<Self> {
        let server = Server::start().await;
        Ok(Self { way: Way::to(&server).await?, _server: server })
    }

    fn url(&self) -> String {
        self.way.url().to_owned()
    }
}

/// A server behind a proxy that knows requests and events.
pub(super) struct Watched {
    proxy: Proxy,
    _server: Server,
}

impl Gate for Watched {
    async fn start() -> Result<Self> {
        let server = Server::start().await;
        Ok(Self { proxy: server.counted().await, _server: server })
    }

    fn url(&self) -> String {
        url(&self.proxy)
    }

    async fn seen(&self) -> Result<Seen> {
        let requests = self.proxy.requests_seen();
        // Pings are not asked for.
        let requests = requests.iter().filter(|(name, _)| *name != "ping");
        let requests = requests.map(|(_, count)| count).sum::<u64>() as f64;
        let notifications = self.proxy.notifications_seen().values().sum::<u64>() as f64;
        Ok(Seen { requests, notifications })
    }
}
