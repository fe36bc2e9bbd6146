#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod config;
mod driver;
mod error;
mod keys;
mod lock;
mod numbers;
mod session;
mod watcher;

pub use client::Compare;
pub use config::EtcdConfig;
pub use lock::EtcdLock;
pub use lockcore::options::Tls as EtcdTls;
