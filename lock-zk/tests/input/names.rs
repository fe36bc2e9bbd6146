//! Names of all sorts, on a server that others use too.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use lock_testkit::ZkMode;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Stage, turn};

#[tokio::test]
async fn odd_names_are_apart_and_leave_the_nodes_of_others_alone() {
    let stage = Stage::new().await;
    let names = names();
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
    let theirs = names.iter().filter(|name| planted.contains_key(&stage.at(name))).count();
    assert_eq!(own.len(), 3 * names.len() - theirs);
    for path in own {
        let rest = path.strip_prefix(&stage.at("")).unwrap();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-%".contains(&b);
        assert!(rest.matches('/').count() <= 1 && rest.bytes().all(plain), "{path}");
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

/// Names that look like something else, and random ones: 300 in all.
fn names() -> Vec<String> {
    let long = "x".repeat(512);
    let mut names: Vec<String> = [
        "foo",
        "foo/",
        "foo/bar",
        "foo0",
        "foo.",
        "foo%2F",
        "foo%2Fbar",
        "FOO",
        "Foo",
        "~",
        "~/",
        "~/x",
        "~s",
        "_c_",
        "_c_01234567-89ab-cdef-0123-456789abcdef-lock-0000000000",
        "_c_01234567-89ab-cdef-0123-456789abcdef",
        "lock-0000000000",
        "zookeeper",
        "Zookeeper",
        "zookeepers",
        "zookeeper/quota",
        "%7A%6F%6F%6B%65%65%70%65%72",
        "%2E",
        "%41",
        "\u{d7ff}",
        "\u{e000}",
        "\u{f8ff}",
        "\u{fff0}",
        "\u{ffff}",
        "\u{9f}",
        "leasehold",
        "leasehold/",
        "leasehold/foo",
        "probe",
        "..",
        ".",
        "/",
        "//",
        "a/",
        "a//",
        "/a",
        "a/../b",
        "\0",
        "\0\0",
        "\n",
        "\r\n",
        " ",
        "  ",
        "%",
        "%00",
        "%2F",
        "%2f",
        "A",
        "a",
        "\u{e9}",
        "e\u{301}",
        "\u{c5}",
        "A\u{30a}",
        "\u{212b}",
        "🔒",
        "\u{202e}",
        "\u{feff}",
        "\u{7f}",
        "\u{80}",
        "*",
        "?",
        "[a]",
        "-",
        "_",
        "+",
        "$6",
        "-1",
        "0",
        "\\",
        "'",
        "\"",
        "`",
        "$(x)",
        "{}",
        "|",
        "}",
    ]
    .map(str::to_owned)
    .into();
    names.extend([long.clone(), format!("{}y", &long[1..]), long[1..].to_owned()]);
    names.extend(["\u{1f512}".repeat(128), "\0".repeat(512), "/".repeat(512)]);
    let mut runner = TestRunner::deterministic();
    let (any_text, alike) = (any::<String>(), "[ab~.%/ -]{1,6}");
    while names.len() < 300 {
        let name = match names.len() % 2 {
            0 => any_text.new_tree(&mut runner).unwrap().current(),
            _ => alike.new_tree(&mut runner).unwrap().current(),
        };
        if (1..=512).contains(&name.len()) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
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
