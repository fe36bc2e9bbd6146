//! The kit on real servers: it starts them, breaks them, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod process;
mod redis;
mod tls;
