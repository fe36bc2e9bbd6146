//! The way between one client and its server.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::select_all;
use lock_conformance::time::eventually;
use lock_conformance::{LinkFaults, Step};
use lock_testkit::{FrameKind, Proxy, Swallow, SwallowHandle, zk_request};
use lockcore::{ErrorKind, Lock, LockName};

use crate::store::Store;

/// The ways to all members, which are broken together.
#[derive(Debug)]
pub(crate) struct Link {
    ways: Vec<Proxy>,
    store: Arc<Store>,
    swallowed: Mutex<Vec<Swallowed>>,
    client: Mutex<Option<Arc<dyn Lock>>>,
}

/// One reply, which is lost by the member that is asked.
type Swallowed = Arc<Vec<SwallowHandle>>;

impl Link {
    pub(crate) async fn to(store: Arc<Store>) -> Self {
        let mut ways = Vec::new();
        for member in store.members() {
            ways.push(Proxy::zk(member.addr()).await);
        }
        Self { ways, store, swallowed: Mutex::default(), client: Mutex::default() }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.ways.iter().map(|way| ("127.0.0.1", way.addr().port()))
    }

    /// Whose link it is.
    pub(crate) fn belongs_to(&self, client: Arc<dyn Lock>) {
        *self.client.lock().unwrap() = Some(client);
    }

    pub(crate) fn lose_notifications(&self, lose: bool) {
        self.ways.iter().for_each(|way| way.drop_notifications(lose));
    }

    /// How many events the members have sent.
    pub(crate) fn notifications(&self) -> usize {
        let seen = self.ways.iter().flat_map(|way| way.notifications_seen().into_values());
        usize::try_from(seen.sum::<u64>()).unwrap()
    }
}

#[async_trait]
impl LinkFaults for Link {
    async fn cut(&self) {
        self.ways.iter().for_each(Proxy::cut);
    }

    async fn restore(&self) {
        self.ways.iter().for_each(Proxy::restore);
    }

    async fn delay(&self, request: Duration, reply: Duration) {
        self.ways.iter().for_each(|way| way.delay(request, reply));
    }

    async fn swallow_reply(&self, step: Step) {
        // A connection that stays and is silent is harder than an end, but takes the next request along.
        // The first one of a name makes its directory, after it was told that there is none.
        let has_directory = self.ways.iter().flat_map(Proxy::record).any(|frame| {
            let text = frame.text.as_str();
            frame.kind == FrameKind::Request && text.starts_with("create") && text.contains(LOCK)
        });
        let asked = Arc::new(Asked {
            has_directory: AtomicBool::new(has_directory),
            for_a_node: AtomicBool::new(false),
        });
        let acquires = || {
            let asked = asked.clone();
            move |words: &[Bytes]| asked.acquires(words)
        };
        let swallow = |way: &Proxy| match step {
            Step::Acquire => way.swallow_reply_then(Swallow::ThenReset, acquires()),
            Step::Release => way.swallow_reply_then(Swallow::ThenSilence, zk_request("delete", "")),
            _ => way.swallow_reply_then(Swallow::ThenSilence, zk_request("multi", "")),
        };
        let swallowed: Swallowed = Arc::new(self.ways.iter().map(swallow).collect());
        self.swallowed.lock().unwrap().push(swallowed.clone());
        // One reply is to be lost, not one of each member.
        tokio::spawn(async move {
            let landed = swallowed.iter().map(|reply| Box::pin(reply.landed(PATIENCE)));
            select_all(landed).await;
            swallowed.iter().for_each(SwallowHandle::disarm);
        });
    }

    async fn has_landed(&self) -> bool {
        let has_landed = |swallowed: &Swallowed| swallowed.iter().any(SwallowHandle::has_landed);
        self.swallowed.lock().unwrap().iter().all(has_landed)
    }

    async fn refuse(&self, refuse: bool) {
        self.ways.iter().for_each(|way| way.refuse(refuse));
        if !refuse {
            return;
        }
        self.ways.iter().for_each(Proxy::reset);
        let client = self.client.lock().unwrap().clone().unwrap();
        let name = LockName::new("any").unwrap();
        // It has to see the end of its connection first: what was sent before is unknown.
        eventually("the client knows", || async {
            let answer = client.inspect(&name).await;
            answer.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
        })
        .await;
    }

    async fn kill_session(&self) {
        for session in self.ways.iter().flat_map(Proxy::sessions) {
            self.store.any().expire_session(session).await;
        }
    }
}

/// What was asked for on any of the ways.
#[derive(Debug)]
struct Asked {
    has_directory: AtomicBool,
    for_a_node: AtomicBool,
}

impl Asked {
    /// Whether it is the request for a node in a directory that is there, or, once that was made, the
    /// one that asks what came of it.
    fn acquires(&self, words: &[Bytes]) -> bool {
        match words.first().map(Bytes::as_ref) {
            Some(b"create") if words.iter().any(|word| word == "CONTAINER") => {
                self.has_directory.store(true, SeqCst);
                false
            }
            Some(b"create") if self.has_directory.load(SeqCst) => {
                self.for_a_node.store(true, SeqCst);
                true
            }
            Some(b"sync") => self.for_a_node.load(SeqCst),
            _ => false,
        }
    }
}

/// A fault that does not land in this time is found to be missing by its case.
const LOCK: &str = "-lock-";
const PATIENCE: Duration = Duration::from_secs(600);
