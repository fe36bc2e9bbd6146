//! Servers of their own that are broken, and who uses them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Result, bail};
use lock_testkit::{Proxy, Zk, ZkEnsemble};
use tokio::sync::Mutex;
use zookeeper_client::{
    Acls, Client, CreateMode, Error, LockOptions, LockPrefix, OwnedLockClient, SessionState,
};

use super::bare::connect;
use super::server::{SCHEME, url};
use super::{OURS, RECIPE};
use crate::delays::{Delay, Delayed};
use crate::subjects::foreign::{CURATOR, KAZOO};
use crate::subjects::store::broken::Event::{Death, Failover, Restart, Silence};
use crate::subjects::store::broken::{Event, Ground, Ours, Party, Stand, TTL, hold};

/// What breaks.
pub(super) fn delays() -> Vec<Delay> {
    let (one, three) = (Ground::<One>::new(), Ground::<Three>::new());
    let mut silenced = vec![
        one.party::<Ours>(OURS, Silence),
        one.party::<Recipe>(RECIPE, Silence),
        one.foreign(&KAZOO, Silence),
    ];
    silenced.extend(one.silenced(&CURATOR));
    vec![
        Death.to(all(&one, Death)),
        Silence.to(silenced),
        Restart.to(all(&one, Restart)),
        Failover.to(all(&three, Failover)),
    ]
}

fn all<S: Stand>(ground: &Ground<S>, event: Event) -> Vec<Box<dyn Delayed>> {
    vec![
        ground.party::<Ours>(OURS, event),
        ground.party::<Recipe>(RECIPE, event),
        ground.foreign(&CURATOR, event),
        ground.foreign(&KAZOO, event),
    ]
}

/// What a process does that holds the lock for ever.
pub(crate) async fn hold_for_ever(subject: &str, url: &str) -> Result<()> {
    match subject {
        OURS => hold::<Ours>(subject, url).await,
        RECIPE => hold::<Recipe>(subject, url).await,
        other => bail!("BUG: who is {other}?"),
    }
}

struct One(Zk);

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
struct Three(ZkEnsemble, AtomicUsize);

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

/// With a new session once the old one has ended, as its user has to.
struct Recipe {
    client: Mutex<Client>,
    url: String,
    directory: String,
}

impl Recipe {
    async fn client(&self) -> Result<Client> {
        let mut client = self.client.lock().await;
        if client.state().is_terminated() {
            *client = connect(&self.url, TTL).await?;
        }
        Ok(client.clone())
    }
}

impl Party for Recipe {
    type Held = OwnedLockClient;

    async fn connect(url: &str, name: &str) -> Result<Self> {
        let (client, directory) = (connect(url, TTL).await?, format!("/broken/{name}"));
        client.mkdir(&directory, &CreateMode::Persistent.with_acls(Acls::anyone_all())).await?;
        Ok(Self { client: Mutex::new(client), url: url.to_owned(), directory })
    }

    async fn lock(&self) -> Result<OwnedLockClient> {
        let client = self.client().await?;
        let prefix = LockPrefix::new_curator(&self.directory, "lock-")?;
        let held = client.lock(prefix, b"", LockOptions::new(Acls::anyone_all())).await?;
        Ok(held.into_owned())
    }

    /// As a drop tells nobody what became of the delete, the same is asked for by hand behind it.
    async fn unlock(&self, held: OwnedLockClient) -> Result<()> {
        let (client, path) = (held.client().clone(), held.lock_path().to_owned());
        drop(held);
        match client.delete(&path, None).await {
            Ok(()) | Err(Error::NoNode) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The state of the session is all that tells: what is no longer connected may be lost.
    async fn lost(&self, held: &mut OwnedLockClient) -> Result<()> {
        let mut states = held.client().state_watcher();
        while states.changed().await == SessionState::SyncConnected {}
        Ok(())
    }
}
