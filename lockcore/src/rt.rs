//! What the engine runs on: tokio and the standard library, or with `--cfg shuttle` what the explorer
//! of schedules puts in their place.

#[cfg(shuttle)]
mod explored;

#[cfg(not(shuttle))]
pub(crate) use std::collections::HashMap;
#[cfg(not(shuttle))]
pub(crate) use std::process::id as process_id;
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(not(shuttle))]
pub(crate) use getrandom::fill as fill_random;
#[cfg(not(shuttle))]
pub(crate) use tokio::runtime::Handle;
#[cfg(not(shuttle))]
pub(crate) use tokio::sync::{Notify, watch};
#[cfg(not(shuttle))]
pub(crate) use tokio::task::JoinSet;
#[cfg(not(shuttle))]
pub(crate) use tokio::time::{sleep, timeout};

#[cfg(shuttle)]
pub(crate) use explored::{
    AtomicBool, AtomicU64, AtomicUsize, Handle, HashMap, JoinSet, Mutex, MutexGuard, Notify,
    boot_nanos, fill_random, process_id, timeout, watch,
};
#[cfg(shuttle)]
pub use explored::{begin, clock_task, sleep, tasks};
