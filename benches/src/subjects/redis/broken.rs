//! A server of its own that is broken, and who uses it.

use anyhow::{Context as _, Result, bail};
use lock_testkit::{Flavour, Proxy, Redis};
use rlock::AcquireOptions;
use rlock::async_lock::{RLock, RLockGuard};
use rslock::{LockError, LockManager};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{OURS, RLOCK, RSLOCK};
use crate::delays::Delay;
use crate::subjects::foreign::REDIS_PY;
use crate::subjects::store::broken::Event::{Death, Restart, Silence};
use crate::subjects::store::broken::{Ground, Ours, Party, Stand, TTL, hold};

/// What breaks. Of a loss, redis-py and distributed-lock-redis tell nobody; the latter does not wait
/// either, and has not locked again a minute after its server was restarted.
pub(super) fn delays() -> Vec<Delay> {
    let one = Ground::<One>::new();
    vec![
        Death.to(vec![
            one.party::<Ours>(OURS, Death),
            one.party::<Rslock>(RSLOCK, Death),
            one.party::<Rlock>(RLOCK, Death),
            one.foreign(&REDIS_PY, Death),
        ]),
        Silence.to(vec![
            one.party::<Ours>(OURS, Silence),
            one.party::<Rslock>(RSLOCK, Silence),
            one.party::<Rlock>(RLOCK, Silence),
        ]),
        Restart.to(vec![
            one.party::<Ours>(OURS, Restart),
            one.party::<Rslock>(RSLOCK, Restart),
            one.party::<Rlock>(RLOCK, Restart),
            one.foreign(&REDIS_PY, Restart),
        ]),
    ]
}

/// What a process does that holds the lock for ever.
pub(crate) async fn hold_for_ever(subject: &str, url: &str) -> Result<()> {
    match subject {
        OURS => hold::<Ours>(subject, url).await,
        RSLOCK => hold::<Rslock>(subject, url).await,
        RLOCK => hold::<Rlock>(subject, url).await,
        other => bail!("BUG: who is {other}?"),
    }
}

struct One(Redis);

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

/// Through [`LockManager::using`], which renews, and ends with an error when it cannot.
struct Rslock {
    client: LockManager,
    name: String,
}

struct Using {
    end: oneshot::Sender<()>,
    runs: JoinHandle<Result<(), LockError>>,
}

impl Party for Rslock {
    type Held = Using;

    async fn connect(url: &str, name: &str) -> Result<Self> {
        Ok(Self { client: LockManager::new(vec![url]), name: name.to_owned() })
    }

    async fn lock(&self) -> Result<Using> {
        let (client, name) = (self.client.clone(), self.name.clone());
        let (is_held, held) = oneshot::channel();
        let (end, ends) = oneshot::channel::<()>();
        let inside = async move || {
            // Whoever waited has given up, or lets go.
            let _ = is_held.send(());
            let _ = ends.await;
        };
        let runs = tokio::spawn(async move { client.using(name.as_bytes(), TTL, inside).await });
        match held.await {
            Ok(()) => Ok(Using { end, runs }),
            Err(_) => bail!("it ended: {:?}", runs.await?),
        }
    }

    async fn unlock(&self, held: Using) -> Result<()> {
        // Nobody listens where it has ended.
        let _ = held.end.send(());
        Ok(held.runs.await??)
    }

    async fn lost(&self, held: &mut Using) -> Result<()> {
        match (&mut held.runs).await? {
            Ok(()) => bail!("BUG: it ended by itself"),
            Err(_) => Ok(()),
        }
    }
}

struct Rlock {
    client: RLock,
    options: AcquireOptions,
    name: String,
}

impl Party for Rlock {
    type Held = RLockGuard;

    async fn connect(url: &str, name: &str) -> Result<Self> {
        let client = RLock::new(url).await.context("rlock cannot connect")?;
        let options = AcquireOptions::builder().ttl(TTL).build()?;
        Ok(Self { client, options, name: name.to_owned() })
    }

    async fn lock(&self) -> Result<RLockGuard> {
        Ok(self.client.acquire_mutex_with_options(&self.name, self.options.clone()).await?)
    }

    async fn unlock(&self, mut held: RLockGuard) -> Result<()> {
        Ok(held.release().await?)
    }

    async fn lost(&self, held: &mut RLockGuard) -> Result<()> {
        held.wait_until_inactive().await;
        Ok(())
    }
}
