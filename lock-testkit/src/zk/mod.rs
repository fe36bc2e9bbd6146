//! A ZooKeeper of the test's own.

mod acl;
mod client;
mod command;
mod counters;
mod digest;
mod ensemble;
mod error;
mod event;
mod jute;
mod mesh;
mod neighbours;
mod options;
mod password;
mod server;
mod stat;
mod store;
mod words;

pub use self::acl::{ZkAcl, ZkMode};
pub use self::client::ZkClient;
pub use self::ensemble::ZkEnsemble;
pub use self::error::ZkError;
pub use self::event::{ZkEvent, ZkEventKind};
pub use self::options::ZkOptions;
pub use self::server::Zk;
pub use self::stat::ZkStat;
pub use self::words::ZkSession;
