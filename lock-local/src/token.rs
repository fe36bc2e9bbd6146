//! Fencing tokens: one counter for the process.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use lockcore::FencingToken;

/// The tokens of a shard, drawn from the counter of the process in runs: neighbours do not fight
/// over one line of memory at every grant.
///
/// Used under the lock of the shard, and a later run lies above an earlier one, so the tokens of one
/// name rise in the order of its grants.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    next: u64,
    end: u64,
}

impl Tokens {
    pub(crate) fn next(&mut self) -> FencingToken {
        loop {
            if self.next == self.end {
                self.next = COUNTER.fetch_add(RUN, Relaxed);
                self.end = self.next.wrapping_add(RUN);
            }
            let number = self.next;
            self.next = number.wrapping_add(1);
            // Zero, after 2^64 grants, is the one number that is no token.
            if let Some(token) = FencingToken::new(number) {
                return token;
            }
        }
    }
}

/// Starts at the nanoseconds of the wall clock: a resource that keeps the greatest token it saw
/// takes those of the next run of the program as well. Nobody grants a lock every nanosecond.
static COUNTER: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(u64::try_from(since_epoch.as_nanos()).unwrap_or(1).max(1))
});

const RUN: u64 = 64;
