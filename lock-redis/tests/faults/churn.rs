//! Many who come, go, and change their mind.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::history::History;
use lock_conformance::time::{pause, soon};
use lockcore::{BootInstant, Mutex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{config, connect, hold, ms, only_fences, redis};

const CLIENTS: usize = 2;
const TASKS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_under_churn_has_one_holder_and_rising_tokens() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let server = redis().await;
    let history = Arc::<History>::default();
    let end = BootInstant::now().saturating_add(ms(10_000));
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let locks = connect(config(server.addr()), ms(1_000)).await;
        for task in 0..TASKS {
            let rng = Rng::with_seed(seed.wrapping_add((client * TASKS + task) as u64));
            let lock = locks.mutex("name").unwrap();
            tasks.spawn(churn(lock, history.clone(), rng, end));
        }
    }
    let mut fewest = usize::MAX;
    while let Some(task) = tasks.join_next().await {
        fewest = fewest.min(task.unwrap());
    }
    println!("{} grants, {fewest} at the least for each", history.len());
    assert!(fewest > 0, "somebody was never granted");
    assert!(history.len() > 500, "{} grants are no churn", history.len());
    history.assert_sound();
    only_fences(&server, "").await;
}

/// Takes and gives until the end; returns how often it was granted.
async fn churn(lock: Mutex, history: Arc<History>, mut rng: Rng, end: BootInstant) -> usize {
    let mut grants = 0;
    while BootInstant::now() < end {
        let guard = match rng.u8(..8) {
            0 => lock.try_lock().await.unwrap(),
            1 | 2 => {
                let limit = Duration::from_micros(rng.u64(..30_000));
                timeout(limit, lock.lock()).await.ok().map(Result::unwrap)
            }
            _ => Some(soon("the turn comes", lock.lock()).await.unwrap()),
        };
        if let Some(guard) = guard {
            grants += 1;
            let time = Duration::from_micros(rng.u64(..4_000));
            let released = hold(guard, &history, time);
            if rng.u8(..4) == 0 {
                // The release goes on without its future; the belief is noted before it begins.
                let _ = timeout(time + Duration::from_micros(rng.u64(..2_000)), released).await;
            } else {
                released.await.unwrap();
            }
        }
        pause(Duration::from_micros(rng.u64(..2_000))).await;
    }
    grants
}
