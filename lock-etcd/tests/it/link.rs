//! The way between one client and its server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::select_all;
use lock_conformance::time::eventually;
use lock_conformance::{LinkFaults, Step};
use lock_testkit::grpc::{CallRule, ReplySwallow};
use lock_testkit::{GrpcProxy, Proxy, Swallow};
use lockcore::{ErrorKind, Lock, LockName};

use crate::store::Store;

/// The ways to all members, which are broken together.
#[derive(Debug)]
pub(crate) struct Link {
    ways: Vec<Way>,
    store: Arc<Store>,
    swallowed: Mutex<Vec<Swallowed>>,
    /// The replies to renewals are on a stream: they are lost until one was.
    renewal: Mutex<Vec<CallRule>>,
    lost: Mutex<Vec<CallRule>>,
    client: Mutex<Option<Arc<dyn Lock>>>,
}

/// Two proxies one behind the other: of bytes, and of calls.
#[derive(Debug)]
struct Way {
    bytes: Proxy,
    calls: GrpcProxy,
}

/// One reply, which is lost by the member that is asked.
type Swallowed = Arc<Vec<ReplySwallow>>;

impl Link {
    pub(crate) async fn to(store: Arc<Store>) -> Self {
        let mut ways = Vec::new();
        for member in store.members() {
            let calls = GrpcProxy::start(member.addr()).await;
            calls.keep_requests(GRANT);
            ways.push(Way { bytes: Proxy::start(calls.addr()).await, calls });
        }
        let (swallowed, renewal, lost, client) = Default::default();
        Self { ways, store, swallowed, renewal, lost, client }
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.ways.iter().map(|way| ("127.0.0.1", way.bytes.addr().port()))
    }

    /// Whose link it is.
    pub(crate) fn belongs_to(&self, client: Arc<dyn Lock>) {
        *self.client.lock().unwrap() = Some(client);
    }

    pub(crate) fn lose_notifications(&self, lose: bool) {
        let rules = self.ways.iter().filter(|_| lose);
        let rules = rules.map(|way| way.calls.black_hole_replies(WATCH)).collect();
        *self.lost.lock().unwrap() = rules;
    }

    /// How many events the members have sent: their other messages say that a watch began or ended.
    pub(crate) fn notifications(&self) -> usize {
        let events = self.ways.iter().map(|way| {
            let all = way.calls.messages_to_client(WATCH);
            all.saturating_sub(way.calls.messages_to_server(WATCH))
        });
        usize::try_from(events.sum::<u64>()).unwrap()
    }
}

#[async_trait]
impl LinkFaults for Link {
    async fn cut(&self) {
        self.ways.iter().for_each(|way| way.bytes.cut());
    }

    async fn restore(&self) {
        self.ways.iter().for_each(|way| way.bytes.restore());
    }

    async fn delay(&self, request: Duration, reply: Duration) {
        self.ways.iter().for_each(|way| way.bytes.delay(request, reply));
    }

    async fn swallow_reply(&self, step: Step) {
        let path = match step {
            // Each is one transaction, and the next one.
            Step::Acquire | Step::Release => "KV/Txn",
            _ => {
                let rules = self.ways.iter().map(|way| way.calls.black_hole_replies(KEEP_ALIVE));
                *self.renewal.lock().unwrap() = rules.collect();
                return;
            }
        };
        // The connection goes on and this one call never ends, which is harder than an end.
        let swallow = |way: &Way| way.calls.swallow_reply_then(Swallow::ThenSilence, path, 1);
        let swallowed: Swallowed = Arc::new(self.ways.iter().map(swallow).collect());
        self.swallowed.lock().unwrap().push(swallowed.clone());
        // One reply is to be lost, not one of each member.
        tokio::spawn(async move {
            let landed = swallowed.iter().map(|reply| Box::pin(reply.landed(PATIENCE)));
            select_all(landed).await;
            swallowed.iter().for_each(ReplySwallow::disarm);
        });
    }

    async fn has_landed(&self) -> bool {
        let mut renewal = self.renewal.lock().unwrap();
        if renewal.iter().any(|rule| rule.hits() > 0) {
            renewal.clear();
        }
        let has_landed = |swallowed: &Swallowed| swallowed.iter().any(ReplySwallow::has_landed);
        renewal.is_empty() && self.swallowed.lock().unwrap().iter().all(has_landed)
    }

    async fn refuse(&self, refuse: bool) {
        self.ways.iter().for_each(|way| way.bytes.refuse(refuse));
        if !refuse {
            return;
        }
        self.ways.iter().for_each(|way| way.bytes.reset());
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
        let server = self.store.any();
        let there = server.leases().await;
        let granted = self.ways.iter().flat_map(|way| way.calls.kept_requests(GRANT));
        for lease in granted.map(|granted| lease(&granted)) {
            if there.contains(&lease) {
                server.revoke_lease(lease).await;
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

/// A fault that does not land in this time is found to be missing by its case.
const PATIENCE: Duration = Duration::from_secs(600);
const GRANT: &str = "Lease/LeaseGrant";
const KEEP_ALIVE: &str = "Lease/LeaseKeepAlive";
const WATCH: &str = "Watch/Watch";
