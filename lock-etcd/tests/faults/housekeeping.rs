//! Compaction and defragmentation.

use futures_util::future::join_all;
use lock_conformance::time::soon;
use lock_testkit::GrpcProxy;
use lockcore::BootInstant;

use crate::stage::{
    LONG, PATIENCE, VERSIONS, config, connect, ms, nothing_left, server, until_keys, until_watched,
};

const ROUNDS: usize = 3;

#[tokio::test]
async fn waiters_outlive_what_housekeeping_forgets() {
    join_all(VERSIONS.map(async |version| {
        let server = server(version).await;
        let proxy = GrpcProxy::start(server.addr()).await;
        let holder = connect(config(server.port()), LONG).await;
        let waiter = connect(config(proxy.addr().port()), LONG).await;
        for round in 0..ROUNDS {
            let guard = holder.mutex("name").unwrap().lock().await.unwrap();
            let lock = waiter.mutex("name").unwrap();
            let waits = tokio::spawn(async move { (lock.lock().await, BootInstant::now()) });
            until_keys(&server, "name", 2).await;
            until_watched(&server, 1).await;
            // It watches anew after what was before it is forgotten.
            let watches = (round > 0).then(|| proxy.hold_requests("Watch/Watch"));
            if let Some(watches) = &watches {
                proxy.reset_streams("Watch/Watch");
                watches.hit(1, PATIENCE).await;
                until_watched(&server, 0).await;
            }
            for write in 0..3 {
                server.put("other", write.to_string()).await;
                server.compact().await;
                server.defrag().await;
            }
            drop(watches);
            until_watched(&server, 1).await;
            let released = BootInstant::now();
            guard.release().await.unwrap();
            let (next, granted) = soon("the waiter is granted", waits).await.unwrap();
            // Far less than it takes until it would look by itself.
            let took = granted.saturating_since(released);
            assert!(took < ms(1_000), "{version:?}, round {round}: granted after {took:?}");
            next.unwrap().release().await.unwrap();
            nothing_left(&server).await;
        }
        until_watched(&server, 0).await;
    }))
    .await;
}
