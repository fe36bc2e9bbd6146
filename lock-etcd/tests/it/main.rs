//! The suite on real servers: etcd 3.7 and 3.4, and a cluster of three.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;
mod link;
#[path = "../shared/role.rs"]
mod role;
mod specific;
mod store;

mod etcd {
    lock_conformance::conformance!(crate::harness::OnEtcd);
}

mod old {
    lock_conformance::conformance!(crate::harness::OnOldEtcd);
}

mod cluster {
    lock_conformance::conformance!(crate::harness::OnCluster);
}
