//! The two ends of a link of ZooKeeper, made by hand.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_testkit::Proxy;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What the server has heard.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    heard: Arc<Mutex<Vec<i32>>>,
    handshakes: Arc<Mutex<usize>>,
}

impl Server {
    pub(crate) fn has(&self, xid: i32) -> bool {
        self.heard.lock().unwrap().contains(&xid)
    }

    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    pub(crate) fn handshakes(&self) -> usize {
        *self.handshakes.lock().unwrap()
    }

    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        read_frame(&mut stream).await?;
        *self.handshakes.lock().unwrap() += 1;
        stream.write_all(&frame(&[0; 37])).await?;
        loop {
            let request = read_frame(&mut stream).await?;
            let (xid, code) = (int(&request, 0), int(&request, 4));
            self.heard.lock().unwrap().push(xid);
            if code == 2 {
                let event = [header(NOTIFICATION, 0), number(2), number(3), text("/a")].concat();
                stream.write_all(&frame(&event)).await?;
            }
            let error = if code == 77 { -6 } else { 0 };
            stream.write_all(&frame(&header(xid, error))).await?;
        }
    }
}

pub(crate) async fn start() -> (Server, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server { addr, heard: Arc::default(), handshakes: Arc::default() };
    let serving = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serving.clone().serve(stream));
        }
    });
    (server, Proxy::zk(addr).await)
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn open(proxy: &Proxy) -> Self {
        let mut client = Self::connect(proxy).await;
        client.write(&handshake(0)).await;
        assert_eq!(client.read().await.unwrap().len(), 37);
        client
    }

    /// Without a session.
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) async fn call(&mut self, xid: i32, request: &[u8]) {
        self.send(xid, request).await;
        let mut answer = self.xid().await;
        if answer == NOTIFICATION {
            answer = self.xid().await;
        }
        assert_eq!(answer, xid);
    }

    pub(crate) async fn send(&mut self, xid: i32, request: &[u8]) {
        self.write(&[&number(xid)[..], request].concat()).await;
    }

    pub(crate) async fn write(&mut self, body: &[u8]) {
        self.bytes(&frame(body)).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn xid(&mut self) -> i32 {
        int(&self.read().await.unwrap(), 0)
    }

    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        timeout(PATIENCE, read_frame(&mut self.0)).await.expect("a frame or the end comes")
    }

    pub(crate) async fn end(&mut self) -> ErrorKind {
        self.read().await.unwrap_err().kind()
    }

    pub(crate) async fn silent(&mut self) {
        assert!(timeout(2 * SHORT, self.0.read_u8()).await.is_err(), "something passed");
    }
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_i32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&number(i32::try_from(body.len()).unwrap())[..], body].concat()
}

fn header(xid: i32, error: i32) -> Vec<u8> {
    [number(xid), vec![0; 8], number(error)].concat()
}

pub(crate) fn handshake(session: i64) -> Vec<u8> {
    [&[0; 16][..], &session.to_be_bytes(), &number(0), &[0]].concat()
}

pub(crate) fn create(path: &str, mode: i32) -> Vec<u8> {
    let acl = [number(1), number(31), text("world"), text("anyone")].concat();
    [number(15), text(path), text("data"), acl, number(mode)].concat()
}

pub(crate) fn delete(path: &str) -> Vec<u8> {
    [number(2), text(path), number(-1)].concat()
}

pub(crate) fn exists(path: &str) -> Vec<u8> {
    [number(3), text(path), vec![1]].concat()
}

/// Deletes all of these.
pub(crate) fn multi(paths: &[&str]) -> Vec<u8> {
    let member = |path: &&str| [number(2), vec![0], number(-1), text(path), number(-1)].concat();
    let members: Vec<_> = paths.iter().flat_map(member).collect();
    [number(14), members, number(-1), vec![1], number(-1)].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&number(i32::try_from(text.len()).unwrap())[..], text.as_bytes()].concat()
}

pub(crate) fn number(number: i32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) const NOTIFICATION: i32 = -1;
pub(crate) const PING: i32 = -2;
pub(crate) const PING_CODE: i32 = 11;
pub(crate) const SHORT: Duration = Duration::from_millis(30);
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
