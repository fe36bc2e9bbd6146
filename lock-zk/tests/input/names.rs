//! Names of all sorts, on a server that others use too.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use lock_testkit::{ZkMode, fuzz};

use super::{Stage, turn};

#[tokio::test]
async fn odd_names_are_apart_and_leave_the_nodes_of_others_alone() {
    let stage = Stage::new().await;
    let names = fuzz::names(&mut fuzz::dice(), fuzz::cases(300, 5_000));
    let planted = plant(&stage).await;
    let locks = stage.connect().await;
    let trial: BTreeSet<_> = [stage.at("~")].into();

    // All at once: two that met in one directory would exclude each other.
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
    let present = stage.server.tree(&stage.at("")[..stage.at("").len() - 1]).await;
    let own: Vec<_> = present
        .iter()
        .filter(|path| !planted.contains_key(*path) && !trial.contains(*path))
        .collect();
    // A directory and two nodes each, save where the directory is another's.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let theirs = names.iter().filter(|name| name.bytes().all(plain));
    let theirs = theirs.filter(|name| planted.contains_key(&stage.at(name))).count();
    assert_eq!(own.len(), 3 * names.len() - theirs);
    for path in own {
        let rest = path.strip_prefix(&stage.at("")).unwrap();
        let ours = |b: u8| plain(b) || b"/%".contains(&b);
        assert!(rest.matches('/').count() <= 1 && rest.bytes().all(ours), "{path}");
        assert!(rest.len() <= 3 * 512 + 80, "{path}");
    }

    for (guard, waiter) in guards.into_iter().zip(waiters) {
        guard.release().await.unwrap();
        turn("its turn", waiter).await.release().await.unwrap();
    }
    for (path, data) in planted {
        assert_eq!(stage.server.data(&path).await, Some(data), "{path}");
    }
}

/// Makes nodes of others where one that is careless with names would meet them.
async fn plant(stage: &Stage) -> BTreeMap<String, Vec<u8>> {
    stage.make("other/foo").await;
    let mut planted = BTreeMap::new();
    for name in ["foo0", "foo", "other/x", "other/foo/lock-0000000000", "lock-0000000000", "~x"] {
        let path = stage.at(name);
        stage.server.create(&path, "not yours", ZkMode::Persistent).await;
        planted.insert(path, b"not yours".to_vec());
    }
    for name in ["other", "other/foo"] {
        planted.insert(stage.at(name), Vec::new());
    }
    planted
}
