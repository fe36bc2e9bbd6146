//! Who has led the cluster since a request was sent.
//!
//! A member passes what is to be agreed upon on to its leader, once. If that one dies, nobody answers,
//! though the next one could. Each leader has a term of its own, and every answer says which one the
//! member has come to: so a request that has had no answer by the time of a later term is lost, as far
//! as anybody can know.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use etcd_client::{GetOptions, ResponseHeader};
use tokio::sync::watch as signal;
use tokio::time::{sleep, timeout};

use super::Shared;

/// Why an answer is waited for no more.
pub(super) enum Silence {
    TooLong,
    /// There is a leader who was none when the request was sent.
    LedAnew,
}

/// The newest term that is known.
pub(super) struct Terms {
    /// Those whose requests are overdue listen.
    newest: signal::Sender<u64>,
    /// Whether somebody asks for it.
    is_asked_for: AtomicBool,
    /// Where nothing stands, in the range that we may read.
    key: String,
}

impl Terms {
    /// Nothing is known. Members will be asked for this key.
    pub(super) fn new(key: String) -> Self {
        Self { newest: signal::Sender::new(0), is_asked_for: AtomicBool::new(false), key }
    }

    /// A member has answered.
    pub(super) fn hear(&self, header: Option<&ResponseHeader>) {
        let term = header.map_or(0, ResponseHeader::raft_term);
        self.newest.send_if_modified(|newest| {
            let is_newer = term > *newest;
            *newest = term.max(*newest);
            is_newer
        });
    }

    /// The newest one; 0 while nothing is known.
    fn newest(&self) -> u64 {
        *self.newest.borrow()
    }
}

impl Shared {
    /// The answer, if it comes in time.
    pub(super) async fn in_time<T>(
        self: &Arc<Self>,
        limit: Duration,
        hangs_on_leader: bool,
        answer: impl Future<Output = T>,
    ) -> Result<T, Silence> {
        let (mut answer, term) = (pin!(answer), self.terms.newest());
        if !hangs_on_leader || limit <= OVERDUE {
            return timeout(limit, answer).await.map_err(|_| Silence::TooLong);
        }
        // Almost all come by then.
        if let Ok(answer) = timeout(OVERDUE, &mut answer).await {
            return Ok(answer);
        }
        tokio::select! {
            biased;
            answer = timeout(limit - OVERDUE, answer) => answer.map_err(|_| Silence::TooLong),
            () = self.is_led_anew(term) => Err(Silence::LedAnew),
        }
    }

    /// Waits until there is a leader who was none at the time of `term`. Members are asked meanwhile, by
    /// one task for all who wait.
    async fn is_led_anew(self: &Arc<Self>, term: u64) {
        if term == 0 {
            return std::future::pending().await;
        }
        let mut newest = self.terms.newest.subscribe();
        loop {
            // Also if the one who asked has gone, with its runtime or because it saw nobody.
            if !self.terms.is_asked_for.swap(true, SeqCst) {
                tokio::spawn(Asking(self.clone()).run());
            }
            if timeout(PAUSE, newest.wait_for(|newest| *newest > term)).await.is_ok() {
                return;
            }
        }
    }
}

/// Asks for the newest term, for as long as somebody waits for it.
struct Asking(Arc<Shared>);

impl Asking {
    async fn run(self) {
        while self.0.terms.newest.receiver_count() > 0 {
            // No answer is no news.
            let _ = timeout(PAUSE, self.ask()).await;
            sleep(PAUSE).await;
        }
    }

    /// What a member answers alone, and refuses to while it knows no leader. It says nothing of how
    /// well the member is.
    async fn ask(&self) {
        let conn = self.0.state().conn.clone();
        let Some(mut kv) = conn.map(|conn| conn.kv.clone()) else { return };
        let alone = GetOptions::new().with_serializable().with_keys_only();
        if let Ok(answer) = kv.get(self.0.terms.key.as_str(), Some(alone)).await {
            self.0.terms.hear(answer.header());
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.terms.is_asked_for.store(false, SeqCst);
    }
}

/// From when on it is asked for whether a request is lost with its leader.
const OVERDUE: Duration = Duration::from_millis(250);
/// Between two questions, and how long each may take.
const PAUSE: Duration = Duration::from_millis(250);
