//! A client without any cleverness.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::wait::scaled;
use crate::zk::acl::{ZkAcl, ZkMode};
use crate::zk::error::{NO_NODE, SESSION_EXPIRED, ZkError};
use crate::zk::event::ZkEvent;
use crate::zk::jute::{Reader, Writer};
use crate::zk::stat::ZkStat;

/// A session with a server over one connection, by hand: it sends nothing by itself, also no pings,
/// and knows no second server. Its session lives on when this is dropped, until it times out.
///
/// Each method fails with what the server or the socket says, or when there is no reply within ten
/// seconds. Who does not wait for it does not know whether it was done, and cannot use the
/// connection any more.
#[derive(Debug)]
pub struct ZkClient {
    stream: TcpStream,
    session: i64,
    password: Vec<u8>,
    timeout: Duration,
    xid: i32,
    events: Vec<ZkEvent>,
}

impl ZkClient {
    /// Begins a session of so long a timeout; the server may choose another.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// There may be a session, until it times out.
    pub async fn connect(addr: SocketAddr, timeout: Duration) -> Result<Self, ZkError> {
        Self::open(TcpSocket::new_v4()?, addr, timeout, 0, &[0; 16]).await
    }

    /// Goes on with a session. The server closes the connection that had it.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// The session may have lost its connection.
    pub async fn reconnect(
        addr: SocketAddr,
        timeout: Duration,
        session: i64,
        password: &[u8],
    ) -> Result<Self, ZkError> {
        Self::open(TcpSocket::new_v4()?, addr, timeout, session, password).await
    }

