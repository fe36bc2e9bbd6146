//! etcd locks while administrators meddle, members fail, links break and processes die.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod cancel;
mod children;
mod cluster;
mod crowd;
mod elections;
mod ghosts;
mod housekeeping;
mod outage;
mod processes;
mod renewals;
mod replies;
mod requests;
mod shutdowns;
mod stage;
mod storm;
mod streams;
