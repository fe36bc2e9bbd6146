//! One call through the proxy: two directions, each read into a queue and written from it.
//!
//! The reader goes on while a rule holds the writer back, so that it is known when a client gives
//! up, and so that delays do not add up.

use std::future::{pending, poll_fn};
use std::mem;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Request, Response};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::pipe::{Item, Put, Queued, forward, reason_of};
use super::rule::{Kind, Rule};
use super::shared::{Ticket, Way};
use crate::proxy::Swallow;

/// How a call has ended.
pub(super) enum Over {
    Done,
    /// The server takes no more calls on this connection, and has not seen this one.
    Refused,
    /// The way to the server is dead. The client must learn it from its connection's end, so its
    /// end of the stream lives until then: dropping it would tell that the call was cancelled.
    Broken(Remains),
    /// The connection is to be closed.
    Cut(Remains),
}

/// What keeps a stream to the client as it is.
pub(super) struct Remains {
    _request: RecvStream,
    _reply: Client,
}

/// Passes the call until it ends. `broken` turns true when the way to the server is dead.
pub(super) async fn run(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    upstream: SendRequest<Bytes>,
    mut ticket: Ticket,
    broken: watch::Receiver<bool>,
) -> Over {
    let (head, mut body) = request.into_parts();
    let mut client = Client { respond, stream: None };
    if let Some(rule) = ticket.fail.take() {
        client.refuse(&rule);
        return Over::Done;
    }
    let (_, nobody) = oneshot::channel();
    let killed = mem::replace(&mut ticket.killed, nobody);
    let call = Call { ticket, broken };
    let (to_server, requests) = mpsc::channel(QUEUE);
    let (to_client, replies) = mpsc::channel(QUEUE);
    let (answered, response) = oneshot::channel();
    let cancel = to_server.clone();
    let read_both = async {
        tokio::join!(
            call.read_requests(Request::from_parts(head, ()), &mut body, to_server),
            call.read_replies(response, to_client),
        );
        pending::<Ended>().await
    };
    let ended = tokio::select! {
        ended = call.write_requests(requests, upstream, answered) => ended,
        ended = call.write_replies(replies, &mut client, cancel) => ended,
        ended = read_both => ended,
        Ok(()) = killed => Ended::Killed,
    };
    match ended {
        Ended::Done => Over::Done,
        Ended::Killed => {
            client.reset(Reason::INTERNAL_ERROR);
            Over::Done
        }
        Ended::Refused => {
            client.reset(Reason::REFUSED_STREAM);
            Over::Refused
        }
        Ended::Broken => Over::Broken(Remains { _request: body, _reply: client }),
        Ended::Cut => Over::Cut(Remains { _request: body, _reply: client }),
    }
}

#[derive(Debug)]
enum Ended {
    Done,
    Refused,
    Broken,
    Cut,
    Killed,
}

struct Call {
    ticket: Ticket,
    broken: watch::Receiver<bool>,
}

impl Call {
    async fn read_requests(
        &self,
        head: Request<()>,
        body: &mut RecvStream,
        queue: mpsc::Sender<Queued<Request<()>>>,
    ) {
        let put = Put { queue, late: Some(&self.ticket) };
        put.put(Item::Head(head, body.is_end_stream())).await;
        put.read(body).await;
    }

    async fn read_replies(
        &self,
        response: oneshot::Receiver<ResponseFuture>,
        queue: mpsc::Sender<Queued<Response<()>>>,
    ) {
        let put = Put { queue, late: None };
        // The call ends without an answer if it never gets to the server.
        let Ok(response) = response.await else { return };
        match response.await {
            Ok(response) => {
                let (head, mut body) = response.into_parts();
                put.put(Item::Head(Response::from_parts(head, ()), body.is_end_stream())).await;
                put.read(&mut body).await;
            }
            Err(error) => put.put(Item::Broken(reason_of(&error))).await,
        }
    }

