#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod cancel;
#[doc(hidden)]
pub mod cases;
#[cfg(shuttle)]
pub mod explore;
pub mod fake;
mod harness;
pub mod history;
mod list;
mod run;
mod stage;
pub mod time;

pub use harness::{Client, Harness, LinkFaults, Step};
pub use run::{Case, is_caught, print_rules, run_case, run_on};
pub use stage::{Stage, permit};

/// All cases, in the order of their rules.
pub const CASES: &[Case] = __with_cases!(__table);
