//! All waiting of the suite, behind one knob.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use lockcore::BootInstant;

/// The environment variable that scales every time of the suite, such as `3` on a slow machine.
pub const SCALE: &str = "LEASEHOLD_TIME_SCALE";

static FACTOR: LazyLock<f64> = LazyLock::new(|| {
    let text = std::env::var(SCALE).unwrap_or_else(|_| "1".to_owned());
    let factor: f64 = text.parse().unwrap_or_else(|_| panic!("{SCALE} is a number, not {text:?}"));
    assert!((0.1..=100.0).contains(&factor), "{SCALE} is from 0.1 to 100, not {factor}");
    factor
});

/// `time`, as this machine needs it.
#[must_use]
pub fn scaled(time: Duration) -> Duration {
    time.mul_f64(*FACTOR)
}

/// How long something may take that should take no time: after that the case has failed.
#[must_use]
pub fn patience() -> Duration {
    scaled(Duration::from_secs(10))
}

/// Waits until `condition` says yes.
///
/// # Panics
///
/// When it does not within [`patience`]; the message is `what`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let limit = BootInstant::now().saturating_add(patience());
    loop {
        if condition().await {
            return;
        }
        assert!(BootInstant::now() < limit, "not within {:?}: {what}", patience());
        pause(Duration::from_millis(2)).await;
    }
}

/// Waits for `future`.
///
/// # Panics
///
/// When it takes longer than [`patience`]; the message is `what`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(patience(), future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {:?}: {what}", patience()),
    }
}

/// Lets time pass where the passing of time itself is what a case is about.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Blocks the thread, and with it the runtime if it has one thread.
pub fn block(time: Duration) {
    std::thread::sleep(time);
}
