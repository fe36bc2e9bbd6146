//! Servers of their own that are broken, and who uses them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, bail};
use etcd_client::{Client, Error, LockOptions};
use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, Proxy};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::server::address;
use super::{LOCK_RPC, OURS};
use crate::delays::Delay;
use crate::subjects::store::broken::Event::{Death, Failover, Restart, Silence};
use crate::subjects::store::broken::{Ground, Ours, Party, Stand, TTL, hold};

/// What breaks. Nobody tells a user of the Lock RPC of a loss: renewals are the user's own.
pub(super) fn delays() -> Vec<Delay> {
    let (one, three) = (Ground::<One>::new(), Ground::<Three>::new());
    let both = |event| vec![one.party::<Ours>(OURS, event), one.party::<LockRpc>(LOCK_RPC, event)];
    vec![
        Death.to(both(Death)),
        Silence.to(vec![one.party::<Ours>(OURS, Silence)]),
        Restart.to(both(Restart)),
        Failover.to(vec![
            three.party::<Ours>(OURS, Failover),
            three.party::<LockRpc>(LOCK_RPC, Failover),
        ]),
    ]
}

/// What a process does that holds the lock for ever.
pub(crate) async fn hold_for_ever(subject: &str, url: &str) -> Result<()> {
    match subject {
        OURS => hold::<Ours>(subject, url).await,
        LOCK_RPC => hold::<LockRpc>(subject, url).await,
        other => bail!("BUG: who is {other}?"),
    }
}

struct One(Etcd);

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
struct Three(EtcdCluster, AtomicUsize);

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

/// With a lease that it keeps alive, as its user has to. A try that failed is made again with the same
/// lease, as long as that lives: the server knows by it what is its own.
struct LockRpc {
    client: Client,
    lease: Mutex<Option<Lease>>,
    name: String,
}

/// Kept alive until this is dropped.
struct Lease {
    id: i64,
    renewals: JoinHandle<()>,
}

impl LockRpc {
    async fn lease(&self) -> Result<i64> {
        let mut lease = self.lease.lock().await;
        if let Some(lease) = &*lease {
            return Ok(lease.id);
        }
        let granted = self.client.lease_client().grant(TTL.as_secs() as i64, None).await?;
        let renewals = tokio::spawn(keep_alive(self.client.clone(), granted.id()));
        *lease = Some(Lease { id: granted.id(), renewals });
        Ok(granted.id())
    }
}

impl Party for LockRpc {
    type Held = Vec<u8>;

    async fn connect(url: &str, name: &str) -> Result<Self> {
        let endpoints: Vec<_> =
            address(url)?.split(',').map(|address| format!("http://{address}")).collect();
        let client = Client::connect(endpoints, None).await?;
        Ok(Self { client, lease: Mutex::default(), name: name.to_owned() })
    }

    async fn lock(&self) -> Result<Vec<u8>> {
        let options = LockOptions::new().with_lease(self.lease().await?);
        match self.client.lock_client().lock(self.name.as_str(), Some(options)).await {
            Ok(held) => Ok(held.key().to_vec()),
            Err(error) => {
                if matches!(&error, Error::GRpcStatus(status) if status.message().contains(GONE)) {
                    *self.lease.lock().await = None;
                }
                Err(error.into())
            }
        }
    }

    async fn unlock(&self, held: Vec<u8>) -> Result<()> {
        self.client.lock_client().unlock(held).await?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewals.abort();
    }
}

/// Renews it for ever, on another stream when one breaks.
async fn keep_alive(client: Client, lease: i64) {
    loop {
        // That it failed shows in the next try to lock.
        let _ = renew(&client, lease).await;
        sleep(AGAIN).await;
    }
}

async fn renew(client: &Client, lease: i64) -> Result<()> {
    let (mut keeper, mut answers) = client.lease_client().keep_alive(lease).await?;
    loop {
        sleep(TTL / 3).await;
        keeper.keep_alive().await?;
        match answers.message().await? {
            Some(answer) if answer.ttl() > 0 => {}
            _ => bail!("the lease is gone"),
        }
    }
}

const GONE: &str = "lease not found";
const AGAIN: Duration = Duration::from_millis(50);
