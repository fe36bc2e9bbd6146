//! What a server tells by words of four letters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::wait::scaled;
use crate::zk::client::KIT;
use crate::zk::error::ZkError;
use crate::zk::server::Zk;

/// A session that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZkSession {
    /// Its id.
    pub id: i64,
    /// The timeout that was granted; unknown while it has no connection to this server.
    pub timeout: Option<Duration>,
    /// Where its client is; unknown while it has no connection to this server.
    pub client: Option<SocketAddr>,
    /// How many requests this connection has sent, with that for the session and pings.
    pub received: u64,
    /// How many replies and events it was sent.
    pub sent: u64,
    /// The nodes that go with it.
    pub ephemerals: Vec<String>,
}

/// What it tells of itself. Each panics when it does not reply within ten seconds.
impl Zk {
    /// What it answers to a word of four letters, as `ruok`.
    ///
    /// # Errors
    ///
    /// What the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays behind.
    pub async fn word(&self, word: &str) -> Result<String, ZkError> {
        ask(self.observer(), word, scaled(REPLY)).await
    }

    /// The sessions that live, in the order of their ids, without those of the kit.
    ///
    /// A member of an ensemble knows only of connections to itself, and one that does not lead only
    /// of sessions that are connected to it or have ephemeral nodes:
    /// [`ZkEnsemble::sessions`](crate::ZkEnsemble::sessions) knows all.
    pub async fn sessions(&self) -> Vec<ZkSession> {
        let (dump, connections) = (self.must_tell("dump").await, self.must_tell("cons").await);
        sessions(&dump, &connections)
    }

    /// The session of this id, if it lives.
    pub async fn session(&self, id: i64) -> Option<ZkSession> {
        self.sessions().await.into_iter().find(|session| session.id == id)
    }

    pub(crate) async fn must_tell(&self, word: &str) -> String {
        match self.word(word).await {
            Ok(reply) => reply,
            Err(error) => panic!("ZooKeeper at {}: {word}: {error}", self.addr()),
        }
    }
}

pub(crate) async fn ask(
    addr: SocketAddr,
    word: &str,
    patience: Duration,
) -> Result<String, ZkError> {
    let asked = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((KIT, 0).into())?;
        let mut stream = socket.connect(addr).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    timeout(patience, asked).await.unwrap_or_else(|_| Err(ZkError::late()))
}

pub(crate) fn sessions(dump: &str, connections: &str) -> Vec<ZkSession> {
    let mut found = BTreeMap::new();
    let mut owner = None;
    for line in dump.lines() {
        let word = line.trim();
        if let Some(id) = word.strip_suffix(':').and_then(id) {
            entry(&mut found, id);
            owner = Some(id);
        } else if let Some(id) = id(word) {
            entry(&mut found, id);
        } else if let (Some(owner), true) = (owner, word.starts_with('/')) {
            entry(&mut found, owner).ephemerals.push(word.to_owned());
        }
    }
    for line in connections.lines() {
        let Some(connection) = Connection::read(line) else { continue };
        if connection.client.ip() == KIT {
            found.remove(&connection.session);
        } else {
            let session = entry(&mut found, connection.session);
            session.timeout = connection.timeout;
            session.client = Some(connection.client);
            (session.received, session.sent) = (connection.received, connection.sent);
        }
    }
    found.into_values().collect()
}

fn entry(found: &mut BTreeMap<i64, ZkSession>, id: i64) -> &mut ZkSession {
    let new =
        ZkSession { id, timeout: None, client: None, received: 0, sent: 0, ephemerals: Vec::new() };
    found.entry(id).or_insert(new)
}

struct Connection {
    client: SocketAddr,
    session: i64,
    timeout: Option<Duration>,
    received: u64,
    sent: u64,
}

impl Connection {
    /// Of ` /127.0.0.1:4711[1](queued=0,recved=1,sent=1,sid=0x100…,lop=SESS,…,to=4000,…)`.
    fn read(line: &str) -> Option<Self> {
        let (client, rest) = line.trim().strip_prefix('/')?.split_once('[')?;
        let fields = rest.split_once('(')?.1.trim_end_matches(')');
        let field = |name| fields.split(',').find_map(|field| field.strip_prefix(name));
        let number = |name| field(name).and_then(|number| number.parse().ok());
        Some(Self {
            client: client.parse().ok()?,
            session: id(field("sid=")?)?,
            timeout: number("to=").map(Duration::from_millis),
            received: number("recved=").unwrap_or(0),
            sent: number("sent=").unwrap_or(0),
        })
    }
}

/// Of `0x…`, where a negative id has its two's complement.
pub(crate) fn id(word: &str) -> Option<i64> {
    let digits = word.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}

const REPLY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read() {
        let dump = "SessionTracker dump:\nSession Sets (2)/(3):\n\
            0 expire at Sat Nov 21 15:52:07 UTC 2026:\n2 expire at Sat Nov 21 15:52:08 UTC 2026:\n\
            \t0xa\n\t0xffffffffffffffff\n\t0xc\nephemeral nodes dump:\n\
            Sessions with Ephemerals (1):\n0xa:\n\t/b\n\t/a\nConnections dump:\n\
            3 expire at Sat Nov 21 15:52:14 UTC 2026:\n\tip: /127.0.0.1:1 sessionId: 0xa\n";
        let connections = " /127.0.0.1:1[1](queued=0,recved=3,sent=4,sid=0xa,lop=PING,to=4000)\n \
            /127.0.0.1:2[0](queued=0,recved=1,sent=0)\n \
            /127.0.0.2:3[1](queued=0,recved=1,sent=1,sid=0xc,lop=SESS,to=10000)\n";
        let found = sessions(dump, connections);
        let [away, here] = &found[..] else { panic!("{found:?}") };
        assert_eq!((away.id, away.client, away.timeout), (-1, None, None));
        assert_eq!((here.id, here.client), (10, Some(([127, 0, 0, 1], 1).into())));
        assert_eq!((here.timeout, here.received, here.sent), (Some(Duration::from_secs(4)), 3, 4));
        assert_eq!(here.ephemerals, ["/b", "/a"]);
    }
}
