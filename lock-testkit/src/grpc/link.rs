//! One connection of a client, and the one to the server that belongs to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::{client, server};
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};

use super::call::{self, Over};
use super::shared::{Counted, Shared, Ticket};

/// Passes the calls of `client` until either end is gone.
pub(super) async fn run(client: TcpStream, shared: Arc<Shared>) {
    let counted = Counted::new(&shared);
    let mut resets = shared.resets();
    let Ok(server) = TcpStream::connect(shared.target()).await else {
        reset(SockRef::from(&client));
        return;
    };
    let streams = [&client, &server];
    for stream in streams {
        // A proxy adds the delays it is told to, and no other. It fails for a dead socket only.
        let _ = stream.set_nodelay(true);
    }
    // The connections of HTTP/2 do not give their sockets back.
    let twins: Vec<Socket> =
        streams.iter().filter_map(|stream| SockRef::from(stream).try_clone().ok()).collect();
    let cut = tokio::select! {
        () = pass(client, server, &shared, counted) => false,
        _ = resets.changed() => true,
    };
    if cut {
        twins.iter().for_each(|twin| reset(SockRef::from(twin)));
    }
}

async fn pass(client: TcpStream, server: TcpStream, shared: &Arc<Shared>, counted: Counted) {
    let Ok((upstream, mut to_server)) = to_server(server).await else { return };
    let broken = watch::Sender::new(false);
    // The connection to the client is the first to be dropped, hence the last here: it must not
    // tell of the ends of its streams what they look like when everything is taken down.
    let (mut remains, mut unanswered, mut calls) = (Vec::new(), Vec::new(), JoinSet::new());
    let down = tokio::select! {
        down = to_client(client) => down,
        _ = &mut to_server => return,
    };
    let Ok(mut down) = down else { return };
    let client_gone = loop {
        tokio::select! {
            accepted = down.accept() => {
                let Some(Ok((request, respond))) = accepted else { break true };
                let ticket = Ticket::new(shared, request.uri().path());
                let (upstream, broken) = (upstream.clone(), broken.subscribe());
                calls.spawn(call::run(request, respond, upstream, ticket, broken));
            }
            _ = &mut to_server => break false,
            Some(over) = calls.join_next() => match over {
                Ok(Over::Cut(cut)) => {
                    remains.push(cut);
                    flush(&mut down).await;
                    return;
                }
                Ok(Over::Broken(broken)) => remains.push(broken),
                Ok(Over::Refused) => down.graceful_shutdown(),
                Ok(Over::Done) | Err(_) => {}
            },
        }
    };
    if client_gone {
        drop((down, counted));
        // What is held back is applied when it is released, though nobody waits for the answer.
        while !calls.is_empty() {
            tokio::select! {
                _ = calls.join_next() => {}
                _ = &mut to_server => return,
            }
        }
        // Tells the server of the last that was cancelled.
        tokio::select! {
            biased;
            _ = &mut to_server => {}
            () = yield_now() => {}
        }
        return;
    }
    // What the server has said before it died goes through first.
    broken.send_replace(true);
    loop {
        tokio::select! {
            over = calls.join_next() => match over {
                Some(Ok(Over::Broken(broken) | Over::Cut(broken))) => remains.push(broken),
                Some(_) => {}
                None => break,
            },
            accepted = down.accept() => match accepted {
                Some(Ok(late)) => unanswered.push(late),
                Some(Err(_)) | None => return,
            },
        }
    }
    flush(&mut down).await;
}

type ToServer = (client::SendRequest<Bytes>, client::Connection<TcpStream>);
type ToClient = server::Connection<TcpStream, Bytes>;

async fn to_server(stream: TcpStream) -> Result<ToServer, h2::Error> {
    client::Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_reset_streams(MANY)
        .handshake(stream)
        .await
}

async fn to_client(stream: TcpStream) -> Result<ToClient, h2::Error> {
    server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Clients of tests give up often, and that is no attack.
        .max_concurrent_reset_streams(MANY)
        .max_pending_accept_reset_streams(MANY)
        .max_local_error_reset_streams(None)
        .handshake(stream)
        .await
}

/// Sends what is ready to be sent.
async fn flush(down: &mut ToClient) {
    tokio::select! {
        biased;
        _ = down.accept() => {}
        () = yield_now() => {}
    }
}

fn reset(socket: SockRef<'_>) {
    // It fails for a dead socket only.
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// Less than the servers' defaults would make large answers slower than without a proxy.
const WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const MANY: usize = 100_000;
