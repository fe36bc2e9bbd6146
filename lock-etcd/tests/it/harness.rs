//! etcd 3.7, 3.4 and a cluster of three as backends under test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::time::scaled;
use lock_conformance::{Client, Harness};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdVersion};
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
        let config = patient(EtcdConfig::new(link.endpoints()), max_waiters);
        let config = if self.has_users { config.login(WORKER, PASSWORD) } else { config };
        let lock = Arc::new(config.connect().await.unwrap());
        link.belongs_to(lock.clone());
        self.links.lock().unwrap().push(link.clone());
        Client { lock, link: Some(link) }
    }
}

/// As patient as the suite can bear.
fn patient(config: EtcdConfig, max_waiters: usize) -> EtcdConfig {
    let config = config.max_waiters(max_waiters).unwrap();
    let config = config.request_timeout(scaled(Duration::from_secs(1))).unwrap();
    config.recheck(scaled(Duration::from_millis(300))).unwrap()
}

/// What stands there of locks: not the epochs of sessions.
async fn count(server: &Etcd) -> usize {
    let keys = server.keys(PREFIX).await;
    keys.iter().filter(|key| !key.key.starts_with(EPOCHS)).count()
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
                self.0.client(EtcdConfig::DEFAULT_MAX_WAITERS).await
            }

            async fn client_with_waiters(&self, max_waiters: usize) -> Client {
                self.0.client(max_waiters).await
            }

            async fn records(&self) -> usize {
                count(self.0.store.any()).await
            }

            fn short_ttl(&self) -> Ttl {
                short_ttl()
            }

            fn slack(&self) -> Duration {
                SLACK
            }

            async fn restart(&self) {
                self.0.store.restart().await;
            }

            async fn revoke(&self, name: &str) {
                let name = name.replace('/', "%2F");
                let server = self.0.store.any();
                let keys = server.keys(format!("{PREFIX}{name}/")).await;
                let holder = keys.iter().min_by_key(|key| key.create_revision).unwrap();
                server.delete(&holder.key).await;
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

harness!(OnEtcd, "etcd", Store::for_a_worker(EtcdVersion::V3_7, PREFIX), true);
harness!(OnOldEtcd, "etcd (3.4)", Store::single(EtcdVersion::V3_4), false);
harness!(OnCluster, "etcd (cluster)", Store::cluster(EtcdVersion::V3_7), false);

fn short_ttl() -> Ttl {
    let least = scaled(Duration::from_secs(1));
    Ttl::new(Duration::from_secs(least.as_secs_f64().ceil() as u64)).unwrap()
}

const LOST_DATA: &str = "tokens are revisions of the store: one that lost its data, which takes the \
                         loss of most members, counts anew";
const PREFIX: &str = "leasehold/";
const EPOCHS: &str = "leasehold/~/";
/// Leases are looked through every half second; the rest is for two busy cores.
const SLACK: Duration = Duration::from_millis(1_500);
