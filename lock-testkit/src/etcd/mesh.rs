//! The ways between the members of a cluster.
//!
//! Every member knows every other by the same address, so an address cannot tell who comes along.
//! But a member asks an HTTP proxy for a tunnel to each of them, and each has a proxy of its own.
//! The addresses are of the range for documentation, where nothing is: Go connects to those of the
//! loopback without a proxy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::proxy::Proxy;

/// A proxy for each member, and behind it one for each way to another.
#[derive(Debug)]
pub(crate) struct Mesh {
    sources: Vec<Source>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Source {
    tunnels: SocketAddr,
    /// To each member, also to itself.
    links: Vec<Proxy>,
}

impl Mesh {
    /// Ways between members that listen for their peers there.
    pub(crate) async fn start(peers: Vec<SocketAddr>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (reply, sources) = oneshot::channel();
        // A thread of its own: a test that blocks must not cut its cluster into pieces.
        let work = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let mut running = JoinSet::new();
                let mut sources = Vec::new();
                for _ in &peers {
                    sources.push(Source::start(&peers, &mut running).await);
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

    /// How all know the member `index`.
    pub(crate) fn url(index: usize) -> String {
        format!("https://{}", advertised(index))
    }

    /// The HTTP proxy of the member `from`.
    pub(crate) fn proxy_url(&self, from: usize) -> String {
        format!("http://{}", self.sources[from].tunnels)
    }

    /// The connections that `from` opens to `to`.
    pub(crate) fn link(&self, from: usize, to: usize) -> &Proxy {
        &self.sources[from].links[to]
    }
}

impl Source {
    async fn start(peers: &[SocketAddr], running: &mut JoinSet<()>) -> Self {
        let mut links = Vec::new();
        for peer in peers {
            links.push(Proxy::start(*peer).await);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let tunnels = listener.local_addr().expect("a listener has an address");
        let ways: Vec<_> = links.iter().map(Proxy::addr).collect();
        running.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                open.spawn(tunnel(client, ways.clone()));
            }
        });
        Self { tunnels, links }
    }
}

/// What `CONNECT` asks for, until either end closes. Errors are told by closing.
async fn tunnel(mut client: TcpStream, ways: Vec<SocketAddr>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::new();
    // Nothing else comes before the answer.
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let index = (0..ways.len()).find(|index| target == Some(&advertised(*index)));
    let Some(index) = index else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    };
    let mut link = TcpStream::connect(ways[index]).await?;
    link.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut link).await?;
    Ok(())
}

fn advertised(index: usize) -> String {
    format!("192.0.2.{}:2380", index + 1)
}
