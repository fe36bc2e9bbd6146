//! The log of several processes, and the checker of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod beliefs;
mod ends;
mod fake;
mod format;
mod long;
mod queue;
mod random;
mod script;
mod simulation;
mod whole;