    async fn write_requests(
        &self,
        mut queue: mpsc::Receiver<Queued<Request<()>>>,
        upstream: SendRequest<Bytes>,
        answered: oneshot::Sender<ResponseFuture>,
    ) -> Ended {
        let mut beginning = Some((upstream, answered));
        let mut stream = None;
        // When the request was last let go, and whether it is through.
        let (mut released, mut whole) = (None, false);
        while let Some((due, item)) = queue.recv().await {
            sleep_until(due).await;
            match self.barrier(Way::Request).await {
                Passed::AtOnce => {}
                Passed::Late => released = Some(Instant::now()),
                Passed::Never if stream.is_none() => return Ended::Broken,
                Passed::Never => break,
            }
            whole |= item.ends();
            match (item, &mut stream) {
                (Item::Head(head, end), _) => {
                    let Some((upstream, answered)) = beginning.take() else { continue };
                    let Ok(mut upstream) = upstream.ready().await else { return Ended::Refused };
                    match upstream.send_request(head, end) {
                        Ok((response, sends)) => {
                            stream = Some(sends);
                            let _ = answered.send(response);
                        }
                        Err(_) => return Ended::Refused,
                    }
                }
                // Its client gave up while the request was on its way already.
                (Item::Broken(_), _) if whole && released.is_some_and(|at| due < at) => {}
                (Item::Broken(reason), Some(stream)) => {
                    stream.send_reset(reason.unwrap_or(Reason::CANCEL));
                    return Ended::Done;
                }
                (Item::Broken(_), None) => return Ended::Done,
                (item, Some(stream)) => {
                    if let Item::Message(message, _) = &item {
                        self.ticket.count(Way::Request);
                        self.ticket.keep(message);
                    }
                    if forward(stream, item).await.is_err() {
                        // The reader of replies knows why.
                        break;
                    }
                }
                (_, None) => {}
            }
        }
        // The other direction ends the call. What is behind this is not read any more.
        let _keep = stream;
        pending().await
    }

    async fn write_replies(
        &self,
        mut queue: mpsc::Receiver<Queued<Response<()>>>,
        client: &mut Client,
        cancel: mpsc::Sender<Queued<Request<()>>>,
    ) -> Ended {
        // Whether the client has given up, and whether it is to hear nothing any more.
        let (mut gone, mut silent) = (false, false);
        loop {
            let item = tokio::select! {
                biased;
                Some((_, item)) = queue.recv() => item,
                reason = client.given_up(), if !gone => {
                    gone = true;
                    let _ = cancel.send((Instant::now(), Item::Broken(reason))).await;
                    continue;
                }
                () = self.broken(), if silent => return Ended::Broken,
                else => return Ended::Done,
            };
            if let Passed::Never = self.barrier(Way::Reply).await {
                return Ended::Broken;
            }
            let (ends, broken) = (item.ends(), matches!(item, Item::Broken(None)));
            if gone {
                continue;
            }
            if broken {
                return Ended::Broken;
            }
            match &self.ticket.swallow {
                Some(swallow) if !matches!(item, Item::Broken(_)) => {
                    if ends {
                        swallow.land();
                        if swallow.then == Swallow::ThenCut {
                            return Ended::Cut;
                        }
                        silent = true;
                    }
                    continue;
                }
                _ => {}
            }
            if item.is_message() {
                if let Some(rule) = self.ticket.black_hole() {
                    rule.strike();
                    if ends {
                        // The end of the stream was in the same frame, and is no message.
                        let _ = client.write(Item::End).await;
                        return Ended::Done;
                    }
                    continue;
                }
                self.ticket.count(Way::Reply);
            }
            match client.write(item).await {
                Ok(()) if ends => return Ended::Done,
                // What is wrong with its stream is heard above.
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Waits until nothing holds this direction back.
    async fn barrier(&self, way: Way) -> Passed {
        let mut passed = Passed::AtOnce;
        while let Some(rule) = self.ticket.barrier(way) {
            if let Passed::AtOnce = passed {
                rule.strike();
            }
            passed = Passed::Late;
            tokio::select! {
                () = rule.over() => {}
                () = self.broken() => return Passed::Never,
            }
        }
        passed
    }

    async fn broken(&self) {
        // It is over with the link itself, if that is gone.
        let _ = self.broken.clone().wait_for(|broken| *broken).await;
    }
}

enum Passed {
    AtOnce,
    Late,
    Never,
}

/// The client's end of the replies.
struct Client {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
}

impl Client {
    async fn write(&mut self, item: Item<Response<()>>) -> Result<(), h2::Error> {
        match (item, &mut self.stream) {
            (Item::Head(head, end), None) => {
                self.stream = Some(self.respond.send_response(head, end)?);
            }
            (Item::Broken(reason), _) => self.reset(reason.unwrap_or(Reason::INTERNAL_ERROR)),
            (item, Some(stream)) => forward(stream, item).await?,
            (_, None) => {}
        }
        Ok(())
    }

    /// Waits until the client has reset the stream, or is gone.
    async fn given_up(&mut self) -> Option<Reason> {
        let reset = match &mut self.stream {
            Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        reset.ok()
    }

    fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Answers with nothing but a status.
    fn refuse(&mut self, rule: &Rule) {
        let Kind::Fail { status, message, .. } = &rule.kind else { return };
        rule.strike();
        let mut head = Response::new(());
        let headers = head.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(*status));
        // Checked when the rule was made.
        if let Ok(message) = HeaderValue::from_str(message) {
            headers.insert("grpc-message", message);
        }
        // It fails if the client has given up already.
        let _ = self.respond.send_response(head, true);
    }
}

const QUEUE: usize = 1024;
