//! Names of all sorts, on a server that others use too.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use lock_testkit::{Etcd, EtcdKey, fuzz};

use super::{at, connect, on_both, quick, turn};

#[tokio::test]
async fn odd_names_are_apart_and_leave_the_keys_of_others_alone() {
    on_both(async |version| {
        let server = quick(version).start().await;
        let names = fuzz::names(&mut fuzz::dice(), fuzz::cases(300, 5_000));
        let planted = plant(&server, &names).await;
        let locks = connect(at(&server)).await;

        // All at once: two that met under one key would exclude each other.
        let guards = try_join_all(names.iter().map(async |name| {
            let guard = locks.mutex(name)?.try_lock().await?;
            Ok::<_, lockcore::Error>(guard.unwrap_or_else(|| panic!("{name:?} meets another")))
        }));
        let guards = guards.await.unwrap();
        // And those who wait, of another mode.
        let mut waiters = Vec::new();
        for name in &names {
            let table = locks.rw_lock(name).unwrap();
            waiters.push(tokio::spawn(async move { table.read().await }));
        }
        for name in &names {
            super::waiting(&locks, name, 1).await;
        }
        let present = server.keys("").await;
        assert_eq!(present.len(), planted.len() + 2 * names.len());
        let known: BTreeSet<_> = planted.iter().map(|key| &key.key).collect();
        for key in present.iter().filter(|key| !known.contains(&key.key)) {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-%~".contains(&b);
            let rest = key.key.strip_prefix("leasehold/").unwrap_or("");
            let is_ours = rest.matches('/').count() == 1 && !rest.starts_with('/');
            assert!(is_ours && rest.bytes().all(plain) && key.lease != 0, "{key:?}");
            assert!(key.key.len() <= 3 * 512 + 64, "{key:?}");
        }

        for (guard, waiter) in guards.into_iter().zip(waiters) {
            guard.release().await.unwrap();
            turn("its turn", waiter).await.release().await.unwrap();
        }
        // What others wrote is as it was, and nothing else is there.
        assert_eq!(server.keys("").await, planted);
    })
    .await;
}

/// Puts keys of others where one that is careless with names would meet them.
async fn plant(server: &Etcd, names: &[String]) -> Vec<EtcdKey> {
    let mut planted = BTreeSet::new();
    // Where it stands as it is, a name that has a slash would be among the keys of another.
    for name in names.iter().take(60).filter(|name| !name.contains('/')) {
        planted.insert(format!("leasehold/{name}"));
        planted.insert(name.clone());
    }
    for key in ["leasehold", "leasehold/", "leasehold/foo0", "leasehold0", "other/foo/x", "foo/x"] {
        planted.insert(key.to_owned());
    }
    for key in &planted {
        server.put(key, "not yours").await;
    }
    let planted = server.keys("").await;
    assert!(planted.iter().all(|key| key.value == b"not yours"));
    planted
}
