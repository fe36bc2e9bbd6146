//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Asks again and again until there is an answer, and returns it.
///
/// `LEASEHOLD_TIME_SCALE=3` makes every deadline of this crate three times as long.
///
/// # Panics
///
/// When there is none within `deadline`; the message names `what` was waited for.
///
/// # Cancel safety
///
/// Nothing stays behind but what `ask` leaves.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < scaled(deadline), "{what}: not within {deadline:?}");
        sleep(PAUSE).await;
    }
}

/// A deadline on this machine.
pub(crate) fn scaled(time: Duration) -> Duration {
    let scale = std::env::var("LEASEHOLD_TIME_SCALE").ok().and_then(|text| text.parse().ok());
    time.mul_f64(scale.unwrap_or(1.0))
}

const PAUSE: Duration = Duration::from_millis(10);
