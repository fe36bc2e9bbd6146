//! Servers that answer what no server should.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// What answers of a protocol look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Where in some answers something is carried, behind lengths and kinds that stay as they are.
    pub carried: fn(&[u8]) -> Vec<Range<usize>>,
    /// Takes out of spoiled answers what a client is known not to survive.
    pub tame: fn(&mut [u8]),
}

/// A server of garbage, or a way to a real one that spoils its answers.
///
/// It runs on the runtime in which it was started. When it is dropped, its port is closed and all
/// its connections end.
#[derive(Debug)]
pub struct Hostile {
    addr: SocketAddr,
    spoiled: Arc<AtomicU64>,
    accept: JoinHandle<()>,
}

impl Hostile {
    /// Answers whatever it hears, and sometimes speaks first: with what `answer` makes, whole, in
    /// part or byte by byte; and hangs up, or is silent.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn server(
        seed: u64,
        answer: impl Fn(&mut Rng) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::start(seed, move |client, mut dice, spoiled| {
            let answer = answer.clone();
            async move {
                let mut heard = [0; 4096];
                let mut client = client;
                if dice.u8(..4) > 0 && !matches!(client.read(&mut heard).await, Ok(1..)) {
                    return;
                }
                loop {
                    spoiled.fetch_add(1, Relaxed);
                    let mut bytes = answer(&mut dice);
                    if dice.u8(..8) == 0 {
                        bytes.truncate(dice.usize(..=bytes.len()));
                    }
                    if !say(&mut client, &bytes, &mut dice).await {
                        return;
                    }
                    if !matches!(client.read(&mut heard).await, Ok(1..)) {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Passes what clients say to `target`, and its answers to them: the first bytes of a connection
    /// as they are, and then mostly spoiled. Bytes change, go, come or come twice; lengths become
    /// huge; an answer is that to something else, late, or the last one. On every other connection
    /// only what the protocol carries is spoiled, so that it goes on.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn relay(target: SocketAddr, seed: u64, shape: Shape) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        Self::start(seed, move |client, dice, spoiled| {
            let said = said.clone();
            async move {
                let Ok(server) = TcpStream::connect(target).await else { return };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                let mut spoiler = Spoiler { dice, spoiled, said, shape };
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    () = spoiler.run(from_server, to_client) => {}
                }
            }
        })
        .await
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many answers were garbage, or were spoiled.
    pub fn spoiled(&self) -> u64 {
        self.spoiled.load(Relaxed)
    }

    async fn start<F>(
        seed: u64,
        mut serve: impl FnMut(TcpStream, Rng, Arc<AtomicU64>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a listener has an address");
        let spoiled = Arc::new(AtomicU64::new(0));
        let count = spoiled.clone();
        let accept = tokio::spawn(async move {
            let mut links = JoinSet::new();
            for number in 0.. {
                let accepted = loop {
                    tokio::select! {
                        accepted = listener.accept() => break accepted,
                        Some(_) = links.join_next() => {}
                    }
                };
                // The client may be gone already.
                let Ok((client, _)) = accepted else { continue };
                let dice = Rng::with_seed(seed.wrapping_add(number));
                links.spawn(serve(client, dice, count.clone()));
            }
        });
        Self { addr, spoiled, accept }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Its connections are a part of the task, and end with it.
        self.accept.abort();
    }
}

/// Spoils the answers of one connection.
struct Spoiler {
    dice: Rng,
    spoiled: Arc<AtomicU64>,
    /// What servers have said, on all connections.
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    shape: Shape,
}

impl Spoiler {
    async fn run(&mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut whole = match self.dice.u8(..8) {
            0 => self.dice.usize(..64),
            1 => self.dice.usize(..512),
            _ => self.dice.usize(..8_192),
        };
        let is_gentle = self.dice.bool();
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            let mut bytes = chunk[..length].to_vec();
            self.keep(&bytes);
            if whole >= length {
                whole -= length;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                continue;
            }
            let ends = if is_gentle {
                self.spoil_carried(&mut bytes);
                false
            } else {
                let mut spoilt = bytes.split_off(std::mem::take(&mut whole));
                let ends = self.spoil(&mut spoilt);
                bytes.append(&mut spoilt);
                ends
            };
            (self.shape.tame)(&mut bytes);
            if !say(&mut to, &bytes, &mut self.dice).await || ends {
                if self.dice.bool() {
                    // It fails for a dead socket only.
                    let _ = SockRef::from(to.as_ref()).set_linger(Some(Duration::ZERO));
                }
                return;
            }
        }
    }

    fn spoil_carried(&mut self, bytes: &mut [u8]) {
        let (carried, dice) = ((self.shape.carried)(bytes), &mut self.dice);
        let Some(carried) = dice.choice(carried).filter(|part| !part.is_empty()) else { return };
        if dice.u8(..4) == 0 {
            return;
        }
        self.spoiled.fetch_add(1, Relaxed);
        let bytes = &mut bytes[carried];
        let at = dice.usize(..bytes.len());
        let end = (at + dice.usize(1..=16)).min(bytes.len());
        match dice.u8(..6) {
            0 => bytes[at] ^= 1 << dice.u8(..8),
            1 => dice.fill(&mut bytes[at..end]),
            2 => bytes[at..end].fill([0, 0xff, 0x7f, b' ', b'9'][dice.usize(..5)]),
            3 => bytes.swap(at, end - 1),
            4 => dice.shuffle(&mut bytes[at..end]),
            _ => {
                for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                    *byte = b'0' + dice.u8(..10);
                }
            }
        }
    }

    /// Returns whether the connection ends with it.
    fn spoil(&mut self, bytes: &mut Vec<u8>) -> bool {
        let dice = &mut self.dice;
        if dice.u8(..4) == 0 || bytes.is_empty() {
            return false;
        }
        self.spoiled.fetch_add(1, Relaxed);
        let at = dice.usize(..bytes.len());
        let end = (at + dice.usize(1..=64)).min(bytes.len());
        match dice.u8(..12) {
            0 => bytes[at] ^= 1 << dice.u8(..8),
            1 => dice.fill(&mut bytes[at..end]),
            2 => {
                let huge = HUGE[dice.usize(..HUGE.len())];
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, huge.to_be_bytes());
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let more = crate::fuzz::bytes(dice, 64);
                bytes.splice(at..at, more);
            }
            5 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            6 | 7 => {
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                *bytes = said[dice.usize(..said.len())].clone();
            }
            8 => {
                // A number in text becomes another, or a huge one.
                for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                    if dice.u8(..4) == 0 {
                        *byte = b'0' + dice.u8(..10);
                    }
                }
                if let Some(at) = bytes.iter().position(u8::is_ascii_digit).filter(|_| dice.bool())
                {
                    bytes.splice(at..=at, *b"2147483647");
                }
            }
            9 => bytes.clear(),
            10 => {
                bytes.truncate(at);
                return true;
            }
            _ => {
                let other = dice.usize(..bytes.len());
                bytes.swap(at, other);
            }
        }
        false
    }

    fn keep(&mut self, bytes: &[u8]) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < KEPT {
            said.push(bytes.to_vec());
        } else {
            said[self.dice.usize(..KEPT)] = bytes.to_vec();
        }
    }
}

