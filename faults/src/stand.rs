//! The stores: how they are started, reached and broken.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use fastrand::Rng;

use crate::fault::Fault;
use crate::way::{Held, Swallowed, Way};

mod etcd;
mod local;
mod members;
mod redis;
mod zk;

pub(crate) use self::etcd::Etcd;
pub(crate) use self::local::Local;
pub(crate) use self::redis::Redis;
pub(crate) use self::zk::Zk;

/// A store that runs, and what can be done to it.
#[async_trait]
pub(crate) trait Stand: Send + Sync {
    fn terms(&self) -> &'static Terms;

    /// The TTL of all locks.
    fn ttl(&self) -> Duration {
        self.terms().ttl
    }

    /// A way for one worker.
    async fn way(&self) -> Way;

    /// Where the worker connects.
    fn url(&self, way: &Way) -> String;

    /// Lets the next reply of this step vanish.
    fn swallow(&self, way: &Way, step: Step) -> Swallowed;

    /// Holds back the answers to all renewals that are made from now on.
    fn hold_renewals(&self, way: &Way) -> Held;

    /// Does the fault, of a form, while somebody holds `name` and others wait for it; returns when it
    /// is over, with what shows that it has landed.
    ///
    /// # Errors
    ///
    /// Why it has not.
    async fn strike(&self, fault: Fault, form: &str, name: &str, rng: &mut Rng) -> Result<String>;

    /// Loses what the store tells a waiter of itself, until [`hear`](Stand::hear).
    fn deafen(&self, way: &mut Way);

    /// Ends that, and says how many were lost.
    fn hear(&self, way: &mut Way) -> u64;

    /// Everything in the store that should not be there once all workers are gone.
    async fn left(&self) -> Vec<String>;
}

/// What is wanted of a store.
pub(crate) struct Terms {
    /// The TTL of all locks.
    pub(crate) ttl: Duration,
    /// How much later than a TTL the store may notice that a holder is dead.
    pub(crate) slack: Duration,
    /// So many grants a second at least, or the run says nothing.
    pub(crate) floor: f64,
}

/// What a reply is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Acquire,
    Release,
    Renew,
}
