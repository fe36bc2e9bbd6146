#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod port;
mod process;
mod redis;
mod redis_options;
pub mod resp;
mod tls;
mod tools;
mod wait;

pub use port::Port;
pub use process::Process;
pub use redis::Redis;
pub use redis_options::{Flavour, RedisOptions};
pub use resp::{Resp, Value};
pub use tls::{Tls, TlsOptions};
pub use wait::eventually;
