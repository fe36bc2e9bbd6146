//! Frames: what a server and its clients say to each other.

use std::io;

use bytes::Bytes;

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

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| malformed(format!("{text:?} for a number")))
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP: {what}"))
}

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
