#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod aim;
pub mod cancel;
#[doc(hidden)]
pub mod cases;
mod error_text;
#[cfg(shuttle)]
pub mod explore;
pub mod fake;
mod harness;
pub mod history;
pub mod lab;
mod list;
pub mod load;
mod run;
mod siege;
mod stage;
pub mod sweep;
pub mod time;

pub use error_text::error_text;
pub use harness::{Client, Harness, LinkFaults, Step};
pub use run::{Case, is_caught, print_rules, run_case, run_on};
pub use siege::{Counts, Siege};
pub use stage::{Stage, permit};

/// All cases, in the order of their rules.
pub const CASES: &[Case] = __with_cases!(__table);
