//! The way between one client and its server.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lock_conformance::time::eventually;
use lock_conformance::{LinkFaults, Step};
use lock_testkit::{Proxy, Resp, Swallow, SwallowHandle};
use lockcore::{ErrorKind, Lock, LockName};

#[derive(Debug)]
pub(crate) struct Link {
    proxy: Proxy,
    server: SocketAddr,
    /// Locks and ids that went over this link.
    asked: Arc<Mutex<HashSet<(String, String)>>>,
    swallowed: Mutex<Vec<SwallowHandle>>,
    client: Mutex<Option<Arc<dyn Lock>>>,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let proxy = Proxy::resp(server).await;
        let asked = Arc::<Mutex<HashSet<_>>>::default();
        let notes = asked.clone();
        // Matches nothing: it only looks.
        let _ = proxy.swallow_reply(move |words| {
            if let (Some(Step::Acquire), [_, _, _, lock, ..]) = (step(words), words) {
                let value = String::from_utf8_lossy(&words[8]);
                let id = value["lh x ".len()..].split(' ').next().unwrap().to_owned();
                notes.lock().unwrap().insert((String::from_utf8_lossy(lock).into_owned(), id));
            }
            false
        });
        Self { proxy, server, asked, swallowed: Mutex::default(), client: Mutex::default() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.proxy.addr().port()
    }

    /// Whose link it is.
    pub(crate) fn belongs_to(&self, client: Arc<dyn Lock>) {
        *self.client.lock().unwrap() = Some(client);
    }

    pub(crate) fn lose_notifications(&self, lose: bool) {
        self.proxy.drop_notifications(lose);
    }
}

/// What a command is for, told by its form: scripts differ in the number of their arguments.
fn step(words: &[Bytes]) -> Option<Step> {
    let name = words[0].to_ascii_uppercase();
    match (name.as_slice(), words.len(), words.get(2).map(Bytes::as_ref)) {
        (b"DELIFEQ" | b"DELEX", ..) => Some(Step::Release),
        (b"EVALSHA" | b"EVAL", 12, Some(b"5")) => Some(Step::Acquire),
        (b"EVALSHA" | b"EVAL", 9, Some(b"5")) => Some(Step::Release),
        (b"EVALSHA" | b"EVAL", 10, Some(b"5")) => Some(Step::Renew),
        (b"EVALSHA" | b"EVAL", _, Some(keys)) if keys != b"5" => Some(Step::Renew),
        _ => None,
    }
}

#[async_trait]
impl LinkFaults for Link {
    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn restore(&self) {
        self.proxy.restore();
    }

    async fn delay(&self, request: Duration, reply: Duration) {
        self.proxy.delay(request, reply);
    }

    async fn swallow_reply(&self, wanted: Step) {
        // The connection stays open and says nothing more, which is harder than one that ends.
        let handle = self
            .proxy
            .swallow_reply_then(Swallow::ThenSilence, move |words| step(words) == Some(wanted));
        self.swallowed.lock().unwrap().push(handle);
    }

    async fn has_landed(&self) -> bool {
        self.swallowed.lock().unwrap().iter().all(SwallowHandle::has_landed)
    }

    async fn refuse(&self, refuse: bool) {
        self.proxy.refuse(refuse);
        if !refuse {
            return;
        }
        self.proxy.reset();
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
        let mut resp = Resp::connect(self.server).await;
        let asked: Vec<_> = self.asked.lock().unwrap().drain().collect();
        for (lock, id) in asked {
            crate::records::remove(&mut resp, &lock, &id).await;
        }
    }
}
