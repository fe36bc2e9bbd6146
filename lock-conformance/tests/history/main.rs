//! The log of several processes, and the checker of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod format;
