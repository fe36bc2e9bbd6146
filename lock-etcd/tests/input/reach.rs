//! Servers that are not there, or not what they should be.

use std::net::SocketAddr;
use std::time::Duration;

use lock_conformance::time::{eventually, scaled, soon};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, EtcdVersion, Flavour, Port, Proxy, RedisOptions};
use lockcore::ErrorKind::{Indeterminate, InvalidConfig, Unavailable};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{CANARY, at, connect, fails, fails_within, queue, quick, says, server, turn};

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let port = Port::claim();
    for config in with_and_without_login([("127.0.0.1", port.number())]) {
        let limit = Duration::from_millis(500);
        let error = fails_within(limit, "a closed port", config.connect()).await;
        says(&error, Unavailable, &["connect", "is the server up"]);
    }
}

#[tokio::test]
async fn a_host_without_a_name_is_told_in_time() {
    for config in with_and_without_login([("no-such-host.invalid", 2379)]) {
        let error = fails("a name that nobody has", config.connect()).await;
        says(&error, Unavailable, &["connect", "name", "is it right"]);
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_one_is_refused() {
    for host in
        ["", "a b", "a/b", "http://a", "a\n", "[::1", "w:c4nary-7f31e9@a", "c4nary-7f31e9@a"]
    {
        let config = EtcdConfig::new([(host, 2379)]).login("worker", CANARY);
        says(&fails(host, config.connect()).await, InvalidConfig, &["connect", "host"]);
    }
    let nobody = EtcdConfig::new(std::iter::empty::<(&str, u16)>());
    says(&fails("nobody", nobody.connect()).await, InvalidConfig, &["connect", "endpoint"]);
}

#[tokio::test]
async fn a_silent_server_is_told_in_time() {
    let server = server().await;
    let proxy = Proxy::start(server.addr()).await;
    proxy.cut();
    let configs = with_and_without_login([("127.0.0.1", proxy.addr().port())]);
    let [one, other] = configs.map(|config| fails("a silent port", config.connect()));
    let (one, other) = tokio::join!(one, other);
    says(&one, Unavailable, &["connect", "in time"]);
    says(&other, Unavailable, &["connect", "in time"]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_told_in_time() {
    let server = server().await;
    let proxy = Proxy::start(server.addr()).await;
    let config = EtcdConfig::new([("127.0.0.1", proxy.addr().port())]);
    let locks = connect(config.request_timeout(Duration::from_millis(300)).unwrap()).await;
    let held = locks.mutex("held").unwrap().lock().await.unwrap();
    proxy.black_hole(true, true);
    let limit = Duration::from_millis(1_500);
    let error = fails_within(limit, "a look", locks.inspect("silent")).await;
    assert!(error.is_transient(), "{error:?}");
    let mutex = locks.mutex("silent").unwrap();
    let error = fails_within(limit, "a lock", mutex.try_lock()).await;
    assert!([Indeterminate, Unavailable].contains(&error.kind()), "{error:?}");
    assert_eq!(error.may_hold_until().is_some(), error.kind() == Indeterminate, "{error:?}");
    let error = fails_within(limit, "a renewal", held.renew()).await;
    assert!(error.is_transient() && held.is_held(), "{error:?}");
}

#[tokio::test]
async fn what_speaks_something_else_is_told() {
    let redis = RedisOptions::new(Flavour::Redis).start().await;
    let closing = speaker(b"").await;
    let web = speaker(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let garbage = speaker(&[0xff; 4_000]).await;
    for addr in [redis.addr(), closing, web, garbage] {
        for config in with_and_without_login([("127.0.0.1", addr.port())]) {
            let error = fails(&format!("not an etcd: {addr}"), config.connect()).await;
            says(&error, Unavailable, &["connect", "etcd's port for clients"]);
        }
    }
}

#[tokio::test]
async fn the_port_for_peers_is_told() {
    let server = server().await;
    for config in with_and_without_login([("127.0.0.1", port_for_peers(&server))]) {
        let error = fails("the port for peers", config.connect()).await;
        says(&error, Unavailable, &["connect", "etcd's port for clients"]);
    }
}

/// Servers of 3.4 answer clients there too.
#[tokio::test]
async fn the_port_for_peers_of_an_old_server_is_as_good_as_the_other() {
    let server = quick(EtcdVersion::V3_4).start().await;
    let config = EtcdConfig::new([("127.0.0.1", port_for_peers(&server))]);
    let held = connect(config).await.mutex("peer").unwrap().lock().await.unwrap();
    let queued = queue(&connect(at(&server)).await, "peer").await;
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
}

#[tokio::test]
async fn members_that_are_gone_silent_or_full_are_passed_over() {
    let server = server().await;
    let refused = Port::claim();
    let silent = Proxy::start(server.addr()).await;
    silent.cut();
    let full = Full::start().await;
    let own = server.port();
    for dead in [refused.number(), silent.addr().port(), full.addr.port()] {
        // Which one is asked first is chosen at random.
        for members in [vec![dead, own], vec![dead, own, own], vec![own, dead], vec![dead, own]] {
            let members = members.into_iter().map(|port| ("127.0.0.1", port));
            let config = EtcdConfig::new(members);
            let locks = connect(config.request_timeout(Duration::from_secs(1)).unwrap()).await;
            let mutex = locks.mutex("cycle").unwrap();
            for _ in 0..50 {
                mutex.lock().await.unwrap().release().await.unwrap();
            }
            locks.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_member_that_falls_silent_costs_one_request() {
    let server = server().await;
    let addr = server.addr();
    let proxies = [Proxy::start(addr).await, Proxy::start(addr).await, Proxy::start(addr).await];
    let (mut used, limit) = ([false; 3], scaled(Duration::from_millis(500)));
    // Which one is asked first is chosen at random.
    while used != [true; 3] {
        let members = proxies.each_ref().map(|proxy| ("127.0.0.1", proxy.addr().port()));
        let locks = connect(EtcdConfig::new(members).request_timeout(limit).unwrap()).await;
        let mutex = locks.mutex("silent").unwrap();
        mutex.lock().await.unwrap().release().await.unwrap();
        let first = proxies.iter().position(|proxy| proxy.connections() > 0).unwrap();
        proxies[first].cut();
        // This one may have been heard.
        let error = fails("a look", locks.inspect("silent")).await;
        assert!(error.is_transient(), "{error:?}");
        let next = tokio::time::timeout(limit, mutex.lock()).await;
        next.expect("from another member").unwrap().release().await.unwrap();
        soon("its end", locks.shutdown()).await.unwrap();
        proxies[first].restore();
        eventually("nobody is there", async || {
            proxies.iter().all(|proxy| proxy.connections() == 0)
        })
        .await;
        used[first] = true;
    }
}

#[tokio::test]
async fn members_that_are_all_gone_are_told_in_time() {
    let server = server().await;
    let ports = [Port::claim(), Port::claim(), Port::claim()];
    let silent = Proxy::start(server.addr()).await;
    silent.cut();
    let full = Full::start().await;
    let refused = || ports.each_ref().map(|port| ("127.0.0.1", port.number()));
    for config in with_and_without_login(refused()) {
        let error = fails_within(Duration::from_secs(1), "three closed ports", config.connect());
        says(&error.await, Unavailable, &["connect", "is the server up"]);
    }
    let mixed = [ports[0].number(), full.addr.port(), silent.addr().port()];
    for config in with_and_without_login(mixed.map(|port| ("127.0.0.1", port))) {
        let config = config.request_timeout(Duration::from_millis(500)).unwrap();
        // For each of them a request, and the head starts before it.
        let limit = Duration::from_millis(3 * (500 + 2 * 150) + 500);
        let error = fails_within(limit, "nobody who answers", config.connect()).await;
        says(&error, Unavailable, &["connect"]);
    }
}

#[tokio::test]
async fn a_client_outlives_all_its_members() {
    let server = server().await;
    let locks = connect(at(&server)).await;
    let mutex = locks.mutex("again").unwrap();
    mutex.lock().await.unwrap().release().await.unwrap();
    server.kill();
    // What was sent when the connection broke may be unknown, and is not after that.
    let _ = soon("the first to notice", mutex.try_lock()).await;
    says(&fails("nobody", mutex.try_lock()).await, Unavailable, &["try_lock", "is the server up"]);
    says(&fails("nobody", locks.inspect("again")).await, Unavailable, &["inspect"]);
    server.restart().await;
    soon("the server is back", mutex.lock()).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn an_address_of_version_6_is_spoken_to_with_and_without_brackets() {
    let server = server().await;
    let gate = TcpListener::bind("[::1]:0").await.unwrap();
    let (port, target) = (gate.local_addr().unwrap().port(), server.addr());
    let passing = tokio::spawn(async move {
        while let Ok((mut from, _)) = gate.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(target).await.unwrap();
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    for host in ["::1", "[::1]"] {
        let locks = connect(EtcdConfig::new([(host, port)])).await;
        locks.mutex("six").unwrap().lock().await.unwrap().release().await.unwrap();
    }
    passing.abort();
}

fn with_and_without_login<const N: usize>(endpoints: [(&str, u16); N]) -> [EtcdConfig; 2] {
    let config = EtcdConfig::new(endpoints);
    [config.clone(), config.login("worker", CANARY)]
}

/// As it says in its log.
fn port_for_peers(server: &Etcd) -> u16 {
    let logs = server.logs();
    let (_, port) = logs.split_once("\"listen-peer-urls\":[\"http://127.0.0.1:").unwrap();
    port.split_once('"').unwrap().0.parse().unwrap()
}

/// Says the same to everybody who comes, and hangs up.
async fn speaker(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever has hung up before does not matter.
            let _ = stream.write_all(words).await;
        }
    });
    addr
}

/// A port whose queue is full: who wants to connect is not answered at all.
struct Full {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Full {
    async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(addr)).await {
            queued.push(stream.unwrap());
        }
        Self { addr, _listener: listener, _queued: queued }
    }
}
