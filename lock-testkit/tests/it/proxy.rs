//! Faults of bytes, in front of a server that says everything again.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lock_testkit::{Proxy, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test]
async fn bytes_pass_both_ways() {
    let proxy = Proxy::start(echo("").await).await;
    let mut client = connect(&proxy).await;
    let long: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut read, mut write) = client.split();
    let mut back = vec![0; long.len()];
    let (sent, received) = tokio::join!(write.write_all(&long), read.read_exact(&mut back));
    sent.unwrap();
    received.unwrap();
    assert_eq!(back, long);
    assert_eq!(proxy.connections(), 1);

    write.shutdown().await.unwrap();
    assert_eq!(read.read(&mut back).await.unwrap(), 0);
    drop(client);
    no_connections(&proxy).await;
}

#[tokio::test]
async fn delays_count_for_each_direction_and_do_not_add_up() {
    let proxy = Proxy::start(echo("").await).await;
    let mut client = connect(&proxy).await;
    proxy.delay(DELAY, Duration::ZERO);
    assert!(round_trip(&mut client).await >= DELAY);
    proxy.delay(Duration::ZERO, DELAY);
    assert!(round_trip(&mut client).await >= DELAY);
    proxy.delay(DELAY, DELAY);
    assert!(round_trip(&mut client).await >= 2 * DELAY);

    // Many are on their way at once.
    let start = Instant::now();
    for _ in 0..20 {
        client.write_all(b"x").await.unwrap();
        client.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    client.read_exact(&mut [0; 20]).await.unwrap();
    assert!(start.elapsed() < 20 * DELAY, "{:?}", start.elapsed());

    proxy.delay(Duration::ZERO, Duration::ZERO);
    // What was delayed before is through with the last of these.
    let soon = async { while round_trip(&mut client).await >= DELAY {} };
    tokio::time::timeout(PATIENCE, soon).await.unwrap();
}

#[tokio::test]
async fn jitter_keeps_the_order() {
    let proxy = Proxy::start(echo("").await).await;
    proxy.jitter(Duration::from_millis(5));
    let mut client = connect(&proxy).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        slowest = slowest.max(round_trip(&mut client).await);
    }
    assert!(slowest > Duration::from_millis(2), "{slowest:?}");
    for number in 0..100_u8 {
        client.write_all(&[number]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut back = [0; 100];
    client.read_exact(&mut back).await.unwrap();
    assert!(back.is_sorted(), "{back:?}");
}

#[tokio::test]
async fn bytes_come_one_by_one() {
    let proxy = Proxy::start(echo("").await).await;
    let mut client = connect(&proxy).await;
    for (on, expected) in [(true, 10..=500), (false, 1..=2)] {
        proxy.one_byte_chunks(on);
        client.write_all(&[7; 500]).await.unwrap();
        let (mut reads, mut length) = (0, 0);
        while length < 500 {
            length += client.read(&mut [0; 500]).await.unwrap();
            reads += 1;
        }
        assert!(expected.contains(&reads), "{reads} reads");
        assert_eq!(length, 500);
    }
}

#[tokio::test]
async fn a_cut_keeps_everything() {
    let proxy = Proxy::start(echo("").await).await;
    let mut client = connect(&proxy).await;
    round_trip(&mut client).await;
    proxy.cut();
    client.write_all(b"late").await.unwrap();
    silent(&mut client).await;
    // One that comes meanwhile waits too, and so does the end of one.
    let mut second = connect(&proxy).await;
    second.write_all(b"late").await.unwrap();
    second.shutdown().await.unwrap();
    silent(&mut second).await;
    proxy.restore();
    for client in [&mut client, &mut second] {
        for expected in b"late" {
            assert_eq!(byte(client).await, *expected);
        }
    }
    assert!(is_closed(&mut second).await);
}

#[tokio::test]
async fn the_server_does_not_see_a_connection_that_was_cut() {
    let (server, mut heard) = listener().await;
    let proxy = Proxy::start(server).await;
    proxy.cut();
    let _client = connect(&proxy).await;
    assert!(timeout(DELAY, heard.recv()).await.is_err());
    proxy.restore();
    assert!(timeout(PATIENCE, heard.recv()).await.unwrap().is_some());
}

#[tokio::test]
async fn one_direction_stalls_alone() {
    let (server, mut heard) = listener().await;
    let proxy = Proxy::start(server).await;
    let mut client = connect(&proxy).await;
    let mut server = heard.recv().await.unwrap();
    proxy.stall(true, false);
    client.write_all(b"c").await.unwrap();
    server.write_all(b"s").await.unwrap();
    assert_eq!(byte(&mut client).await, b's');
    silent(&mut server).await;
    proxy.stall(false, true);
    assert_eq!(byte(&mut server).await, b'c');
    server.write_all(b"t").await.unwrap();
    silent(&mut client).await;
    proxy.restore();
    assert_eq!(byte(&mut client).await, b't');
}

#[tokio::test]
async fn a_black_hole_loses_for_ever() {
    let proxy = Proxy::start(echo("").await).await;
    for (request, reply) in [(true, false), (false, true)] {
        let mut client = connect(&proxy).await;
        round_trip(&mut client).await;
        proxy.black_hole(request, reply);
        client.write_all(b"lost").await.unwrap();
        silent(&mut client).await;
        proxy.black_hole(false, false);
        client.write_all(b"lost too").await.unwrap();
        silent(&mut client).await;
        round_trip(&mut connect(&proxy).await).await;
    }
}

#[tokio::test]
async fn a_reset_is_seen_at_both_ends() {
    let (server, mut heard) = listener().await;
    let proxy = Proxy::start(server).await;
    let mut client = connect(&proxy).await;
    let mut server = heard.recv().await.unwrap();
    proxy.reset();
    for stream in [&mut client, &mut server] {
        let error = read(stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    no_connections(&proxy).await;
    let mut second = connect(&proxy).await;
    second.write_all(b"x").await.unwrap();
    assert_eq!(byte(&mut heard.recv().await.unwrap()).await, b'x');
}

#[tokio::test]
async fn connections_are_refused_and_the_port_is_kept() {
    let proxy = Proxy::start(echo("").await).await;
    let mut old = connect(&proxy).await;
    round_trip(&mut old).await;
    proxy.refuse(true);
    let mut refused = connect(&proxy).await;
    assert!(is_closed(&mut refused).await);
    round_trip(&mut old).await;
    proxy.refuse(false);
    round_trip(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn a_new_target_is_for_new_connections() {
    let proxy = Proxy::start(echo("1").await).await;
    let mut old = connect(&proxy).await;
    assert_eq!(byte(&mut old).await, b'1');
    proxy.set_target(echo("2").await);
    assert_eq!(byte(&mut connect(&proxy).await).await, b'2');
    round_trip(&mut old).await;
}

#[tokio::test]
async fn a_dead_target_resets_its_clients() {
    let gone = lock_testkit::Port::claim();
    let proxy = Proxy::start(gone.addr()).await;
    assert!(is_closed(&mut connect(&proxy).await).await);
}

#[tokio::test]
async fn a_dropped_proxy_leaves_nothing() {
    let (server, mut heard) = listener().await;
    let proxy = Proxy::start(server).await;
    let addr = proxy.addr();
    let mut client = connect(&proxy).await;
    let mut server = heard.recv().await.unwrap();
    drop(proxy);
    for stream in [&mut client, &mut server] {
        assert!(is_closed(stream).await);
    }
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
#[should_panic(expected = "Proxy::resp")]
async fn bytes_have_no_commands() {
    let proxy = Proxy::start(echo("").await).await;
    let _handle = proxy.swallow_reply(|_| true);
}

/// A server that says `greeting`, and then everything that it hears.
async fn echo(greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.set_nodelay(true).unwrap();
                stream.write_all(greeting.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    addr
}

/// A server whose connections are the test's.
async fn listener() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    (addr, heard)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn round_trip(client: &mut TcpStream) -> Duration {
    let start = Instant::now();
    client.write_all(b"x").await.unwrap();
    assert_eq!(byte(client).await, b'x');
    start.elapsed()
}

async fn byte(stream: &mut TcpStream) -> u8 {
    timeout(PATIENCE, stream.read_u8()).await.expect("a byte comes").unwrap()
}

async fn read(stream: &mut TcpStream) -> std::io::Result<usize> {
    timeout(PATIENCE, stream.read(&mut [0])).await.expect("the end comes")
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(read(stream).await, Ok(0) | Err(_))
}

async fn silent(stream: &mut TcpStream) {
    assert!(timeout(DELAY, stream.read_u8()).await.is_err(), "something passed");
}

async fn no_connections(proxy: &Proxy) {
    eventually("the end of the connections", PATIENCE, || async {
        (proxy.connections() == 0).then_some(())
    })
    .await;
}

const DELAY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);
