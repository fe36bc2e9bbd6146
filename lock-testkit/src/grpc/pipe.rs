//! What goes through a stream of HTTP/2, in pieces that rules can be about.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::message::Messages;
use super::shared::Ticket;

/// A piece of one direction of a call.
pub(super) enum Item<H> {
    /// Its beginning, and whether that is its end too.
    Head(H, bool),
    /// A whole message, and whether the stream ends with it.
    Message(Bytes, bool),
    /// The end of the data, which is no whole message.
    Rest(Bytes),
    Trailers(HeaderMap),
    End,
    /// It was reset for this reason; or its connection is dead.
    Broken(Option<Reason>),
}

impl<H> Item<H> {
    pub(super) fn is_message(&self) -> bool {
        matches!(self, Self::Message(..))
    }

    /// Whether it is the end of what its sender wanted to say.
    pub(super) fn ends(&self) -> bool {
        match self {
            Self::Head(_, end) | Self::Message(_, end) => *end,
            Self::Trailers(_) | Self::End => true,
            Self::Rest(_) | Self::Broken(_) => false,
        }
    }
}

/// An item and when it is due.
pub(super) type Queued<H> = (Instant, Item<H>);

/// The queue of one direction.
pub(super) struct Put<'a, H> {
    pub(super) queue: mpsc::Sender<Queued<H>>,
    /// Who knows how long things take, if they take any time.
    pub(super) late: Option<&'a Ticket>,
}

impl<H> Put<'_, H> {
    pub(super) async fn put(&self, item: Item<H>) {
        let due = Instant::now() + self.late.map_or(Duration::ZERO, Ticket::delay);
        // Nobody takes it when the call is over.
        let _ = self.queue.send((due, item)).await;
    }

    /// Reads `body` to its end, and puts what comes.
    pub(super) async fn read(&self, body: &mut RecvStream) {
        let mut messages = Messages::default();
        while let Some(chunk) = body.data().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return self.put(Item::Broken(reason_of(&error))).await,
            };
            // It fails when the stream is gone, and then reading does too.
            let _ = body.flow_control().release_capacity(chunk.len());
            messages.push(&chunk);
            while let Some(message) = messages.next() {
                let end = messages.is_empty() && body.is_end_stream();
                self.put(Item::Message(message, end)).await;
                if end {
                    return;
                }
            }
        }
        if !messages.is_empty() {
            self.put(Item::Rest(messages.rest())).await;
        }
        let end = match body.trailers().await {
            Ok(Some(trailers)) => Item::Trailers(trailers),
            Ok(None) => Item::End,
            Err(error) => Item::Broken(reason_of(&error)),
        };
        self.put(end).await;
    }
}

/// Writes what comes behind a head.
pub(super) async fn forward<H>(
    stream: &mut SendStream<Bytes>,
    item: Item<H>,
) -> Result<(), h2::Error> {
    match item {
        Item::Message(data, end) => write(stream, data, end).await,
        Item::Rest(data) => write(stream, data, false).await,
        Item::Trailers(trailers) => stream.send_trailers(trailers),
        Item::End => stream.send_data(Bytes::new(), true),
        Item::Head(..) | Item::Broken(_) => Ok(()),
    }
}

/// As fast as the receiver takes it.
async fn write(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        // None: the stream is over.
        let Some(capacity) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return Err(Reason::STREAM_CLOSED.into());
        };
        let chunk = data.split_to(capacity?.min(data.len()));
        if !chunk.is_empty() {
            stream.send_data(chunk, end && data.is_empty())?;
        }
    }
    Ok(())
}

/// Why a stream has ended, if it is the only one that has.
pub(super) fn reason_of(error: &h2::Error) -> Option<Reason> {
    if error.is_reset() {
        error.reason()
    } else if error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) {
        // The other end has taken no notice of this one.
        Some(Reason::REFUSED_STREAM)
    } else {
        None
    }
}
