#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod config;
mod driver;
mod error;
mod inbox;
mod keys;
mod lock;
mod script;
mod seat;

pub use config::RedisConfig;
pub use lock::RedisLock;
pub use lockcore::options::Tls as RedisTls;
