//! The server, and the way to it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lock_testkit::{Proxy, Zk};

use crate::subjects::store::{LONG_TTL, far};

/// A server of our own, as ZooKeeper comes: it waits for the disk before it answers a write. It ends
/// when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    zk: Zk,
    /// What clients go through, if they do not connect to the server itself.
    link: Option<Proxy>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let options = Zk::options().durable(true);
        let options = options.tick_time(TICK).max_session_timeout(LONG_TTL);
        let zk = options.property("zookeeper.preAllocSize", LOG_AHEAD).start().await;
        Self { zk, link: None }
    }

    /// One at the end of a [link](far::link).
    pub(super) async fn start_far() -> Self {
        let near = Self::start().await;
        Self { link: Some(far::link(near.zk.addr()).await), ..near }
    }

    /// A way to it that counts requests.
    pub(super) async fn counted(&self) -> Proxy {
        Proxy::zk(self.zk.addr()).await
    }

    pub(super) fn url(&self) -> String {
        match &self.link {
            Some(link) => url(link),
            None => format!("{SCHEME}{}", self.zk.connect_string()),
        }
    }

    pub(super) fn process(&self) -> u32 {
        self.zk.pid()
    }
}

/// Of a server behind this.
pub(super) fn url(link: &Proxy) -> String {
    format!("{SCHEME}{}", link.addr())
}

/// Host and port of a [`Server::url`].
pub(super) fn address(url: &str) -> Result<&str> {
    let address = url.strip_prefix(SCHEME).with_context(|| format!("{url} has no address"))?;
    Ok(address.split_once('?').map_or(address, |(address, _)| address))
}

pub(super) const SCHEME: &str = "zk://";

/// As in the configuration that comes with it.
const TICK: Duration = Duration::from_secs(2);

/// What it takes of the disk for its log at once, in kB, unless told otherwise.
const LOG_AHEAD: &str = "65536";
