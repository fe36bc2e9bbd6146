//! Several prefixes on one server.

use super::{at, connect, queue, server, turn};

#[tokio::test]
async fn prefixes_are_apart() {
    let server = server().await;
    let prefixes = ["", "a", "a.b", "A", "ab", "/a", "a:b", "leasehold", "-"];
    let mut held = Vec::new();
    for prefix in prefixes {
        let locks = connect(at(&server).prefix(prefix).unwrap()).await;
        let guard = locks.mutex("same").unwrap().try_lock().await.unwrap();
        let guard = guard.unwrap_or_else(|| panic!("{prefix:?} meets another prefix"));
        let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let keys = server.keys(format!("{start}same/")).await;
        assert!(keys.iter().any(|key| key.create_revision == guard.token().as_u64() as i64));
        held.push((locks, guard));
    }
    for (locks, guard) in held {
        // And who waits is served by its own holder.
        let queued = queue(&locks, "same").await;
        assert!(!queued.is_finished());
        guard.release().await.unwrap();
        turn("its turn", queued).await.release().await.unwrap();
        locks.shutdown().await.unwrap();
    }
    assert!(server.keys("").await.is_empty() && server.leases().await.is_empty());
}

#[tokio::test]
async fn without_a_prefix_everything_works() {
    let server = server().await;
    server.put("other", "x").await;
    let locks = connect(at(&server).prefix("").unwrap()).await;
    for name in ["other", "a", "a/b", "~", "~/x", "probe"] {
        let held = locks.mutex(name).unwrap().lock().await.unwrap();
        let queued = queue(&locks, name).await;
        let picture = locks.inspect(name).await.unwrap();
        assert_eq!((picture.holders().len(), picture.waiters().len()), (1, 1));
        held.release().await.unwrap();
        turn("its turn", queued).await.release().await.unwrap();
        let table = locks.rw_lock(name).unwrap();
        let readers = [table.read().await.unwrap(), table.read().await.unwrap()];
        for reader in readers {
            reader.release().await.unwrap();
        }
        let slots = locks.semaphore(name, 1).unwrap();
        slots.acquire().await.unwrap().release().await.unwrap();
    }
    let left = server.keys("").await;
    assert_eq!(left.iter().map(|key| &*key.key).collect::<Vec<_>>(), ["other"]);
}
