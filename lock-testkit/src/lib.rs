#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod child;
mod cluster;
#[cfg(feature = "etcd")]
mod etcd;
pub mod fuzz;
#[cfg(feature = "etcd")]
pub mod grpc;
mod hostile;
mod panics;
mod port;
mod process;
mod proxy;
mod python;
mod redis;
mod redis_options;
pub mod resp;
mod sentinel;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod tools;
mod wait;
#[cfg(feature = "zk")]
mod zk;

pub use cluster::{Cluster, key_slot};
#[cfg(feature = "etcd")]
pub use etcd::{Etcd, EtcdCluster, EtcdError, EtcdKey, EtcdOptions, EtcdVersion, Permission};
#[cfg(feature = "etcd")]
pub use grpc::GrpcProxy;
pub use hostile::{Hostile, Shape};
pub use panics::Panics;
pub use port::Port;
pub use process::Process;
pub use proxy::{Frame, FrameKind, HoldHandle, Proxy, Swallow, SwallowHandle, zk_request};
pub use redis::Redis;
pub use redis_options::{Flavour, RedisOptions};
pub use resp::{Resp, Value};
pub use sentinel::{SentinelOptions, Sentinels};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsOptions};
pub use wait::eventually;
#[cfg(feature = "zk")]
pub use zk::{
    Zk, ZkAcl, ZkClient, ZkEnsemble, ZkError, ZkEvent, ZkEventKind, ZkMode, ZkOptions, ZkSession,
    ZkStat,
};
