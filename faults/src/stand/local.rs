//! The store inside the one worker.

use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use fastrand::Rng;

use super::{Stand, Step, Terms};
use crate::fault::Fault;
use crate::way::{Held, Swallowed, Way};

/// Nothing runs, and nothing of it can be broken but its workers.
pub(crate) struct Local;

#[async_trait]
impl Stand for Local {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    async fn way(&self) -> Way {
        Way::none()
    }

    fn url(&self, _: &Way) -> String {
        "local:".to_owned()
    }

    fn swallow(&self, _: &Way, _: Step) -> Swallowed {
        Swallowed::Frames(Vec::new())
    }

    fn hold_renewals(&self, _: &Way) -> Held {
        Held::Frames(Vec::new())
    }

    async fn strike(&self, fault: Fault, _: &str, _: &str, _: &mut Rng) -> Result<String> {
        bail!("BUG: there is no server for {fault}")
    }

    fn deafen(&self, _: &mut Way) {}

    fn hear(&self, _: &mut Way) -> u64 {
        0
    }

    async fn left(&self) -> Vec<String> {
        Vec::new()
    }
}

const TERMS: Terms =
    Terms { ttl: Duration::from_millis(1_000), slack: Duration::from_millis(500), floor: 200.0 };
