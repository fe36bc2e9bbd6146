//! The protocol of Redis, as little of it as is needed to look into a server from outside.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

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

/// A frame of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `*`, a list.
    Array(Vec<Value>),
    /// `(`, a number beyond 64 bits, in digits.
    BigNumber(String),
    /// `#`, true or false.
    Bool(bool),
    /// `$` or `=`, a string; a verbatim string without its format.
    Bulk(Bytes),
    /// `,`, a floating number.
    Double(f64),
    /// `-` or `!`, an error, with its code.
    Error(String),
    /// `:`, a number.
    Int(i64),
    /// `%`, pairs in the server's order.
    Map(Vec<(Value, Value)>),
    /// `_`, or an absent string or list of RESP2.
    Null,
    /// `>`, a notification.
    Push(Vec<Value>),
    /// `~`, a list without order.
    Set(Vec<Value>),
    /// `+`, a short string.
    Simple(String),
}

impl Value {
    /// The text of a string, short or long, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Simple(text) | Self::BigNumber(text) => Some(text),
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The members of a list, a set or a notification.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Self::Array(members) | Self::Push(members) | Self::Set(members) => Some(members),
            _ => None,
        }
    }

    /// The message of an error.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(message) => Some(message),
            _ => None,
        }
    }

    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The value that stands behind `name` in a map, or in a list of names and values, as RESP2
    /// has it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(pairs) => {
                pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
            }
            Self::Array(members) => {
                members.chunks_exact(2).find(|p| p[0].as_str() == Some(name)).map(|p| &p[1])
            }
            _ => None,
        }
    }
}

/// A command in the form in which a client sends it.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Bytes {
    let mut frame = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        frame.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        frame.extend_from_slice(argument);
        frame.extend_from_slice(b"\r\n");
    }
    frame.into()
}

/// The first frame of `bytes` with its length in bytes, or `None` when it is not yet whole.
///
/// Attributes (`|`) belong to the frame that follows them, and are left out of its value.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when it is not RESP.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(Value, usize)>> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.value()?.map(|value| (value, reader.at)))
}

/// The first command of `bytes` with its length in bytes, or `None` when it is not yet whole.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when it is not a command.
pub fn parse_command(bytes: &[u8]) -> io::Result<Option<(Vec<Bytes>, usize)>> {
    let mut reader = Reader { bytes, at: 0 };
    if bytes.first() != Some(&b'*') {
        let words = |line: &[u8]| {
            line.split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
                .map(Bytes::copy_from_slice)
                .collect()
        };
        return Ok(reader.line().map(words).map(|words| (words, reader.at)));
    }
    let Some(Value::Array(members)) = reader.value()? else { return Ok(None) };
    let words = members.into_iter().map(|member| match member {
        Value::Bulk(word) => Ok(word),
        other => Err(malformed(format!("{other:?} in a command"))),
    });
    Ok(Some((words.collect::<io::Result<_>>()?, reader.at)))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> io::Result<Option<Value>> {
        let Some(line) = self.line() else { return Ok(None) };
        let Some((&kind, rest)) = line.split_first() else {
            return Err(malformed("an empty line".to_owned()));
        };
        let text = String::from_utf8_lossy(rest).into_owned();
        Ok(Some(match kind {
            b'+' => Value::Simple(text),
            b'-' => Value::Error(text),
            b':' => Value::Int(number(&text)?),
            b'(' => Value::BigNumber(text),
            b',' => Value::Double(number(&text)?),
            b'#' => Value::Bool(text == "t"),
            b'_' => Value::Null,
            b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                let Ok(length) = usize::try_from(number::<i64>(&text)?) else {
                    return Ok(Some(Value::Null));
                };
                return self.sized(kind, length);
            }
            other => return Err(malformed(format!("a frame of kind {:?}", char::from(other)))),
        }))
    }

    fn sized(&mut self, kind: u8, length: usize) -> io::Result<Option<Value>> {
        let members = if kind == b'%' || kind == b'|' { length * 2 } else { length };
        Ok(match kind {
            b'$' => self.string(length).map(Value::Bulk),
            b'=' => self.string(length).map(|text| Value::Bulk(text.slice(4.min(length)..))),
            b'!' => self
                .string(length)
                .map(|text| Value::Error(String::from_utf8_lossy(&text).into_owned())),
            b'*' => self.members(members)?.map(Value::Array),
            b'~' => self.members(members)?.map(Value::Set),
            b'>' => self.members(members)?.map(Value::Push),
            b'%' => self.members(members)?.map(|list| {
                let mut list = list.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (list.next(), list.next()) {
                    pairs.push((key, value));
                }
                Value::Map(pairs)
            }),
            _ => match self.members(members)? {
                Some(_) => self.value()?,
                None => None,
            },
        })
    }

    fn members(&mut self, count: usize) -> io::Result<Option<Vec<Value>>> {
        let mut members = Vec::new();
        for _ in 0..count {
            let Some(member) = self.value()? else { return Ok(None) };
            members.push(member);
        }
        Ok(Some(members))
    }

    fn string(&mut self, length: usize) -> Option<Bytes> {
        let end = self.at + length;
        // Two more for the line's end.
        if self.bytes.len() < end + 2 {
            return None;
        }
        let text = Bytes::copy_from_slice(&self.bytes[self.at..end]);
        self.at = end + 2;
        Some(text)
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

async fn deadline<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(DEADLINE, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing within {} s", DEADLINE.as_secs()),
        )),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| malformed(format!("{text:?} for a number")))
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP: {what}"))
}

