//! One lock API for Rust, any backend: mutexes, read-write locks and semaphores that hold between
//! tasks, processes and machines, with leases, fencing tokens and a fair queue.
//!
//! Pick a backend by Cargo feature and URL; no other line changes:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> leasehold::Result<()> {
//! let locks = leasehold::connect("local:").await?;
//!
//! let lock = locks.mutex("orders/123")?;
//! let guard = lock.lock().await?; // waits its turn
//! charge("123", guard.token()).await; // the resource checks the token
//! guard.release().await?; // tells the truth; dropping it only asks
//!
//! if let Some(guard) = lock.try_lock().await? {
//!     drop(guard); // busy is None, never an error
//! }
//! lock.run(async |held| charge("123", held.token()).await).await?; // dropped when the lock is lost
//!
//! let table = locks.rw_lock("table/7")?;
//! let readers = (table.read().await?, table.read().await?);
//! # drop(readers);
//! let slots = locks.semaphore("api", 5)?;
//! let slot = slots.acquire().await?;
//! # drop(slot);
//! for waiter in locks.inspect("orders/123").await?.waiters() {
//!     println!("{:?} waits since {:?}", waiter.owner(), waiter.since());
//! }
//! locks.shutdown().await?; // every pending release has left
//! # Ok(())
//! # }
//! # async fn charge(_: &str, _: leasehold::FencingToken) {}
//! ```
//!
//! # What a lock is, and what it is not
//!
//! A lock between processes is a lease: the store gives it away when it does not hear of the holder
//! for one [`Ttl`], because the holder may be dead. A holder that only slept does not know that.
//! Leasehold does what can be done on this side: it renews long before, it counts from before its
//! request was sent, it stops believing before the store gives the lock away ([`Guard::is_held`],
//! [`Guard::lost`], [`Guard::deadline`]), and `run` drops the work. What is left is a write that was
//! under way; only the resource can refuse that, by the [`FencingToken`]. [`Gate`] is the check. A
//! lock without it makes collisions rare, not impossible.
//!
//! # Backends
//!
//! | feature | URL | what it is |
//! |---|---|---|
//! | `local` (default) | `local:` | the tasks of this process; for one process, and for tests |
//! | `redis` | `redis://HOST` | Redis or Valkey: a server, behind sentinels, or a cluster |
//! | `etcd` | `etcd://HOST` | an etcd, one server or a cluster |
//! | `zk` | `zk://HOST` | a ZooKeeper, one server or an ensemble |
//!
//! To build with the feature `etcd`, install protoc with its well-known types (Debian:
//! `protobuf-compiler libprotobuf-dev`), or set `PROTOC` (and `PROTOC_INCLUDE`). TLS
//! needs a C compiler to build, which goes for `redis`, `etcd` and `zk`.
//!
//! See [`connect`] for URLs. [`Locks::guarantees`] tells what a backend excepts from the sixteen
//! rules of [`Rule`].
//!
//! # Runtime
//!
//! Tokio, with its timer enabled: `try_lock_for`, and `lost` and `run` of a hold with a deadline,
//! panic without. What `connect` gives for a store with servers belongs to the runtime that it was
//! called in: connect once in each, also in each `#[tokio::test]`. Leases run on the boot-time clock of the machine, so `tokio::time::pause` and
//! `advance` do not move them: a test that waits for the end of a lease takes a short TTL.
//!
//! # Metrics and traces
//!
//! Waits, holds, losses and renewals are told to the crate `metrics`, and acquisitions (as spans) and
//! losses (as warnings) to `tracing`; the names stand in the documentation of `lockcore`.

#![forbid(unsafe_code)]

mod address;
mod connect;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(all(test, feature = "etcd", feature = "local", feature = "redis", feature = "zk"))]
mod fuzz;
#[cfg(feature = "local")]
mod local;
mod options;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "etcd", feature = "redis", feature = "zk"))]
mod servers;
#[cfg(feature = "zk")]
mod zk;

pub use connect::connect;
pub use lockcore::{
    BootInstant, Claim, Error, ErrorKind, FencingToken, Gate, Guarantees, Guard, Held, Inspection,
    Lease, Lock, LockName, Locks, LossCause, Mode, Mutex, OwnerLabel, Released, Renewal, Request,
    Result, Rule, RwLock, Semaphore, StaleToken, TryLock, Ttl,
};

/// The examples of the README compile and run.
#[cfg(all(doctest, feature = "local"))]
#[doc = include_str!("../../README.md")]
struct Readme;
