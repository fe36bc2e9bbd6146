//! One connection through a proxy.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::faults::{Faults, Way};
use super::pump::Pump;
use super::rule::Rules;
use super::traffic::Protocol;

/// What the links of a proxy share with it.
pub(super) struct Shared {
    pub(super) protocol: Protocol,
    faults: watch::Sender<Faults>,
    rules: Mutex<Rules>,
    connections: AtomicUsize,
}

impl Shared {
    pub(super) fn new(faults: watch::Sender<Faults>, protocol: Protocol) -> Self {
        Self { protocol, faults, rules: Mutex::default(), connections: AtomicUsize::new(0) }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(change);
    }

    pub(super) fn faults(&self) -> watch::Ref<'_, Faults> {
        self.faults.borrow()
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns when the links were told to end after `before`, and how.
    async fn told_to_end(&self, before: &Faults) -> End {
        let told =
            |faults: &Faults| (faults.resets, faults.closes) != (before.resets, before.closes);
        self.until(told).await;
        if self.faults().resets == before.resets { End::Closed } else { End::Reset }
    }

    /// Returns when this holds of the faults.
    pub(super) async fn until(&self, condition: impl FnMut(&Faults) -> bool) {
        // The sender is a part of `self`, so waiting cannot fail.
        let _ = self.faults.subscribe().wait_for(condition).await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("protocol", &self.protocol)
            .field("faults", &*self.faults())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both ends are told that it is over.
    Closed,
    /// By `RST`.
    Reset,
    /// Nobody is told anything.
    Silent,
}

/// Passes what comes from `client` until the link ends. It is the link of this `number`.
pub(super) async fn run(mut client: TcpStream, shared: Arc<Shared>, number: usize) {
    let counted = Counted::new(&shared);
    let before = shared.faults().clone();
    if before.refuse {
        return reset(&client);
    }
    let mut server = None;
    let mut end = tokio::select! {
        end = pass(&mut client, &mut server, &shared, number) => end,
        end = shared.told_to_end(&before) => end,
    };
    if end == End::Silent {
        end = tokio::select! {
            () = listen_in_vain(&mut client) => End::Closed,
            end = shared.told_to_end(&before) => end,
        };
    }
    if end == End::Reset {
        reset(&client);
        server.iter().for_each(reset);
        return;
    }
    drop((server, counted));
    // Bytes that nobody has read would turn the end into a reset: so it is told first, and what the
    // client still says is read until it goes.
    if client.shutdown().await.is_ok() {
        tokio::select! {
            () = listen_in_vain(&mut client) => {}
            () = shared.until(|faults| faults.resets != before.resets) => reset(&client),
        }
    }
}

async fn pass(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
    number: usize,
) -> End {
    // The server must not see a connection that the network has not let through.
    shared.until(|faults| !faults.request.stalled).await;
    let target = shared.faults().target;
    let Ok(connected) = TcpStream::connect(target).await else { return End::Reset };
    let server = server.insert(connected);
    for stream in [&*client, &*server] {
        // A proxy adds the delays it is told to, and no other. It fails for a dead socket only.
        let _ = stream.set_nodelay(true);
    }

    let traffic = Mutex::new(shared.protocol.traffic());
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let request = Pump::new(Way::Request, shared, &traffic, number);
    let reply = Pump::new(Way::Reply, shared, &traffic, number);
    let both = tokio::try_join!(
        request.run(client_read, server_write),
        reply.run(server_read, client_write),
    );
    both.err().unwrap_or(End::Closed)
}

/// Reads what the client says until it gives up.
async fn listen_in_vain(client: &mut TcpStream) {
    let mut lost = [0; 1024];
    while matches!(client.read(&mut lost).await, Ok(1..)) {}
}

fn reset(stream: &TcpStream) {
    // It fails for a dead socket only.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(&shared.connections)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
