//! One direction of one link.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::faults::Way;
use super::link::{End, Shared};
use super::record::{Frame, FrameKind};
use super::rule::Swallow;
use super::traffic::{Protocol, Reply, ReplyKind, Request, Traffic};

/// Reads, decides, and lets a queue bring the delays about: many frames are on their way at once.
pub(super) struct Pump<'a> {
    way: Way,
    shared: &'a Shared,
    traffic: &'a Mutex<Box<dyn Traffic>>,
    /// Whether something was lost: nothing passes any more.
    lost: bool,
    /// Whether an answer was lost while pings were not: nothing but those passes any more.
    only_pings: bool,
    /// Of the link.
    number: usize,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        way: Way,
        shared: &'a Shared,
        traffic: &'a Mutex<Box<dyn Traffic>>,
        number: usize,
    ) -> Self {
        Self { way, shared, traffic, lost: false, only_pings: false, number }
    }

    /// Passes everything until the sender closes; an error is the end of the other direction too.
    pub(super) async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
        let (queue, due) = mpsc::channel(QUEUE);
        let (way, shared) = (self.way, self.shared);
        tokio::try_join!(self.read(from, queue), write(way, shared, due, to))?;
        Ok(())
    }

    async fn read(mut self, mut from: ReadHalf<'_>, queue: Queue) -> Result<(), End> {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        loop {
            if from.read_buf(&mut bytes).await.map_err(|_| End::Reset)? == 0 {
                return Ok(());
            }
            self.lost |= self.shared.faults().of(self.way).black_hole;
            if self.lost {
                bytes.clear();
                continue;
            }
            let ended = match self.way {
                Way::Request => self.requests(&mut bytes, &queue).await?,
                Way::Reply => self.replies(&mut bytes, &queue).await?,
            };
            if ended {
                return Ok(());
            }
        }
    }

    /// Returns whether the link ends here.
    async fn requests(&mut self, bytes: &mut BytesMut, queue: &Queue) -> Result<bool, End> {
        while let Some(request) = self.next_request(bytes)? {
            let hold = {
                let mut rules = self.shared.rules();
                rules.count(self.shared.protocol.name(&request.words));
                rules.hold_for(&request.words)
            };
            if let Some(hold) = hold
                && let Some(end) = hold.pass().await
            {
                return Ok(self.end(queue, end).await);
            }
            self.record(FrameKind::Request, || text(&request.words));
            let rule = self.shared.rules().of_reply(&request.words);
            self.traffic().forwarded(&request, rule);
            self.queue(queue, request.frame).await;
        }
        Ok(false)
    }

    /// Returns whether the link ends here.
    async fn replies(&mut self, bytes: &mut BytesMut, queue: &Queue) -> Result<bool, End> {
        while let Some(reply) = self.next_reply(bytes)? {
            let kind = match reply.kind {
                ReplyKind::Held(rule) => match rule.pass().await {
                    Some(end) => return Ok(self.end(queue, end).await),
                    None => ReplyKind::Answer,
                },
                kind => kind,
            };
            let kind = match kind {
                ReplyKind::Swallowed(rule) => {
                    rule.land();
                    match rule.then {
                        Swallow::ThenCut => return Ok(self.end(queue, End::Closed).await),
                        Swallow::ThenReset => return Ok(self.end(queue, End::Reset).await),
                        Swallow::ThenSilence => return Ok(self.end(queue, End::Silent).await),
                        Swallow::ThenPings => self.only_pings = true,
                    }
                    continue;
                }
                ReplyKind::Ping => FrameKind::Reply,
                _ if self.only_pings || self.shared.faults().only_pings => {
                    self.only_pings = true;
                    continue;
                }
                ReplyKind::Notification if self.shared.faults().drop_notifications => {
                    self.shared.rules().notifications_lost += 1;
                    continue;
                }
                ReplyKind::Notification => {
                    self.shared.rules().count_notification(self.number);
                    FrameKind::Notification
                }
                ReplyKind::Answer | ReplyKind::Held(_) => FrameKind::Reply,
            };
            self.record(kind, || reply.text);
            self.queue(queue, reply.frame).await;
        }
        Ok(false)
    }

    fn next_request(&self, bytes: &mut BytesMut) -> Result<Option<Request>, End> {
        self.traffic().request(bytes).map_err(|error| self.strange(&error))
    }

    fn next_reply(&self, bytes: &mut BytesMut) -> Result<Option<Reply>, End> {
        self.traffic().reply(bytes).map_err(|error| self.strange(&error))
    }

    fn strange(&self, error: &std::io::Error) -> End {
        eprintln!("a proxy resets a connection: {error} (in a {:?})", self.way);
        End::Reset
    }

    async fn queue(&self, queue: &Queue, frame: Bytes) {
        let (delay, jitter) = {
            let faults = self.shared.faults();
            let direction = faults.of(self.way);
            (direction.delay, direction.jitter)
        };
        let due = Instant::now() + delay + jitter.mul_f64(fastrand::f64());
        // Nobody takes it when the other end is gone, and then the link ends.
        let _ = queue.send((due, Step::Write(frame))).await;
    }

    /// Ends the link behind what is still on its way.
    async fn end(&self, queue: &Queue, end: End) -> bool {
        let _ = queue.send((Instant::now(), Step::End(end))).await;
        true
    }

    fn record(&self, kind: FrameKind, text: impl FnOnce() -> String) {
        if self.shared.protocol == Protocol::Zk {
            let (at, connection) = (std::time::Instant::now(), self.number);
            self.shared.rules().record.push(Frame { at, connection, kind, text: text() });
        }
    }

    fn traffic(&self) -> MutexGuard<'_, Box<dyn Traffic>> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(
    way: Way,
    shared: &Shared,
    mut due: mpsc::Receiver<(Instant, Step)>,
    mut to: WriteHalf<'_>,
) -> Result<(), End> {
    let let_through = || shared.until(|faults| !faults.of(way).stalled);
    // In the order in which it came, also what is due before its predecessor.
    while let Some((at, step)) = due.recv().await {
        if at > Instant::now() {
            sleep_until(at).await;
        }
        let frame = match step {
            Step::Write(frame) => frame,
            Step::End(end) => {
                let_through().await;
                return Err(end);
            }
        };
        let size = if shared.faults().one_byte_chunks { 1 } else { frame.len() };
        for chunk in frame.chunks(size) {
            let_through().await;
            to.write_all(chunk).await.map_err(|_| End::Reset)?;
            if size == 1 {
                // The other end may read this byte before the next one comes.
                tokio::task::yield_now().await;
            }
        }
    }
    let_through().await;
    to.shutdown().await.map_err(|_| End::Reset)
}

fn text(words: &[Bytes]) -> String {
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    words.join(" ")
}

enum Step {
    Write(Bytes),
    End(End),
}

type Queue = mpsc::Sender<(Instant, Step)>;

const CHUNK: usize = 16 * 1024;
const QUEUE: usize = 1024;
