//! Names of all sorts, on a server that others use too.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use lock_testkit::{Redis, fuzz, key_slot};

use super::{at, connect, keys, run, server};

#[tokio::test]
async fn odd_names_are_apart_and_leave_the_keys_of_others_alone() {
    let server = server().await;
    let names = fuzz::names(&mut fuzz::dice(), fuzz::cases(300, 5_000));
    let planted = plant(&server, &names).await;
    let locks = connect(at(&server)).await;

    // All at once: two that met under one key would exclude each other.
    let guards = try_join_all(names.iter().map(async |name| {
        let guard = locks.mutex(name)?.try_lock().await?;
        Ok::<_, lockcore::Error>(guard.unwrap_or_else(|| panic!("{name:?} meets another")))
    }));
    let guards = guards.await.unwrap();
    // And those who wait, so that every kind of key is there.
    let waiters: Vec<_> = names.iter().map(|name| locks.mutex(name).unwrap()).collect();
    let mut waiters: Vec<_> =
        waiters.into_iter().map(|mutex| tokio::spawn(async move { mutex.lock().await })).collect();
    for name in &names {
        super::waiting(&locks, name, 1).await;
    }
    assert_eq!(contents(&server, planted.keys()).await, planted);
    let present = keys(&server).await;
    for key in present.iter().filter(|key| !planted.contains_key(*key)) {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-%:{}".contains(&b));
        let is_ours = key.starts_with("leasehold:") || key.starts_with("{leasehold:");
        assert!(plain && is_ours && key.len() <= 3 * 512 + 32, "{key:?}");
    }

    for guard in guards {
        guard.release().await.unwrap();
    }
    for waiter in waiters.drain(..) {
        let guard = lock_conformance::time::soon("its turn", waiter).await.unwrap().unwrap();
        guard.release().await.unwrap();
    }
    assert_eq!(contents(&server, planted.keys()).await, planted);
    // What remains remembers the last tokens.
    for key in keys(&server).await {
        assert!(planted.contains_key(&key) || key.ends_with("}:f"), "{key:?}");
    }
}

#[tokio::test]
async fn the_keys_of_a_name_are_in_one_slot_of_a_cluster() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    for name in ["plain", "{x}:q", "a{b}c", "}{", "{}", "orders/123"] {
        run(&server, &["FLUSHALL"]).await;
        let held = locks.rw_lock(name).unwrap().read().await.unwrap();
        let mutex = locks.mutex(name).unwrap();
        let waiter = tokio::spawn(async move { mutex.lock().await });
        super::waiting(&locks, name, 1).await;
        let keys = keys(&server).await;
        assert_eq!(keys.len(), 5, "{keys:?}");
        let slot = key_slot(keys[0].as_bytes());
        assert!(keys.iter().all(|key| key_slot(key.as_bytes()) == slot), "{keys:?}");
        waiter.abort();
        held.release().await.unwrap();
    }
}

/// Puts keys of others where one that is careless with names would meet them.
async fn plant(server: &Redis, names: &[String]) -> BTreeMap<String, String> {
    let mut resp = server.resp().await;
    let mut planted = Vec::new();
    for name in names.iter().filter(|name| !is_plain(name)) {
        planted.push(format!("leasehold:{name}"));
        planted.push(format!("{{leasehold:{name}}}:q"));
    }
    for key in ["leasehold", "leasehold:", "{leasehold}", "leasehold:x:q", "x", "x:q", "other:x"] {
        planted.push(key.to_owned());
    }
    for key in &planted {
        let reply = resp.command(&["SET", key, "not yours"]).await;
        assert_eq!(reply.as_str(), Some("OK"));
    }
    contents(server, planted.iter()).await
}

/// Whether a name may stand in a key of ours as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-%".contains(&byte))
}

/// Values and TTLs.
async fn contents(server: &Redis, keys: impl Iterator<Item = &String>) -> BTreeMap<String, String> {
    let mut resp = server.resp().await;
    let mut contents = BTreeMap::new();
    for key in keys {
        let value = resp.command(&["GET", key]).await;
        let ttl = resp.command(&["PTTL", key]).await;
        contents.insert(key.clone(), format!("{value:?} {ttl:?}"));
    }
    contents
}
