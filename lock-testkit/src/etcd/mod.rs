//! An etcd of the test's own.

mod gateway;
mod options;
mod server;
mod store;
mod users;

pub use self::gateway::EtcdError;
pub use self::options::{EtcdOptions, EtcdVersion, Permission};
pub use self::server::Etcd;
pub use self::store::EtcdKey;
