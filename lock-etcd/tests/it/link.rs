//! The way between one client and its server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::time::eventually;
use lock_conformance::{LinkFaults, Step};
use lock_testkit::grpc::{CallRule, ReplySwallow};
use lock_testkit::{Etcd, GrpcProxy, Proxy, Swallow};
use lockcore::{ErrorKind, Lock, LockName};

/// Two proxies one behind the other: of bytes, and of calls.
#[derive(Debug)]
pub(crate) struct Link {
    bytes: Proxy,
    calls: GrpcProxy,
    server: Arc<Etcd>,
    swallowed: Mutex<Vec<ReplySwallow>>,
    /// The replies to renewals are on a stream: they are lost until one was.
    renewal: Mutex<Option<CallRule>>,
    lost: Mutex<Option<CallRule>>,
    client: Mutex<Option<Arc<dyn Lock>>>,
}

impl Link {
    pub(crate) async fn to(server: Arc<Etcd>) -> Self {
        let calls = GrpcProxy::start(server.addr()).await;
        calls.keep_requests(GRANT);
        let bytes = Proxy::start(calls.addr()).await;
        let (swallowed, renewal, lost, client) = Default::default();
        Self { bytes, calls, server, swallowed, renewal, lost, client }
    }

    pub(crate) fn port(&self) -> u16 {
        self.bytes.addr().port()
    }

    /// Whose link it is.
    pub(crate) fn belongs_to(&self, client: Arc<dyn Lock>) {
        *self.client.lock().unwrap() = Some(client);
    }

    pub(crate) fn lose_notifications(&self, lose: bool) {
        *self.lost.lock().unwrap() = lose.then(|| self.calls.black_hole_replies(WATCH));
    }

    /// How many events the server has sent: its other messages say that a watch began or ended.
    pub(crate) fn notifications(&self) -> usize {
        let from = self.calls.messages_to_client(WATCH);
        let asked = self.calls.messages_to_server(WATCH);
        usize::try_from(from.saturating_sub(asked)).unwrap()
    }
}

#[async_trait]
impl LinkFaults for Link {
    async fn cut(&self) {
        self.bytes.cut();
    }

    async fn restore(&self) {
        self.bytes.restore();
    }

    async fn delay(&self, request: Duration, reply: Duration) {
        self.bytes.delay(request, reply);
    }

    async fn swallow_reply(&self, step: Step) {
        let path = match step {
            Step::Acquire => "KV/Txn",
            Step::Release => "KV/DeleteRange",
            _ => {
                *self.renewal.lock().unwrap() = Some(self.calls.black_hole_replies(KEEP_ALIVE));
                return;
            }
        };
        // The connection goes on and this one call never ends, which is harder than an end.
        let handle = self.calls.swallow_reply_then(Swallow::ThenSilence, path, 1);
        self.swallowed.lock().unwrap().push(handle);
    }

    async fn has_landed(&self) -> bool {
        let mut renewal = self.renewal.lock().unwrap();
        if renewal.as_ref().is_some_and(|rule| rule.hits() > 0) {
            *renewal = None;
        }
        renewal.is_none() && self.swallowed.lock().unwrap().iter().all(ReplySwallow::has_landed)
    }

    async fn refuse(&self, refuse: bool) {
        self.bytes.refuse(refuse);
        if !refuse {
            return;
        }
        self.bytes.reset();
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
        let there = self.server.leases().await;
        for granted in self.calls.kept_requests(GRANT) {
            let lease = lease(&granted);
            if there.contains(&lease) {
                self.server.revoke_lease(lease).await;
            }
        }
    }
}

/// The number that the client wants for a lease: the second field of the request.
fn lease(request: &[u8]) -> i64 {
    let mut rest = request;
    let mut number = || {
        let mut value = 0_u64;
        for shift in (0..).step_by(7) {
            let (byte, left) = rest.split_first().unwrap();
            rest = left;
            value |= u64::from(byte & 127) << shift;
            if byte & 128 == 0 {
                break;
            }
        }
        value
    };
    loop {
        let (tag, value) = (number(), number());
        if tag >> 3 == 2 {
            return value as i64;
        }
    }
}

const GRANT: &str = "Lease/LeaseGrant";
const KEEP_ALIVE: &str = "Lease/LeaseKeepAlive";
const WATCH: &str = "Watch/Watch";
