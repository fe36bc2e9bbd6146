//! The kit on real servers of etcd.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use lock_testkit::{Etcd, EtcdVersion};

const VERSIONS: [EtcdVersion; 2] = [EtcdVersion::V3_4, EtcdVersion::V3_7];

#[tokio::test]
async fn data_survives_kill_and_restart() {
    for version in VERSIONS {
        let server = Etcd::options(version).start().await;
        assert_eq!(server.url(), format!("etcd://127.0.0.1:{}", server.port()));
        let lease = server.grant_lease(60).await;
        server.put_with_lease("lock/a", "kept", lease).await;
        server.put("other", "").await;
        let (pid, addr) = (server.pid(), server.addr());
        server.kill();
        assert!(!server.is_running());
        server.restart().await;
        assert_ne!(server.pid(), pid);
        assert_eq!(server.addr(), addr);
        let keys = server.keys("lock/").await;
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].key.as_str(), &keys[0].value[..]), ("lock/a", &b"kept"[..]));
        assert_eq!((keys[0].lease, keys[0].create_revision, keys[0].mod_revision), (lease, 2, 2));
        assert_eq!(server.leases().await, [lease]);
        assert_eq!(server.compact().await, 3);
        assert_eq!(server.compact().await, 3);
        server.revoke_lease(lease).await;
        assert!(server.keys("lock/").await.is_empty());
        assert!(server.leases().await.is_empty());
        server.pause();
        server.resume();

        server.restart_empty().await;
        assert_eq!(server.addr(), addr);
        assert!(server.keys("").await.is_empty());
    }
}
