//! Where requests are counted.

use anyhow::Result;

use super::server::{Messages, Server};
use crate::subjects::store::counted::Place;
use crate::subjects::store::crowd::{Gate, Seen};

impl Place for Server {
    type Meter = Messages;

    async fn start() -> Result<Self> {
        Ok(Self::start().await)
    }

    fn url(&self) -> String {
        self.url()
    }
}

impl Gate for Server {
    async fn start() -> Result<Self> {
        Ok(Self::start().await)
    }

    fn url(&self) -> String {
        self.url()
    }

    async fn seen(&self) -> Result<Seen> {
        self.seen().await
    }
}
