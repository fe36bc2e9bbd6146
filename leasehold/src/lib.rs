//! placeholder

#![forbid(unsafe_code)]

mod connect;
#[cfg(feature = "local")]
mod local;
mod options;

pub use connect::connect;
pub use lockcore::{
    BootInstant, Claim, Error, ErrorKind, FencingToken, Gate, Guarantees, Guard, Held, Inspection,
    Lease, Lock, LockName, Locks, LossCause, Mode, Mutex, OwnerLabel, Released, Renewal, Request,
    Result, Rule, RwLock, Semaphore, StaleToken, TryLock, Ttl,
};
