#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod config;
mod contact;
mod driver;
mod ear;
mod error;
mod lock;
mod names;
mod session;

pub use config::ZkConfig;
pub use lock::{HeldNode, ZkLock};
pub use lockcore::options::Tls as ZkTls;
