//! The proxy that knows calls, in front of a server that says everything again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod ends;
mod passing;
mod rules;
mod server;

use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long one listens to nothing.
const SILENCE: Duration = Duration::from_millis(50);
