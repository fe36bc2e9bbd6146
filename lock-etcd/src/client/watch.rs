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

/// The keys of one watch: one, or those from one up to another, that one not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

/// What the stream says of one watch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WatchEvent {
    /// From now on nothing that happens to the keys is missed.
    Created,
    /// These were deleted, each at this revision, in this order.
    Deleted(Vec<(Vec<u8>, i64)>),
    /// The server watches no more, or never did.
    Ended,
    /// Nothing of interest.
    Nothing,
}

impl Client {
    /// Opens a stream with a first watch.
    pub(crate) async fn watch(&self, id: i64, range: &Range) -> Result<Watches> {
        let opened = self.ask(self.request_timeout, BootInstant::now(), |conn| {
            let (mut client, options) = (conn.watch.clone(), options(id, range));
            let from = range.from.clone();
            Box::pin(async move { client.watch(from, Some(options)).await })
        });
        let (requests, responses) = opened.await?.split();
        Ok(Watches { requests, responses, limit: self.request_timeout })
    }
}

impl Watches {
    /// Adds one more watch.
    pub(crate) async fn add(&mut self, id: i64, range: &Range) -> Result<()> {
        let request = self.requests.watch(range.from.as_slice(), Some(options(id, range)));
        let sent = timeout(self.limit, request).await;
        sent.map_err(|_| broken(None))?.map_err(|error| broken(Some(error)))
    }

    /// Ends this watch.
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
fn options(id: i64, range: &Range) -> WatchOptions {
    let options = WatchOptions::new().with_watch_id(id).with_filters([WatchFilterType::NoPut]);
    match &range.to {
        Some(to) => options.with_range(to.as_slice()),
        None => options,
    }
}

fn event(response: &WatchResponse) -> WatchEvent {
    if response.canceled() {
        return WatchEvent::Ended;
    }
    let deleted: Vec<_> = response
        .events()
        .iter()
        .filter(|event| event.event_type() == EventType::Delete)
        .filter_map(|event| event.kv())
        .map(|kv| (kv.key().to_vec(), kv.mod_revision()))
        .collect();
    if !deleted.is_empty() {
        WatchEvent::Deleted(deleted)
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