fn printable<A: AsRef<[u8]>>(arguments: &[A]) -> String {
    let words = arguments.iter().map(|word| String::from_utf8_lossy(word.as_ref()));
    words.collect::<Vec<_>>().join(" ")
}

const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &[u8] = b"*13\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,1.5\r\n(99\r\n=7\r\ntxt:abc\r\n%1\r\n+k\r\n~1\r\n:1\r\n>2\r\n+message\r\n!5\r\nERR x\r\n";

    #[test]
    fn every_kind_of_frame_is_read() {
        let (value, length) = parse(EVERYTHING).unwrap().unwrap();
        assert_eq!(length, EVERYTHING.len());
        let members = value.as_slice().unwrap();
        assert_eq!(members[0].as_str(), Some("OK"));
        assert_eq!(members[1].as_error(), Some("ERR no"));
        assert_eq!(members[2].as_int(), Some(-7));
        assert_eq!(members[3], Value::Bulk(Bytes::from_static(b"a\r\n")));
        assert!(members[4].is_null() && members[5].is_null() && members[6].is_null());
        assert_eq!(members[7], Value::Bool(true));
        assert_eq!(members[8], Value::Double(1.5));
        assert_eq!(members[9], Value::BigNumber("99".to_owned()));
        assert_eq!(members[10].as_str(), Some("abc"));
        assert_eq!(members[11].field("k"), Some(&Value::Set(vec![Value::Int(1)])));
        assert!(matches!(&members[12], Value::Push(list) if list[1].as_error() == Some("ERR x")));
    }

    #[test]
    fn part_of_a_frame_is_not_a_frame() {
        for end in 0..EVERYTHING.len() {
            assert_eq!(parse(&EVERYTHING[..end]).unwrap(), None, "the first {end} bytes");
        }
        let command = encode(&["SET", "key", "a\r\nb"]);
        for end in 0..command.len() {
            assert_eq!(parse_command(&command[..end]).unwrap(), None, "the first {end} bytes");
        }
    }

    #[test]
    fn commands_are_read_as_sent() {
        let mut bytes = encode(&["SET", "key", "a\r\nb"]).to_vec();
        let length = bytes.len();
        bytes.extend_from_slice(b"PING  hello\r\n");
        let (words, first) = parse_command(&bytes).unwrap().unwrap();
        assert_eq!((words.join(&b' '), first), (b"SET key a\r\nb".to_vec(), length));
        let (words, second) = parse_command(&bytes[first..]).unwrap().unwrap();
        assert_eq!((words.join(&b' '), first + second), (b"PING hello".to_vec(), bytes.len()));
    }

    #[test]
    fn other_bytes_are_refused() {
        for foul in [&b"HTTP/1.1\r\n"[..], b":x\r\n", b"\r\n", b"$x\r\n"] {
            assert!(parse(foul).is_err(), "{foul:?}");
        }
        assert!(parse_command(b"*1\r\n:1\r\n").is_err());
    }

    #[test]
    fn attributes_belong_to_what_follows() {
        let bytes = b"|1\r\n+ttl\r\n:3\r\n+OK\r\n";
        assert_eq!(parse(bytes).unwrap(), Some((Value::Simple("OK".to_owned()), bytes.len())));
    }
}
