//! The way between one client and its server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::time::eventually;
use lock_conformance::{LinkFaults, Step};
use lock_testkit::{Etcd, Proxy};
use lockcore::{ErrorKind, Lock, LockName};

#[derive(Debug)]
pub(crate) struct Link {
    proxy: Proxy,
    server: Arc<Etcd>,
    client: Mutex<Option<Arc<dyn Lock>>>,
}

impl Link {
    pub(crate) async fn to(server: Arc<Etcd>) -> Self {
        Self { proxy: Proxy::start(server.addr()).await, server, client: Mutex::default() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.proxy.addr().port()
    }

    /// Whose link it is.
    pub(crate) fn belongs_to(&self, client: Arc<dyn Lock>) {
        *self.client.lock().unwrap() = Some(client);
    }

    pub(crate) fn lose_notifications(&self, _lose: bool) {}
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

    async fn swallow_reply(&self, _wanted: Step) {}

    async fn has_landed(&self) -> bool {
        true
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
        for lease in self.server.leases().await {
            self.server.revoke_lease(lease).await;
        }
    }
}
