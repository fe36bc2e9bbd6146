//! An etcd of the test's own.

mod call;
mod cluster;
mod command;
mod gateway;
mod maintenance;
mod mesh;
mod metrics;
mod options;
mod server;
mod store;
mod users;

pub use self::cluster::EtcdCluster;
pub use self::gateway::EtcdError;
pub use self::options::{EtcdOptions, EtcdVersion, Permission};
pub use self::server::Etcd;
pub use self::store::EtcdKey;
