//! The parts that the explorer of schedules sees: each use of one is a point where another task may go
//! on. Time is that of the execution alone, and an execution can be replayed.

mod clock;
mod signal;
mod task;

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::BuildHasherDefault;

pub(crate) use clock::{boot_nanos, timeout};
pub use clock::{clock_task, sleep};
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use signal::{Notify, watch};
pub use task::tasks;
pub(crate) use task::{Handle, JoinSet};

/// A map whose order is the same in every execution.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

thread_local! {
    static EXECUTION: Cell<u32> = const { Cell::new(0) };
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// Begins an execution: nothing of an earlier one is left. A thread explores one at a time.
pub fn begin() {
    EXECUTION.set(EXECUTION.get() + 1);
    DRAWN.set(0);
    task::begin();
    clock::begin();
}

/// Another one in each execution, so that none uses ids that were drawn in an earlier one.
pub(crate) fn process_id() -> u32 {
    EXECUTION.get()
}

/// Bytes that are the same in every execution, and never the same in one.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Infallible> {
    for word in bytes.chunks_mut(8) {
        DRAWN.set(DRAWN.get() + 1);
        let drawn = DRAWN.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        word.copy_from_slice(&drawn[..word.len()]);
    }
    Ok(())
}
