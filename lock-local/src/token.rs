//! The counter of fencing tokens, one for the process.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use lockcore::FencingToken;

/// The next token. Called under the lock of a shard, so the tokens of one name rise in the order of
/// its grants.
pub(crate) fn next() -> FencingToken {
    loop {
        // Zero, after 2^64 grants, is the one number that is no token.
        if let Some(token) = FencingToken::new(COUNTER.fetch_add(1, Relaxed)) {
            return token;
        }
    }
}

/// Starts at the microseconds of the wall clock: a resource that keeps the greatest token it saw
/// takes those of the next run of the program as well.
static COUNTER: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(u64::try_from(since_epoch.as_micros()).unwrap_or(1).max(1))
});
