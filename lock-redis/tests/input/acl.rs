//! Users who may do what the README says, and no more.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::time::{patience, scaled};
use lock_redis::RedisConfig;
use lock_testkit::{Cluster, Flavour, Redis, RedisOptions, SentinelOptions};
use lockcore::{ErrorKind, Guard, Locks, Result};
use tokio::time::timeout;

use super::rules::{self, Rules};
use super::{CANARY, at, connect, run};

#[tokio::test]
async fn all_locks_work_under_the_documented_permissions() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = RedisOptions::new(flavour).start().await;
        let needed = Rules::documented();
        create(&server, "needed", &needed.rules("shop", &needed.needed)).await;
        let outcome = work(&server, as_user(at(&server), "needed", "shop")).await;
        assert_eq!(outcome, Ok(()), "{flavour:?}, what is needed");

        let all = needed.known_to(&server).await;
        create(&server, "all", &needed.rules("shop", &all)).await;
        let config = as_user(at(&server), "all", "shop").database(1).unwrap();
        assert_eq!(work(&server, config).await, Ok(()), "{flavour:?}, all of it");
    }
}

#[tokio::test]
async fn every_documented_permission_is_needed() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = RedisOptions::new(flavour).start().await;
        let rules = Rules::documented();
        let tried = join_all(rules.needed.iter().map(async |left_out| {
            let (name, others) = (left_out.replace('|', "-"), rules.without(left_out));
            let prefix = format!("shop-{name}");
            create(&server, &name, &rules.rules(&prefix, &others)).await;
            let outcome = work(&server, as_user(at(&server), &name, &prefix)).await;
            outcome.is_ok().then_some(left_out)
        }));
        let superfluous: Vec<_> = tried.await.into_iter().flatten().collect();
        assert!(superfluous.is_empty(), "{flavour:?} does without {superfluous:?}");
    }
}

