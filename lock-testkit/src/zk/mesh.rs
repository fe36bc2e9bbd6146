//! The ways between the members of an ensemble.
//!
//! Every member knows every other by the same address, and tells others its own, so an address
//! cannot tell who comes along. But Java asks a SOCKS proxy for each connection it opens, and each
//! member has a proxy of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::proxy::Proxy;

/// A SOCKS proxy for each member, and behind it one for each way to another.
#[derive(Debug)]
pub(crate) struct Mesh {
    sources: Vec<Source>,
    _stop: oneshot::Sender<()>,
}

/// Where a member listens for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) quorum: SocketAddr,
    pub(crate) election: SocketAddr,
}

/// The ways to one member.
#[derive(Debug)]
struct Ways {
    ends: Ends,
    quorum: Proxy,
    election: Proxy,
}

#[derive(Debug)]
struct Source {
    socks: SocketAddr,
    /// To each member, also to itself.
    ways: Vec<Ways>,
}

impl Mesh {
    pub(crate) async fn start(members: Vec<Ends>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (reply, sources) = oneshot::channel();
        // A thread of its own: a test that blocks must not cut its ensemble into pieces.
        let work = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let mut running = JoinSet::new();
                let mut sources = Vec::new();
                for _ in &members {
                    sources.push(Source::start(&members, &mut running).await);
                }
                // Whoever asked may be gone, and then `stopped` says so too.
                let _ = reply.send(sources);
                let _ = stopped.await;
            });
        };
        thread::Builder::new().name("mesh".to_owned()).spawn(work).expect("a thread starts");
        let sources = sources.await.expect("the ways between members are made");
        Self { sources, _stop: stop }
    }

    /// The SOCKS proxy of the member `from`.
    pub(crate) fn socks(&self, from: usize) -> SocketAddr {
        self.sources[from].socks
    }

    /// The connections that `from` opens to follow `to`.
    pub(crate) fn quorum(&self, from: usize, to: usize) -> &Proxy {
        &self.sources[from].ways[to].quorum
    }

    /// The connections that `from` opens to elect a leader with `to`.
    pub(crate) fn election(&self, from: usize, to: usize) -> &Proxy {
        &self.sources[from].ways[to].election
    }
}

impl Source {
    async fn start(members: &[Ends], running: &mut JoinSet<()>) -> Self {
        let mut ways = Vec::new();
        for ends in members {
            let quorum = Proxy::start(ends.quorum).await;
            let election = Proxy::start(ends.election).await;
            ways.push(Ways { ends: *ends, quorum, election });
        }
        let routes = |way: &Ways| {
            [(way.ends.quorum, way.quorum.addr()), (way.ends.election, way.election.addr())]
        };
        let routes: Vec<_> = ways.iter().flat_map(routes).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let socks = listener.local_addr().expect("a listener has an address");
        running.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                open.spawn(tunnel(client, routes.clone()));
            }
        });
        Self { socks, ways }
    }
}

/// What SOCKS 5 asks for, until either end closes. Errors are told by closing.
async fn tunnel(mut client: TcpStream, routes: Vec<(SocketAddr, SocketAddr)>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let [_version, methods] = read(&mut client).await?;
    client.read_exact(&mut vec![0; usize::from(methods)]).await?;
    // Anybody may come.
    client.write_all(&[5, 0]).await?;
    let [_version, _command, _, kind] = read(&mut client).await?;
    if kind != IPV4 {
        return client.write_all(&[5, 8, 0, IPV4, 0, 0, 0, 0, 0, 0]).await;
    }
    let address: [u8; 4] = read(&mut client).await?;
    let target = SocketAddr::from((address, client.read_u16().await?));
    let Some((_, way)) = routes.iter().find(|(end, _)| *end == target) else {
        return client.write_all(&[5, 4, 0, IPV4, 0, 0, 0, 0, 0, 0]).await;
    };
    let mut link = TcpStream::connect(*way).await?;
    link.set_nodelay(true)?;
    client.write_all(&[5, 0, 0, IPV4, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut link).await?;
    Ok(())
}

async fn read<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The kind of an address.
const IPV4: u8 = 1;