/// Mostly at once, sometimes byte by byte; returns whether the other end listens.
async fn say<W: AsyncWriteExt + Unpin>(to: &mut W, bytes: &[u8], dice: &mut Rng) -> bool {
    let (slow, rest) = match dice.u8(..16) {
        0 => bytes.split_at(bytes.len().min(24)),
        _ => bytes.split_at(0),
    };
    for byte in slow {
        if to.write_all(&[*byte]).await.is_err() {
            return false;
        }
        sleep(DRIP).await;
    }
    to.write_all(rest).await.is_ok()
}

const HUGE: [u32; 6] = [i32::MAX as u32, u32::MAX, 1 << 31, 0x7fff_fff0, 0x00ff_ffff, 0];
const KEPT: usize = 256;
const DRIP: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape =
        Shape { carried: |bytes| std::iter::once(0..bytes.len()).collect(), tame: |_| () };

    #[tokio::test]
    async fn a_relay_passes_what_clients_say_and_spoils_the_answers() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let relay = Hostile::relay(target, 7, SHAPE).await;
        let mut whole = 0;
        while whole == 0 || relay.spoiled() < 50 {
            let mut client = TcpStream::connect(relay.addr()).await.unwrap();
            for _ in 0..20 {
                client.write_all(&[b'x'; 400]).await.unwrap_or_default();
                let mut answer = [0; 400];
                let read = tokio::time::timeout(DRIP * 50, client.read_exact(&mut answer)).await;
                let Ok(Ok(_)) = read else { break };
                whole += usize::from(answer == [b'x'; 400]);
            }
        }
    }

    #[tokio::test]
    async fn a_server_of_garbage_answers_until_one_hangs_up() {
        let server = Hostile::server(7, |dice| crate::fuzz::bytes(dice, 9)).await;
        while server.spoiled() < 20 {
            let mut client = TcpStream::connect(server.addr()).await.unwrap();
            client.write_all(b"hello").await.unwrap();
            let _ = tokio::time::timeout(DRIP * 50, client.read(&mut [0; 9])).await;
        }
    }
}