#[tokio::test]
async fn a_cluster_and_sentinels_need_what_is_documented_for_them() {
    let rules = Rules::documented();
    let cluster = Cluster::start(Flavour::Redis).await;
    let nodes = || cluster.nodes().iter().map(|node| ("127.0.0.1", node.port()));
    for (name, extra) in [("whole", &["cluster|slots"][..]), ("slots", &[])] {
        for node in cluster.nodes() {
            create(node, name, &rules.rules("shop", &rules.with(extra))).await;
        }
        let config = as_user(RedisConfig::cluster(nodes()), name, "shop");
        let outcome = work(&cluster.nodes()[0], config).await;
        assert_eq!(outcome.is_ok(), name == "whole", "{name}: {outcome:?}");
    }

    let group = SentinelOptions::new(Flavour::Redis).sentinels(1).start().await;
    for (name, commands) in [("whole", rules.with(&["role"])), ("role", rules.needed.clone())] {
        for server in group.servers() {
            create(server, name, &rules.rules("shop", &commands)).await;
        }
        let addrs = group.addrs().into_iter().map(|addr| ("127.0.0.1", addr.port()));
        let config = RedisConfig::sentinel(addrs, group.master_name());
        let outcome = work(&group.servers()[0], as_user(config, name, "shop")).await;
        assert_eq!(outcome.is_ok(), name == "whole", "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_user_cannot_touch_the_locks_of_another_prefix() {
    let server = RedisOptions::new(Flavour::Redis).start().await;
    let rules = Rules::documented();
    create(&server, "worker", &rules.rules("shop", &rules.needed)).await;
    let owner = connect(at(&server).prefix("shopping").unwrap()).await;
    let held = owner.mutex("a").unwrap().lock().await.unwrap();

    let error = as_user(at(&server), "worker", "shopping").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    let mut resp = server.resp().await;
    let reply = resp.command(&["AUTH", "worker", CANARY]).await;
    assert_eq!(reply.as_str(), Some("OK"));
    let commands: [&[&str]; 6] = [
        &["GET", "shopping:a"],
        &["DEL", "shopping:a"],
        &["EVAL", "return redis.call('DEL', 'shopping:a')", "0"],
        &["ZADD", "{shopping:a}:q", "1", "x"],
        &["PUBLISH", "shopping:wake:0", "x"],
        &["FLUSHALL"],
    ];
    for command in commands {
        let reply = resp.command(command).await;
        let is_refused = reply.as_error().is_some_and(|error| {
            error.starts_with("NOPERM") || error.contains("ACL failure") || error.contains("can't")
        });
        assert!(is_refused, "{command:?}: {reply:?}");
    }
    held.renew().await.unwrap();
    held.release().await.unwrap();
}

impl Rules {
    fn without(&self, left_out: &str) -> Vec<String> {
        self.needed.iter().filter(|command| *command != left_out).cloned().collect()
    }

    fn with(&self, extra: &[&str]) -> Vec<String> {
        let known = extra_commands();
        assert!(extra.iter().all(|extra| known.iter().any(|known| known == extra)));
        self.needed.iter().cloned().chain(extra.iter().map(|extra| (*extra).to_owned())).collect()
    }

    /// All commands, but for those that this server does not have.
    async fn known_to(&self, server: &Redis) -> Vec<String> {
        let mut known = self.needed.clone();
        let mut unknown = BTreeSet::new();
        for command in &extra_commands() {
            let info = run(server, &["COMMAND", "INFO", command]).await;
            match info.as_slice().unwrap()[0].as_slice() {
                Some(_) => known.push(command.clone()),
                None => drop(unknown.insert(command.clone())),
            }
        }
        assert!(
            unknown.is_subset(&["client|setinfo", "delex", "delifeq"].map(str::to_owned).into()),
            "{unknown:?}"
        );
        known
    }
}

/// What is needed where there is more.
fn extra_commands() -> Vec<String> {
    let extra = rules::commands(rules::block(1));
    assert!(extra.len() > 5);
    extra
}

async fn create(server: &Redis, name: &str, rules: &[String]) {
    let password = format!(">{CANARY}");
    let mut command = vec!["ACL", "SETUSER", name, "reset", "on", &password];
    command.extend(rules.iter().map(String::as_str));
    run(server, &command).await;
}

fn as_user(config: RedisConfig, name: &str, prefix: &str) -> RedisConfig {
    config.login(Some(name), CANARY).prefix(prefix).unwrap()
}

/// All that clients do with locks; what failed first, if something did.
async fn work(server: &Redis, config: RedisConfig) -> Result<(), String> {
    let connect = async || config.clone().connect().await.map(Locks::new);
    let holder = step("connecting", connect()).await?;
    let waiter = step("connecting", connect()).await?;
    hand_over(&holder, &waiter).await?;
    shared(&holder, &waiter).await?;
    permits(&holder).await?;
    full_queue(&config).await?;
    // A server that was restarted knows no scripts.
    run(server, &["SCRIPT", "FLUSH"]).await;
    hand_over(&holder, &waiter).await?;
    step("a shutdown", holder.shutdown()).await?;
    step("a shutdown", waiter.shutdown()).await
}

async fn hand_over(holder: &Locks, waiter: &Locks) -> Result<(), String> {
    let held = step("a lock", holder.mutex("a").unwrap().lock()).await?;
    let mutex = waiter.mutex("a").unwrap();
    let impatient = step("a try", mutex.try_lock_for(Duration::from_millis(1))).await?;
    assert!(impatient.is_none());
    let queued = tokio::spawn(async move { mutex.lock().await });
    queues(holder, "a", 1).await?;
    step("a renewal", held.renew()).await?;
    step("a release", held.release()).await?;
    let next = step("a turn", async { queued.await.unwrap() }).await?;
    step("a release", next.release()).await.map(drop)
}

async fn shared(holder: &Locks, waiter: &Locks) -> Result<(), String> {
    let rw_lock = holder.rw_lock("rw").unwrap();
    let first = step("a reader", rw_lock.read()).await?;
    let short = rw_lock.clone().ttl(Duration::from_secs(5));
    let second = step("a reader", short.read()).await?;
    let write = waiter.rw_lock("rw").unwrap();
    let queued = tokio::spawn(async move { write.write().await });
    queues(holder, "rw", 1).await?;
    step("a renewal", first.renew()).await?;
    step("a release", first.release()).await?;
    step("a release", second.release()).await?;
    let writer = step("a turn", async { queued.await.unwrap() }).await?;
    step("a release", writer.release()).await.map(drop)
}

async fn permits(locks: &Locks) -> Result<(), String> {
    let semaphore = locks.semaphore("permits", 1).unwrap();
    let held = step("a permit", semaphore.acquire()).await?;
    let queued = semaphore.clone();
    let queued = tokio::spawn(async move { queued.acquire().await });
    queues(locks, "permits", 1).await?;
    step("a release", held.release()).await?;
    let next = step("a turn", async { queued.await.unwrap() }).await?;
    step("a release", next.release()).await.map(drop)
}

async fn full_queue(config: &RedisConfig) -> Result<(), String> {
    let config = config.clone().max_waiters(1).unwrap();
    let locks = Locks::new(step("connecting", config.connect()).await?);
    let mutex = locks.mutex("full").unwrap();
    let held = step("a lock", mutex.lock()).await?;
    let queued = mutex.clone();
    let queued = tokio::spawn(async move { queued.lock().await });
    queues(&locks, "full", 1).await?;
    match mutex.lock().await.map_err(|error| error.kind()) {
        Err(ErrorKind::QueueFull) => {}
        other => return Err(format!("a full queue: {other:?}")),
    }
    step("a release", held.release()).await?;
    let next: Guard = step("a turn", async { queued.await.unwrap() }).await?;
    step("a release", next.release()).await.map(drop)
}

/// Waits until so many wait, and says if that cannot be seen.
async fn queues(locks: &Locks, name: &str, count: usize) -> Result<(), String> {
    let seen = async {
        loop {
            if locks.inspect(name).await?.waiters().len() == count {
                return Ok(());
            }
            lock_conformance::time::pause(Duration::from_millis(2)).await;
        }
    };
    step("a look", seen).await
}

async fn step<T>(what: &str, call: impl Future<Output = Result<T>>) -> Result<T, String> {
    match timeout(patience().min(scaled(Duration::from_secs(4))), call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: nothing came of it")),
    }
}
