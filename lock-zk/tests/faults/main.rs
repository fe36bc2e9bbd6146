//! ZooKeeper locks while administrators meddle, members fail, links break and processes die.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod ghosts;
mod links;
mod replies;
mod stage;
