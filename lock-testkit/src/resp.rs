//! The protocol of Redis, as little of it as is needed to look into a server from outside.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub use self::frame::{Value, encode, parse, parse_command};

mod frame;

/// A connection of its own to a server, not through the client under test.
///
/// It speaks RESP2 until it is told `HELLO 3`. Every call has a deadline of ten seconds, so that a
/// test never hangs on it.
///
/// # Cancel safety
///
/// A dropped [`command`](Resp::command) may have been applied, and its reply is read by the next
/// call: drop the connection with it.
pub struct Resp {
    stream: Box<dyn Stream>,
    read: BytesMut,
}

impl Resp {
    /// Connects over TCP.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub async fn connect(addr: SocketAddr) -> Self {
        match Self::try_connect(addr).await {
            Ok(resp) => resp,
            Err(error) => panic!("no connection to {addr}: {error}"),
        }
    }

    /// Connects over TCP, or says why not.
    ///
    /// # Errors
    ///
    /// What the socket says, or [`io::ErrorKind::TimedOut`].
    pub async fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = deadline(TcpStream::connect(addr)).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Connects to a server's Unix socket, or says why not.
    ///
    /// # Errors
    ///
    /// What the socket says, or [`io::ErrorKind::TimedOut`].
    pub async fn try_connect_unix(path: &Path) -> io::Result<Self> {
        Ok(Self::over(deadline(UnixStream::connect(path)).await?))
    }

    /// Speaks over a stream that exists, of TLS for example.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), read: BytesMut::new() }
    }

    /// Sends a command and returns its reply, which may be a [`Value::Error`].
    ///
    /// # Panics
    ///
    /// When the connection breaks, or on no reply within ten seconds.
    pub async fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Value {
        match self.try_command(arguments).await {
            Ok(value) => value,
            Err(error) => panic!("no reply to {}: {error}", printable(arguments)),
        }
    }

    /// Sends a command and returns its reply, which may be a [`Value::Error`].
    ///
    /// # Errors
    ///
    /// What the socket says, [`io::ErrorKind::TimedOut`], or [`io::ErrorKind::InvalidData`] when
    /// the reply is not RESP.
    pub async fn try_command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Value> {
        self.send(arguments).await?;
        self.read().await
    }

    /// Sends a command and does not wait for its reply; [`read`](Resp::read) returns it.
    ///
    /// # Errors
    ///
    /// What the socket says, or [`io::ErrorKind::TimedOut`].
    pub async fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<()> {
        let frame = encode(arguments);
        deadline(self.stream.write_all(&frame)).await
    }

    /// The next frame that the server sends: a reply, or a notification.
    ///
    /// # Errors
    ///
    /// What the socket says, [`io::ErrorKind::TimedOut`], or [`io::ErrorKind::InvalidData`] when
    /// the frame is not RESP.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was read so far is kept for the next call.
    pub async fn read(&mut self) -> io::Result<Value> {
        deadline(async {
            loop {
                if let Some((value, length)) = parse(&self.read)? {
                    self.read.advance(length);
                    return Ok(value);
                }
                if self.stream.read_buf(&mut self.read).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        })
        .await
    }
}

impl std::fmt::Debug for Resp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resp").field("unread", &self.read.len()).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn deadline<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(DEADLINE, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing within {} s", DEADLINE.as_secs()),
        )),
    }
}

fn printable<A: AsRef<[u8]>>(arguments: &[A]) -> String {
    let words = arguments.iter().map(|word| String::from_utf8_lossy(word.as_ref()));
    words.collect::<Vec<_>>().join(" ")
}

const DEADLINE: Duration = Duration::from_secs(10);
