//! Redis locks while processes die, links break, replies vanish and servers stand still.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod cancel;
mod children;
mod churn;
mod crowd;
mod freezes;
mod link;
mod monitor;
mod network;
mod permits;
mod processes;
mod renewals;
mod replies;
mod restarts;
mod scripts;
mod stage;
mod subscriptions;
mod turns;
mod vanishing;
