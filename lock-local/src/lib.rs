#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod expiry;
mod lease;
mod lock;
mod queue;
mod sync;
mod table;
mod token;

pub use config::LocalConfig;
pub use lease::LocalLease;
pub use lock::LocalLock;
