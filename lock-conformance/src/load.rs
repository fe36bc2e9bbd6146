//! How much a test does.

use std::time::Duration;

use lockcore::Mutex;
use tokio::task::JoinSet;

use crate::time::{scaled, soon};

/// The environment variable that makes tests of many rounds long ones, if it is `1`.
pub const LONG: &str = "LEASEHOLD_LONG";

/// How often something is done: `normal` times, and `long` times in a long run.
#[must_use]
pub fn times(normal: usize, long: usize) -> usize {
    if std::env::var(LONG).is_ok_and(|text| text == "1") { long } else { normal }
}

/// The seed of a run by chance, which is printed.
#[must_use]
pub fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}

/// Waits `count` times for a lock that somebody holds, many at once, and each for a short time only.
///
/// # Panics
///
/// If one of them is granted, or fails.
pub async fn time_outs(lock: &Mutex, count: usize) {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let lock = lock.clone();
        let limit = scaled(Duration::from_millis(1 + number as u64 % 50));
        tasks.spawn(async move { lock.try_lock_for(limit).await });
        if tasks.len() >= AT_ONCE {
            ends(&mut tasks).await;
        }
    }
    while !tasks.is_empty() {
        ends(&mut tasks).await;
    }
}

async fn ends(tasks: &mut JoinSet<lockcore::Result<Option<lockcore::Guard>>>) {
    let wait = soon("a timed wait ends", tasks.join_next()).await.expect("one is under way");
    let granted = wait.expect("a timed wait").expect("no error");
    assert!(granted.is_none(), "granted beside the holder");
}

const AT_ONCE: usize = 100;
