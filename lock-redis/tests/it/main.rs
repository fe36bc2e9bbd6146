//! The suite on real servers: Redis, Valkey, a cluster.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;
mod link;
mod records;
#[path = "../shared/rules.rs"]
mod rules;
mod specific;

mod redis {
    lock_conformance::conformance!(crate::harness::OnRedis);
}

mod valkey {
    lock_conformance::conformance!(crate::harness::OnValkey);
}

mod cluster {
    lock_conformance::conformance!(crate::harness::OnCluster);
}
