//! One server of ZooKeeper, and an ensemble of three, as backends under test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::time::scaled;
use lock_conformance::{Client, Harness};
use lock_zk::ZkConfig;
use lockcore::Ttl;

use crate::link::Link;
use crate::store::{PASSWORD, Store, WORKER};

/// One store, each client with a link of its own.
struct Tested {
    store: Arc<Store>,
    /// Whether its clients are a user, who may do what the README says and nothing else.
    has_users: bool,
    links: Mutex<Vec<Arc<Link>>>,
}

impl Tested {
    fn new(store: Store, has_users: bool) -> Self {
        Self { store: Arc::new(store), has_users, links: Mutex::default() }
    }

    async fn client(&self, max_waiters: usize) -> Client {
        let link = Arc::new(Link::to(self.store.clone()).await);
        let config = ZkConfig::new(link.members()).chroot(self.store.chroot()).unwrap();
        let config = patient(config, max_waiters);
        let config = if self.has_users { config.login(WORKER, PASSWORD) } else { config };
        let lock = Arc::new(config.connect().await.unwrap());
        link.belongs_to(lock.clone());
        self.links.lock().unwrap().push(link.clone());
        Client { lock, link: Some(link) }
    }
}

/// As patient as the suite can bear.
fn patient(config: ZkConfig, max_waiters: usize) -> ZkConfig {
    let config = config.max_waiters(max_waiters).unwrap();
    let config = config.request_timeout(scaled(Duration::from_secs(1))).unwrap();
    config.recheck(scaled(Duration::from_millis(300))).unwrap()
}

/// What stands there of locks: not the directories.
async fn count(store: &Store) -> usize {
    let top = format!("{}{PREFIX}", store.chroot());
    let paths = store.any().tree(&top).await;
    paths.iter().filter(|path| path[top.len()..].matches('/').count() == 2).count()
}

macro_rules! harness {
    ($harness:ident, $backend:literal, $store:expr, $has_users:literal) => {
        pub(crate) struct $harness(Tested);

        #[async_trait]
        impl Harness for $harness {
            const BACKEND: &'static str = $backend;
            const OPT_OUTS: &'static [(&'static str, &'static str)] =
                &[("r02_tokens_rise_over_a_loss_of_data", LOST_DATA)];

            async fn start() -> Self {
                Self(Tested::new($store.await, $has_users))
            }

            async fn client(&self) -> Client {
                self.0.client(ZkConfig::DEFAULT_MAX_WAITERS).await
            }

            async fn client_with_waiters(&self, max_waiters: usize) -> Client {
                self.0.client(max_waiters).await
            }

            async fn records(&self) -> usize {
                count(&self.0.store).await
            }

            fn short_ttl(&self) -> Ttl {
                Ttl::new(scaled(Duration::from_secs(1))).unwrap()
            }

            fn slack(&self) -> Duration {
                SLACK
            }

            async fn restart(&self) {
                self.0.store.restart().await;
            }

            async fn revoke(&self, name: &str) {
                let (name, store) = (name.replace('/', "%2F"), &self.0.store);
                let (directory, server) =
                    (format!("{}{PREFIX}/{name}", store.chroot()), store.any());
                let mut nodes = server.children(&directory).await;
                nodes.sort_by_key(|node| node[node.len() - 10..].to_owned());
                assert!(server.delete(&format!("{directory}/{}", nodes[0])).await);
            }

            async fn lose_notifications(&self, lose: bool) {
                for link in &*self.0.links.lock().unwrap() {
                    link.lose_notifications(lose);
                }
            }

            async fn notifications(&self) -> usize {
                self.0.links.lock().unwrap().iter().map(|link| link.notifications()).sum()
            }
        }
    };
}

harness!(OnZk, "zk", Store::for_a_worker(PREFIX), true);
harness!(OnEnsemble, "zk (ensemble)", Store::ensemble(), false);

const LOST_DATA: &str = "tokens are numbers of the store's transactions: one that lost its data, \
                         which takes the loss of most members, counts anew";
const PREFIX: &str = "/leasehold";
/// Sessions are looked through every tick, and their ends rounded up to one; the rest is for two busy
/// cores.
const SLACK: Duration = Duration::from_millis(1_500);
