//! The suite on real servers: one alone, and an ensemble of three.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;
mod link;
#[path = "../shared/rights.rs"]
mod rights;
mod specific;
mod store;

mod single {
    lock_conformance::conformance!(crate::harness::OnZk);
}

mod ensemble {
    lock_conformance::conformance!(crate::harness::OnEnsemble);
}
