//! What depends on the moment: futures that are dropped at any time, renewals at the end of a hold.

use std::time::Duration;

use lock_conformance::load::{seed, times};
use lock_conformance::{aim, sweep};
use lock_local::LocalLock;
use lockcore::Locks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drops_at_every_await_point_leave_nothing() {
    let store = LocalLock::new();
    let [locks, busy] = [(); 2].map(|()| Locks::new(store.sibling()));
    sweep::drops(&locks, &busy, seed(), times(300, 10_000)).await;
    assert_eq!(store.claims(), 0);
    sweep::all_is_free(&busy).await;
    assert_eq!(store.claims(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_at_the_end_of_a_hold_are_true_or_refused() {
    let store = LocalLock::new();
    let locks = || Locks::new(store.sibling()).ttl(Duration::from_millis(500)).unwrap();
    aim::at_the_deadline(&locks(), &locks(), seed(), times(500, 10_000)).await;
    assert_eq!(store.claims(), 0);
}
