//! Redis, Valkey and a cluster as backends under test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::time::scaled;
use lock_conformance::{Client, Harness};
use lock_redis::RedisConfig;
use lock_testkit::{Cluster, Flavour, Redis};
use lockcore::Ttl;

use crate::link::Link;
use crate::records;
use crate::rules::Rules;

/// One server, each client with a link of its own.
struct Single {
    server: Redis,
    /// Who the clients are, where they are somebody.
    login: Option<(&'static str, &'static str)>,
    links: Mutex<Vec<Arc<Link>>>,
}

impl Single {
    async fn start(flavour: Flavour) -> Self {
        // What is confirmed is safe: a restart loses nothing.
        let options = Redis::options(flavour).append_only();
        Self { server: options.start().await, login: None, links: Mutex::default() }
    }

    /// Its clients may do what the README says that they must, and nothing else.
    async fn for_a_worker(flavour: Flavour) -> Self {
        let rules = Rules::documented();
        let rules = rules.rules(RedisConfig::DEFAULT_PREFIX, &rules.needed).join(" ");
        let options = Redis::options(flavour).append_only();
        let options = options.user(&format!("{WORKER} on >{PASSWORD} {rules}"));
        Self {
            server: options.start().await,
            login: Some((WORKER, PASSWORD)),
            links: Mutex::default(),
        }
    }

    async fn client(&self, max_waiters: usize) -> Client {
        let link = Arc::new(Link::to(self.server.addr()).await);
        let config = patient(RedisConfig::single("127.0.0.1", link.port()), max_waiters);
        let config = match self.login {
            Some((user, password)) => config.login(Some(user), password),
            None => config,
        };
        let lock = Arc::new(config.connect().await.unwrap());
        link.belongs_to(lock.clone());
        self.links.lock().unwrap().push(link.clone());
        Client { lock, link: Some(link) }
    }
}

/// As patient as the suite can bear.
fn patient(config: RedisConfig, max_waiters: usize) -> RedisConfig {
    let config = config.max_waiters(max_waiters).unwrap();
    let config = config.request_timeout(scaled(Duration::from_secs(1))).unwrap();
    config.recheck(scaled(Duration::from_millis(300))).unwrap()
}

macro_rules! single {
    ($harness:ident, $backend:literal, $start:expr) => {
        pub(crate) struct $harness(Single);

        #[async_trait]
        impl Harness for $harness {
            const BACKEND: &'static str = $backend;
            const OPT_OUTS: &'static [(&'static str, &'static str)] = &[];

            async fn start() -> Self {
                Self($start.await)
            }

            async fn client(&self) -> Client {
                self.0.client(RedisConfig::DEFAULT_MAX_WAITERS).await
            }

            async fn client_with_waiters(&self, max_waiters: usize) -> Client {
                self.0.client(max_waiters).await
            }

            async fn records(&self) -> usize {
                records::count(&mut self.0.server.resp().await).await
            }

            fn short_ttl(&self) -> Ttl {
                short_ttl()
            }

            fn slack(&self) -> Duration {
                SLACK
            }

            async fn restart(&self) {
                self.0.server.kill();
                self.0.server.restart().await;
            }

            async fn lose_data(&self) {
                self.0.server.resp().await.command(&["FLUSHALL"]).await;
            }

            async fn revoke(&self, name: &str) {
                let key = format!("{}:{name}", RedisConfig::DEFAULT_PREFIX);
                self.0.server.resp().await.command(&["DEL", &key]).await;
            }

            async fn lose_notifications(&self, lose: bool) {
                for link in &*self.0.links.lock().unwrap() {
                    link.lose_notifications(lose);
                }
            }

            async fn notifications(&self) -> usize {
                records::notifications(&mut self.0.server.resp().await).await
            }
        }
    };
}

single!(OnRedis, "redis", Single::for_a_worker(Flavour::Redis));
single!(OnValkey, "redis (valkey)", Single::start(Flavour::Valkey));

/// A cluster of three.
pub(crate) struct OnCluster(Cluster);

const NO_LINK: &str =
    "the nodes of a cluster announce their own addresses, past any proxy; it runs on one server";

#[async_trait]
impl Harness for OnCluster {
    const BACKEND: &'static str = "redis (cluster)";
    const OPT_OUTS: &'static [(&'static str, &'static str)] = &[
        ("r03_a_late_renewal_revives_nothing", NO_LINK),
        ("r04_a_lost_lock_is_not_renewed", NO_LINK),
        ("r04_a_silent_link_ends_the_belief", NO_LINK),
        ("r04_one_failed_renewal_is_no_loss", NO_LINK),
        ("r04_the_deadline_counts_from_the_request", NO_LINK),
        ("r05_a_holder_without_a_session_frees_nobody", NO_LINK),
        ("r05_a_repeated_release_hits_nobody", NO_LINK),
        ("r06_an_unknown_acquisition_is_withdrawn", NO_LINK),
        ("r06_dropped_on_a_silent_link", NO_LINK),
        ("r07_a_dead_holders_lock_is_granted", NO_LINK),
        ("r07_a_dead_waiter_is_skipped", NO_LINK),
        ("r08_granted_without_a_notification", NO_LINK),
        ("r11_a_refusing_store_is_unavailable", NO_LINK),
        ("r11_a_timed_wait_ends_on_a_silent_link", NO_LINK),
        ("r11_an_unknown_acquisition_is_resolved", NO_LINK),
        ("r12_a_client_outlives_its_session", NO_LINK),
        ("r12_a_waiter_without_a_session_is_never_granted", NO_LINK),
        ("r12_a_waiter_without_a_session_learns", NO_LINK),
        ("r16_an_error_is_not_busy", NO_LINK),
    ];

    async fn start() -> Self {
        let options = Redis::options(Flavour::Redis).append_only();
        Self(Cluster::start_with(options).await)
    }

    async fn client(&self) -> Client {
        self.client_with_waiters(RedisConfig::DEFAULT_MAX_WAITERS).await
    }

    async fn client_with_waiters(&self, max_waiters: usize) -> Client {
        let nodes = self.0.nodes().iter().map(|node| ("127.0.0.1", node.port()));
        let config = patient(RedisConfig::cluster(nodes), max_waiters);
        Client { lock: Arc::new(config.connect().await.unwrap()), link: None }
    }

    async fn records(&self) -> usize {
        let mut count = 0;
        for node in self.0.nodes() {
            count += records::count(&mut node.resp().await).await;
        }
        count
    }

    fn short_ttl(&self) -> Ttl {
        short_ttl()
    }

    fn slack(&self) -> Duration {
        SLACK
    }

    async fn restart(&self) {
        for node in self.0.nodes() {
            node.kill();
            node.restart().await;
        }
        self.0.whole().await;
    }

    async fn lose_data(&self) {
        for node in self.0.nodes() {
            node.resp().await.command(&["FLUSHALL"]).await;
        }
    }

    async fn revoke(&self, name: &str) {
        let key = format!("{}:{name}", RedisConfig::DEFAULT_PREFIX);
        self.0.node_of_key(key.as_bytes()).resp().await.command(&["DEL", &key]).await;
    }

    async fn notifications(&self) -> usize {
        let mut count = 0;
        for node in self.0.nodes() {
            count += records::notifications(&mut node.resp().await).await;
        }
        count
    }
}

fn short_ttl() -> Ttl {
    Ttl::new(scaled(Duration::from_millis(600))).unwrap()
}

const WORKER: &str = "worker";
const PASSWORD: &str = "c4nary-7f31e9";
/// Expiry is to the millisecond; the rest is for two busy cores.
const SLACK: Duration = Duration::from_millis(500);
