//! The stream of watches.

use std::time::Duration;

use etcd_client::{
    EventType, WatchFilterType, WatchOptions, WatchRequestSender, WatchResponse,
    WatchResponseStream,
};
use lockcore::{BootInstant, Error, ErrorKind, Result};
use tokio::time::timeout;

use super::Client;

/// Many watches on one stream.
pub(crate) struct Watches {
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    /// How long a request may wait for room on its way.
    limit: Duration,
}

/// What the stream says of one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchEvent {
    /// From now on nothing that happens to the key is missed.
    Created,
    /// The key was deleted.
    Deleted,
    /// The server watches no more, or never did.
    Ended,
    /// Nothing of interest.
    Nothing,
}

impl Client {
    /// Opens a stream with a first watch.
    pub(crate) async fn watch(&self, id: i64, key: &[u8]) -> Result<Watches> {
        let opened = self.ask(self.request_timeout, BootInstant::now(), |conn| {
            let (mut client, key) = (conn.watch.clone(), key.to_vec());
            Box::pin(async move { client.watch(key, Some(options(id))).await })
        });
        let (requests, responses) = opened.await?.split();
        Ok(Watches { requests, responses, limit: self.request_timeout })
    }
}

impl Watches {
    /// Watches one more key.
    pub(crate) async fn add(&mut self, id: i64, key: &[u8]) -> Result<()> {
        let sent = timeout(self.limit, self.requests.watch(key, Some(options(id)))).await;
        sent.map_err(|_| broken(None))?.map_err(|error| broken(Some(error)))
    }

    /// Watches it no more.
    pub(crate) async fn remove(&mut self, id: i64) -> Result<()> {
        let sent = timeout(self.limit, self.requests.cancel(id)).await;
        sent.map_err(|_| broken(None))?.map_err(|error| broken(Some(error)))
    }

    /// What the server says next, and of which watch.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<(i64, WatchEvent)> {
        match self.responses.message().await {
            Ok(Some(response)) => Ok((response.watch_id(), event(&response))),
            Ok(None) => Err(broken(None)),
            Err(error) => Err(broken(Some(error))),
        }
    }
}

/// From now on, never from a revision of the past: that is served by a loop which comes round every
/// 100 ms only.
fn options(id: i64) -> WatchOptions {
    WatchOptions::new().with_watch_id(id).with_filters([WatchFilterType::NoPut])
}

fn event(response: &WatchResponse) -> WatchEvent {
    if response.canceled() {
        WatchEvent::Ended
    } else if response.events().iter().any(|event| event.event_type() == EventType::Delete) {
        WatchEvent::Deleted
    } else if response.created() {
        WatchEvent::Created
    } else {
        WatchEvent::Nothing
    }
}

fn broken(source: Option<etcd_client::Error>) -> Error {
    let error = Error::new(ErrorKind::Unavailable, "the stream of notifications ended");
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}
