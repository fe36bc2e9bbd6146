//! What a case works with.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use lockcore::{
    BootInstant, ErrorKind, Inspection, Lease, LockName, Mode, Renewal, Request, Result, Ttl,
};

use crate::cancel::ByHand;
use crate::harness::{Client, Harness, LinkFaults};
use crate::history::{Belief, History};
use crate::time::{eventually, patience, pause, scaled, soon};

/// A store for one case, its clients, and what cases say often.
pub struct Stage {
    harness: Box<dyn AnyHarness>,
    clients: Mutex<Vec<Client>>,
    name: LockName,
}

/// A harness behind a pointer.
pub(crate) use any::AnyHarness;

mod any {
    use async_trait::async_trait;

    use super::{Client, Duration, Harness, Ttl};

    /// [`Harness`] without what belongs to the type.
    #[async_trait]
    pub(crate) trait AnyHarness: Send + Sync {
        async fn client(&self, max_waiters: Option<usize>) -> Client;
        async fn records(&self) -> usize;
        fn short_ttl(&self) -> Ttl;
        fn slack(&self) -> Duration;
        async fn restart(&self);
        async fn lose_data(&self);
        async fn revoke(&self, name: &str);
        async fn lose_notifications(&self, lose: bool);
        async fn notifications(&self) -> usize;
    }

    #[async_trait]
    impl<H: Harness> AnyHarness for H {
        async fn client(&self, max_waiters: Option<usize>) -> Client {
            match max_waiters {
                Some(max_waiters) => self.client_with_waiters(max_waiters).await,
                None => Harness::client(self).await,
            }
        }

        async fn records(&self) -> usize {
            Harness::records(self).await
        }

        fn short_ttl(&self) -> Ttl {
            Harness::short_ttl(self)
        }

        fn slack(&self) -> Duration {
            Harness::slack(self)
        }

        async fn restart(&self) {
            Harness::restart(self).await;
        }

        async fn lose_data(&self) {
            Harness::lose_data(self).await;
        }

        async fn revoke(&self, name: &str) {
            Harness::revoke(self, name).await;
        }

        async fn lose_notifications(&self, lose: bool) {
            Harness::lose_notifications(self, lose).await;
        }

        async fn notifications(&self) -> usize {
            Harness::notifications(self).await
        }
    }
}

impl Stage {
    pub(crate) fn new(harness: Box<dyn AnyHarness>, case: &str) -> Self {
        let name = LockName::new(format!("{case}/{:016x}", fastrand::u64(..)));
        Self {
            harness,
            clients: Mutex::default(),
            name: name.expect("BUG: cases have short names"),
        }
    }

    /// A new client.
    pub async fn client(&self) -> Client {
        self.enter(self.harness.client(None).await)
    }

    /// A new client that lets at most so many wait for a name.
    pub async fn client_with_waiters(&self, max_waiters: usize) -> Client {
        self.enter(self.harness.client(Some(max_waiters)).await)
    }

    fn enter(&self, client: Client) -> Client {
        self.clients.lock().expect("no case panics here").push(client.clone());
        client
    }

    /// A new client, and its link.
    pub async fn client_on_a_link(&self) -> (Client, std::sync::Arc<dyn LinkFaults>) {
        let client = self.client().await;
        let link = client.link.clone();
        (client, link.expect("the harness has no links: opt out of the case and say why"))
    }

