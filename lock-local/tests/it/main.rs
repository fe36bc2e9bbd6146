//! The suite on the in-process store, and what is special about it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chance;
mod harness;
mod specific;

lock_conformance::conformance!(crate::harness::LocalHarness);