    /// As [`connect`](ZkClient::connect) or [`reconnect`](ZkClient::reconnect), from the address
    /// that tells the kit from the clients under test.
    pub(crate) async fn of_kit(
        addr: SocketAddr,
        session: i64,
        password: &[u8],
    ) -> Result<Self, ZkError> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((KIT, 0).into())?;
        Self::open(socket, addr, KIT_TIMEOUT, session, password).await
    }

    async fn open(
        socket: TcpSocket,
        addr: SocketAddr,
        session_timeout: Duration,
        session: i64,
        password: &[u8],
    ) -> Result<Self, ZkError> {
        let wanted = i32::try_from(session_timeout.as_millis()).unwrap_or(i32::MAX);
        let hello = Writer::default().int(0).long(0).int(wanted).long(session).buffer(password);
        let hello = hello.boolean(false).frame();
        let begun = async {
            let mut stream = socket.connect(addr).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&hello).await?;
            let reply = receive(&mut stream).await?;
            let mut reader = Reader::new(&reply);
            let (_, granted) = (reader.int()?, reader.int()?);
            let (session, password) = (reader.long()?, reader.buffer()?.to_vec());
            if granted <= 0 {
                return Err(ZkError::of_server(SESSION_EXPIRED));
            }
            let timeout = Duration::from_millis(u64::from(granted.unsigned_abs()));
            Ok(Self { stream, session, password, timeout, xid: 0, events: Vec::new() })
        };
        timeout(scaled(REPLY), begun).await.unwrap_or_else(|_| Err(ZkError::late()))
    }

    /// The id of its session.
    pub fn session(&self) -> i64 {
        self.session
    }

    /// The password of its session.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// The timeout that the server has granted.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The watches that have fired, as far as the replies to its requests had them before.
    pub fn events(&self) -> &[ZkEvent] {
        &self.events
    }

    /// Tells the server that it is there.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn ping(&mut self) -> Result<(), ZkError> {
        self.exchange(PING_XID, PING, &[]).await.map(drop)
    }

    /// Becomes a user, or the superuser.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), ZkError> {
        let credentials = format!("{user}:{password}");
        let body = Writer::default().int(0).string("digest").string(&credentials).finish();
        self.exchange(AUTH_XID, AUTH, &body).await.map(drop)
    }

    /// Creates a node, and returns its path with the number, if it has one, and its transaction.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn create(
        &mut self,
        path: &str,
        data: &[u8],
        mode: ZkMode,
        acl: &[ZkAcl],
    ) -> Result<(String, ZkStat), ZkError> {
        let body = Writer::default().string(path).buffer(data);
        let body = ZkAcl::write_all(acl, body).int(mode.flags());
        let (operation, body) = match mode {
            ZkMode::Ttl(ttl) => {
                (CREATE_TTL, body.long(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)))
            }
            ZkMode::Container => (CREATE_CONTAINER, body),
            _ => (CREATE2, body),
        };
        let reply = self.request(operation, body).await?;
        let mut reader = Reader::new(&reply);
        Ok((reader.string()?, ZkStat::read(&mut reader)?))
    }

    /// Deletes a node of this version, or of any if it is -1.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn delete(&mut self, path: &str, version: i32) -> Result<(), ZkError> {
        self.request(DELETE, Writer::default().string(path).int(version)).await.map(drop)
    }

    /// What the server knows of a node, if there is one; with `watch`, it tells the next change.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn exists(&mut self, path: &str, watch: bool) -> Result<Option<ZkStat>, ZkError> {
        let body = Writer::default().string(path).boolean(watch);
        match self.request(EXISTS, body).await {
            Ok(reply) => ZkStat::read(&mut Reader::new(&reply)).map(Some),
            Err(error) if error.code() == Some(NO_NODE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The data of a node; with `watch`, the server tells the next change.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn data(&mut self, path: &str, watch: bool) -> Result<Vec<u8>, ZkError> {
        let reply = self.request(GET_DATA, Writer::default().string(path).boolean(watch)).await?;
        Reader::new(&reply).buffer().map(<[u8]>::to_vec)
    }

    /// Writes the data of a node of this version, or of any if it is -1.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn set_data(
        &mut self,
        path: &str,
        data: &[u8],
        version: i32,
    ) -> Result<ZkStat, ZkError> {
        let body = Writer::default().string(path).buffer(data).int(version);
        let reply = self.request(SET_DATA, body).await?;
        ZkStat::read(&mut Reader::new(&reply))
    }

    /// The names of the children of a node, in no order; with `watch`, the server tells the next
    /// change.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn children(&mut self, path: &str, watch: bool) -> Result<Vec<String>, ZkError> {
        let body = Writer::default().string(path).boolean(watch);
        let reply = self.request(GET_CHILDREN2, body).await?;
        Reader::new(&reply).vector(Reader::string)
    }

    /// Who may do what with a node.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn acl(&mut self, path: &str) -> Result<Vec<ZkAcl>, ZkError> {
        let reply = self.request(GET_ACL, Writer::default().string(path)).await?;
        Reader::new(&reply).vector(ZkAcl::read)
    }

    /// Says who may do what with a node.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn set_acl(&mut self, path: &str, acl: &[ZkAcl]) -> Result<(), ZkError> {
        let body = ZkAcl::write_all(acl, Writer::default().string(path)).int(-1);
        self.request(SET_ACL, body).await.map(drop)
    }

    /// Waits until this server has seen what its leader has.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn sync(&mut self) -> Result<(), ZkError> {
        self.request(SYNC, Writer::default().string("/")).await.map(drop)
    }

    /// Ends the session.
    ///
    /// # Errors
    ///
    /// See [`ZkClient`].
    ///
    /// # Cancel safety
    ///
    /// See [`ZkClient`].
    pub async fn close(mut self) -> Result<(), ZkError> {
        self.request(CLOSE, Writer::default()).await?;
        // Who closes first makes the server complain.
        let _ = timeout(scaled(REPLY), self.stream.read_u8()).await;
        Ok(())
    }

    async fn request(&mut self, operation: i32, body: Writer) -> Result<Vec<u8>, ZkError> {
        self.xid += 1;
        self.exchange(self.xid, operation, &body.finish()).await
    }

    async fn exchange(
        &mut self,
        xid: i32,
        operation: i32,
        body: &[u8],
    ) -> Result<Vec<u8>, ZkError> {
        let request = Writer::default().int(xid).int(operation).bytes(body).frame();
        let answered = async {
            self.stream.write_all(&request).await?;
            loop {
                let frame = receive(&mut self.stream).await?;
                let mut reader = Reader::new(&frame);
                let (of, _, code) = (reader.int()?, reader.long()?, reader.int()?);
                if of == EVENT_XID {
                    self.events.push(ZkEvent::read(&mut reader)?);
                } else if of != xid {
                    return Err(ZkError::garbled());
                } else if code != 0 {
                    return Err(ZkError::of_server(code));
                } else {
                    return Ok(reader.rest().to_vec());
                }
            }
        };
        timeout(scaled(REPLY), answered).await.unwrap_or_else(|_| Err(ZkError::late()))
    }
}

async fn receive(stream: &mut TcpStream) -> Result<Vec<u8>, ZkError> {
    let length = usize::try_from(stream.read_i32().await?).map_err(|_| ZkError::garbled())?;
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// The kit comes from an address of the loopback that no client comes from.
pub(crate) const KIT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const KIT_TIMEOUT: Duration = Duration::from_secs(10);
const REPLY: Duration = Duration::from_secs(10);
const EVENT_XID: i32 = -1;
const PING_XID: i32 = -2;
const AUTH_XID: i32 = -4;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const GET_ACL: i32 = 6;
const SET_ACL: i32 = 7;
const SYNC: i32 = 9;
const PING: i32 = 11;
const GET_CHILDREN2: i32 = 12;
const CREATE2: i32 = 15;
const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;
const AUTH: i32 = 100;
const CLOSE: i32 = -11;