    /// The name that this case is about.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.name
    }

    /// A request for the case's name, with a TTL that does not end during the case.
    #[must_use]
    pub fn request(&self, mode: Mode) -> Request {
        self.request_for(&self.name, mode)
    }

    /// A request for `name`, with a TTL that does not end during the case.
    #[must_use]
    pub fn request_for(&self, name: &LockName, mode: Mode) -> Request {
        // So long that what was forgotten does not end in time to be overlooked.
        let ttl = Ttl::new(patience() * 3);
        let request = Request::new(name.clone(), mode).with_ttl(ttl.unwrap_or(Ttl::MAX));
        request.expect("BUG: no renewal is set yet")
    }

    /// A request alone, with a TTL that does not end during the case.
    #[must_use]
    pub fn exclusive(&self) -> Request {
        self.request(Mode::Exclusive)
    }

    /// A request alone that ends soon.
    #[must_use]
    pub fn brief(&self, renewal: Renewal) -> Request {
        let request = Request::new(self.name.clone(), Mode::Exclusive).with_ttl(self.short_ttl());
        let request = request.and_then(|request| request.with_renewal(renewal));
        request.expect("a renewal that fits the short TTL")
    }

    /// The TTL of [`Stage::brief`].
    #[must_use]
    pub fn short_ttl(&self) -> Ttl {
        let ttl = scaled(self.harness.short_ttl().as_duration());
        Ttl::new(ttl).expect("a short TTL is in range at every scale")
    }

    /// How late the store, this machine and the engine's pace may be in noticing that a TTL is
    /// over.
    #[must_use]
    pub fn slack(&self) -> Duration {
        scaled(self.harness.slack())
    }

    /// The store, to be broken.
    pub(crate) fn harness(&self) -> &dyn AnyHarness {
        &*self.harness
    }

    /// Takes a lock that must be free.
    pub async fn take(&self, client: &Client, request: &Request) -> Box<dyn Lease> {
        let lease = soon("a free lock is granted", client.lock.try_lock(request)).await;
        lease.expect("a free lock is granted").expect("a free lock is not busy")
    }

    /// Takes a lock whose turn comes.
    pub async fn wait(&self, client: &Client, request: &Request) -> Box<dyn Lease> {
        let lease = soon("the turn of a waiter comes", client.lock.lock(request)).await;
        lease.expect("the turn of a waiter comes")
    }

    /// Waits in a task of its own.
    pub fn spawn_wait(
        &self,
        client: &Client,
        request: &Request,
    ) -> tokio::task::JoinHandle<Result<Box<dyn Lease>>> {
        let (lock, request) = (client.lock.clone(), request.clone());
        tokio::spawn(async move { lock.lock(&request).await })
    }

    /// Whether a `try_lock` finds it busy.
    pub async fn is_busy(&self, client: &Client, request: &Request) -> bool {
        soon("try_lock returns", client.lock.try_lock(request)).await.expect("try_lock").is_none()
    }

    /// Gives a lock back that is held.
    pub async fn give_back(&self, lease: Box<dyn Lease>) {
        soon("a release returns", lease.release()).await.expect("a held lock can be released");
    }

    /// Sees that `lease` is held, and that the store knows of nobody beside it.
    pub async fn holds_alone(&self, client: &Client, lease: &dyn Lease) {
        assert!(lease.is_held());
        let picture = self.inspect(client).await;
        let holders: Vec<_> = picture.holders().iter().map(lockcore::Claim::token).collect();
        assert_eq!(holders, [Some(lease.token())], "it does not hold alone");
    }

    /// Holders and waiters of the case's name. A store that is too busy to tell is asked again.
    pub async fn inspect(&self, client: &Client) -> Inspection {
        let told = async {
            loop {
                match client.lock.inspect(&self.name).await {
                    Err(error) if error.is_transient() => pause(Duration::from_millis(20)).await,
                    told => return told,
                }
            }
        };
        soon("inspect returns", told).await.expect("the store can be asked")
    }

    /// Waits until so many wait for the case's name.
    pub async fn queue_has(&self, client: &Client, waiters: usize) {
        let what = format!("{waiters} wait");
        eventually(&what, || async { self.inspect(client).await.waiters().len() == waiters }).await;
    }

    /// Polls `waiter` until it stands in the queue, as the last of so many, and knows it.
    pub async fn queue_by_hand<F: Future>(
        &self,
        client: &Client,
        waiter: &mut ByHand<F>,
        waiters: usize,
    ) {
        let what = format!("{waiters} wait");
        let mut poll = || assert!(waiter.poll().is_pending(), "granted while it is held");
        eventually(&what, || {
            poll();
            async { self.inspect(client).await.waiters().len() == waiters }
        })
        .await;
        poll();
    }

    /// Waits until nobody holds the case's name or waits for it.
    pub async fn is_free(&self, client: &Client) {
        eventually("nobody holds it or waits", || async { self.inspect(client).await.is_free() })
            .await;
    }

    /// Waits until the store has no record of ours.
    pub async fn nothing_is_left(&self) {
        eventually("the store has no record", || async { self.harness.records().await == 0 }).await;
    }

    /// Holds the lock over `work`, and notes what was believed.
    pub async fn believe<F: Future<Output = ()>>(
        &self,
        history: &History,
        mode: Mode,
        lease: Box<dyn Lease>,
        work: impl FnOnce() -> F,
    ) {
        let (from, token) = (BootInstant::now(), lease.token());
        work().await;
        let to = BootInstant::now().min(lease.deadline());
        // A lease that was lost while it worked believed until then at the most.
        if from < to {
            history.note(Belief { mode, token, from, to });
        }
        match lease.release().await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotHeld, "{error}"),
        }
    }

    /// After a case: ends all clients, and sees that nothing is left.
    pub(crate) async fn tear_down(self) {
        let clients = std::mem::take(&mut *self.clients.lock().expect("no case panics here"));
        for client in &clients {
            if let Some(link) = &client.link {
                link.restore().await;
                link.delay(Duration::ZERO, Duration::ZERO).await;
                link.refuse(false).await;
            }
            soon("a client shuts down", client.lock.shutdown()).await.expect("shutdown");
        }
        self.nothing_is_left().await;
    }
}

/// A semaphore's mode.
#[must_use]
pub fn permit(of: u32) -> Mode {
    Mode::Permit { of: NonZeroU32::new(of).expect("a semaphore has permits") }
}
