//! Servers that forget scripts.

use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{Flavour, Proxy, Redis, RedisOptions};

use crate::stage::{FLAVOURS, config, connect, ms, only_fences, until_waiting};

/// A server that is asked through a proxy, which counts.
struct Stage {
    server: Redis,
    proxy: Proxy,
}

impl Stage {
    async fn new(flavour: Flavour) -> Self {
        let server = RedisOptions::new(flavour).start().await;
        let proxy = Proxy::resp(server.addr()).await;
        Self { server, proxy }
    }

    /// Does `work`, which takes `trips`, on a server that knows no script: if it needs one, that
    /// is one trip more.
    async fn forgotten<T>(
        &self,
        what: &str,
        trips: u64,
        needs_script: bool,
        work: impl Future<Output = T>,
    ) -> T {
        self.flush().await;
        let (commands, whole) = (self.commands(), self.whole());
        let result = soon(what, work).await;
        let scripts = u64::from(needs_script);
        assert_eq!(self.whole() - whole, scripts, "{what}: scripts sent as a whole");
        assert_eq!(self.commands() - commands, trips + scripts, "{what}: trips");
        result
    }

    async fn flush(&self) {
        let answer = self.server.resp().await.command(&["SCRIPT", "FLUSH"]).await;
        assert_eq!(answer.as_str(), Some("OK"));
    }

    /// Commands on locks.
    fn commands(&self) -> u64 {
        let seen = self.proxy.requests_seen();
        ["EVALSHA", "EVAL", "DELIFEQ", "DELEX"].iter().filter_map(|name| seen.get(*name)).sum()
    }

    /// Scripts that were sent as a whole.
    fn whole(&self) -> u64 {
        self.proxy.requests_seen().get("EVAL").copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn a_forgotten_script_costs_one_trip_and_nobody_an_error() {
    for flavour in FLAVOURS {
        let stage = Stage::new(flavour).await;
        let locks = connect(config(stage.proxy.addr()), ms(60_000)).await;
        let lock = locks.mutex("name").unwrap();
        let is_redis = flavour == Flavour::Redis;

        let guard = stage.forgotten("try_lock", 1, true, lock.try_lock()).await.unwrap().unwrap();
        stage.forgotten("renew", 1, true, guard.renew()).await.unwrap();
        let busy = stage.forgotten("busy", 1, true, lock.try_lock()).await.unwrap();
        assert!(busy.is_none());
        let seen = stage.forgotten("inspect", 1, true, locks.inspect("name")).await.unwrap();
        assert_eq!(seen.holders().len(), 1);
        // A server that deletes by value needs no script for a lock that nobody waits for.
        stage.forgotten("release", 1, is_redis, guard.release()).await.unwrap();

        let guard = stage.forgotten("lock", 1, true, lock.lock()).await.unwrap();
        let waiter = {
            let lock = lock.clone();
            tokio::spawn(async move { lock.lock().await })
        };
        until_waiting(&stage.server, "name", 1).await;
        // Somebody waits, so the deletion by value fails and the script follows.
        let trips = if is_redis { 1 } else { 2 };
        stage.forgotten("release to a waiter", trips, true, guard.release()).await.unwrap();
        let guard = soon("the waiter is granted", waiter).await.unwrap().unwrap();
        stage.forgotten("release of a waiter", 1, true, guard.release()).await.unwrap();

        let lock = locks.rw_lock("shared").unwrap();
        let guard = stage.forgotten("read", 1, true, lock.read()).await.unwrap();
        stage.forgotten("renew shared", 1, true, guard.renew()).await.unwrap();
        stage.forgotten("release shared", 1, true, guard.release()).await.unwrap();
        only_fences(&stage.server, "").await;
    }
}

#[tokio::test]
async fn scripts_may_be_forgotten_while_a_lock_is_held_and_waited_for() {
    let stage = Stage::new(Flavour::Redis).await;
    let config = config(stage.proxy.addr()).recheck(ms(50)).unwrap();
    let locks = connect(config, ms(900)).await;
    let lock = locks.mutex("name").unwrap();
    let guard = lock.lock().await.unwrap();
    let waiter = {
        let lock = lock.clone();
        tokio::spawn(async move { lock.lock().await })
    };
    until_waiting(&stage.server, "name", 1).await;
    // Renewals and checks go on meanwhile, each of them on a server that forgets all the time.
    let before = stage.whole();
    for _ in 0..40 {
        stage.flush().await;
        pause(ms(50)).await;
        assert!(guard.is_held() && !waiter.is_finished());
    }
    eventually("many scripts were sent again", || async { stage.whole() - before > 20 }).await;
    guard.release().await.unwrap();
    soon("the waiter is granted", waiter).await.unwrap().unwrap().release().await.unwrap();
    only_fences(&stage.server, "").await;
}
