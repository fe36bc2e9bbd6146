//! Faults of single requests of ZooKeeper, in front of a server that answers every one, and says
//! that a node was deleted before it does so.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use lock_testkit::{Frame, Proxy, Swallow, eventually, zk_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::zk_peer::{
    Client, NOTIFICATION, PATIENCE, PING, PING_CODE, SHORT, create, delete, exists, handshake,
    multi, number, start,
};

#[tokio::test]
async fn requests_pass_are_counted_and_recorded() {
    let (_server, proxy) = start().await;
    for on in [false, true] {
        proxy.one_byte_chunks(on);
        let mut client = Client::open(&proxy).await;
        client.call(1, &create("/a", 3)).await;
        client.call(2, &delete("/a")).await;
        // Sent together, and with a ping between them.
        client.send(3, &exists("/b")).await;
        client.send(PING, &number(11)).await;
        client.send(4, &number(77)).await;
        for xid in [3, PING, 4] {
            assert_eq!(client.xid().await, xid);
        }
    }
    let seen = proxy.requests_seen();
    let counts = ["connect", "create", "delete", "exists", "ping", "77"].map(|name| seen[name]);
    assert_eq!(counts, [2; 6]);
    let frames = proxy.record();
    let (first, second) = frames.split_at(frames.len() / 2);
    assert_eq!(first.len(), second.len());
    let texts: Vec<_> = first.iter().map(Frame::to_string).collect();
    assert_eq!(
        texts[..5].join("|"),
        "0> connect 0x0|0< connect 0x0|0> create /a EPHEMERAL_SEQUENTIAL|0< create|0> delete /a"
    );
    assert!(texts.contains(&"0! NodeDeleted /a".to_owned()), "{texts:?}");
    assert!(texts.contains(&"0> exists /b watch".to_owned()), "{texts:?}");
    assert!(texts.contains(&"0< 77 -6".to_owned()), "{texts:?}");
    assert!(second.iter().all(|frame| frame.connection == 1));
    assert!(first.is_sorted_by_key(|frame| frame.at));
    // The handshake, two calls, and two that were sent together unless the first was fast.
    assert!((4..=5).contains(&Frame::round_trips(first)), "{texts:?}");
    assert_eq!(proxy.notifications_seen().into_iter().collect::<Vec<_>>(), [(0, 1), (1, 1)]);

    proxy.clear_record();
    assert_eq!(proxy.record(), []);
}

#[tokio::test]
async fn a_swallowed_reply_was_applied_and_ends_the_connection() {
    let (server, proxy) = start().await;
    for (then, end) in [
        (Swallow::ThenCut, Some(ErrorKind::UnexpectedEof)),
        (Swallow::ThenReset, Some(ErrorKind::ConnectionReset)),
        (Swallow::ThenSilence, None),
    ] {
        let swallow = proxy.swallow_nth_reply(2, then, zk_request("create", "/lock"));
        let mut client = Client::open(&proxy).await;
        client.call(1, &create("/lock/1", 1)).await;
        client.call(2, &create("/other", 1)).await;
        assert!(!swallow.has_landed());

        // The replies before it come through, also when they are late; those behind it do not.
        proxy.delay(Duration::ZERO, SHORT);
        client.send(3, &exists("/lock")).await;
        client.send(4, &create("/lock/2", 1)).await;
        client.send(5, &exists("/lock")).await;
        assert_eq!(client.xid().await, 3);
        match end {
            Some(end) => assert_eq!(client.end().await, end, "{then:?}"),
            None => {
                client.send(6, &number(PING_CODE)).await;
                client.silent().await;
            }
        }
        swallow.landed(PATIENCE).await;
        assert!(server.has(4), "{then:?}");
        assert!(!server.has(6));
        proxy.delay(Duration::ZERO, Duration::ZERO);
        server.forget();
    }
    // It was for one each.
    let mut client = Client::open(&proxy).await;
    for xid in 1..4 {
        client.call(xid, &create("/lock", 0)).await;
    }
}

#[tokio::test]
async fn a_clean_end_is_clean_also_when_the_client_goes_on() {
    let (_server, proxy) = start().await;
    for turn in 0..20 {
        let mut client = Client::open(&proxy).await;
        let swallow = proxy.swallow_reply(zk_request("delete", ""));
        for xid in 0..50 {
            client.send(xid, &if xid == 20 { delete("/a") } else { exists("/a") }).await;
        }
        swallow.landed(PATIENCE).await;
        eventually("the end of the link", PATIENCE, || async {
            (proxy.connections() == 0).then_some(())
        })
        .await;
        // Behind what has been read, and into the void.
        client.send(51, &exists("/a")).await;
        let end = loop {
            if let Err(error) = client.read().await {
                break error.kind();
            }
        };
        assert_eq!(end, ErrorKind::UnexpectedEof, "turn {turn}");
    }
}

#[tokio::test]
async fn pings_can_be_all_that_is_answered() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenPings, zk_request("create", ""));
    let mut client = Client::open(&proxy).await;
    let mut other = Client::open(&proxy).await;
    client.send(1, &create("/a", 0)).await;
    client.send(2, &delete("/a")).await;
    client.send(PING, &number(PING_CODE)).await;
    assert_eq!(client.xid().await, PING);
    swallow.landed(PATIENCE).await;
    assert!(server.has(1) && server.has(2));

    // It was for one connection; this is for all.
    other.call(1, &exists("/a")).await;
    proxy.only_pings(true);
    other.send(2, &exists("/a")).await;
    other.send(PING, &number(PING_CODE)).await;
    assert_eq!(other.xid().await, PING);
    proxy.only_pings(false);
    other.send(3, &exists("/a")).await;
    other.send(PING, &number(PING_CODE)).await;
    assert_eq!(other.xid().await, PING);
    assert!(server.has(3));
    Client::open(&proxy).await.call(1, &exists("/a")).await;
}

#[tokio::test]
async fn a_held_request_is_applied_when_released() {
    let (server, proxy) = start().await;
    let hold = proxy.hold_requests(zk_request("create", "/lock"));
    let mut client = Client::open(&proxy).await;
    client.call(1, &create("/other", 0)).await;
    client.send(2, &create("/lock", 0)).await;
    client.send(PING, &number(PING_CODE)).await;
    hold.held(PATIENCE).await;
    client.silent().await;
    assert!(!server.has(2) && !server.has(PING));
    hold.release();
    assert_eq!(client.xid().await, 2);
    assert_eq!(client.xid().await, PING);
}

#[tokio::test]
async fn a_held_reply_was_applied_and_comes_when_released_or_never() {
    let (server, proxy) = start().await;
    for is_released in [true, false] {
        let hold = proxy.hold_replies(zk_request("create", "/lock"));
        let mut client = Client::open(&proxy).await;
        client.call(1, &create("/other", 0)).await;
        client.send(2, &create("/lock", 0)).await;
        client.send(PING, &number(PING_CODE)).await;
        hold.held(PATIENCE).await;
        client.silent().await;
        assert!(server.has(2));
        if is_released {
            hold.release();
            assert_eq!(client.xid().await, 2);
            assert_eq!(client.xid().await, PING);
        } else {
            hold.close();
            assert_eq!(client.end().await, ErrorKind::UnexpectedEof);
        }
    }
}

#[tokio::test]
async fn a_held_request_is_never_applied_when_its_connection_ends() {
    let (server, proxy) = start().await;
    for end in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset] {
        let hold = proxy.hold_requests(zk_request("multi", "/b"));
        let mut client = Client::open(&proxy).await;
        client.send(1, &exists("/a")).await;
        client.send(2, &multi(&["/a", "/b"])).await;
        client.send(3, &exists("/a")).await;
        assert_eq!(client.xid().await, 1);
        hold.held(PATIENCE).await;
        if end == ErrorKind::UnexpectedEof {
            hold.close();
        } else {
            hold.reset();
        }
        assert_eq!(client.end().await, end);
        // What comes behind it on another connection would come after it.
        let mut client = Client::open(&proxy).await;
        client.call(4, &multi(&["/b"])).await;
        assert!(!server.has(2) && !server.has(3));
    }
}

#[tokio::test]
async fn notifications_are_lost_and_replies_are_not() {
    let (_server, proxy) = start().await;
    let mut client = Client::open(&proxy).await;
    proxy.drop_notifications(true);
    client.call(1, &delete("/a")).await;
    assert_eq!(proxy.notifications_lost(), 1);
    assert!(proxy.notifications_seen().is_empty());
    proxy.drop_notifications(false);
    client.send(2, &delete("/a")).await;
    assert_eq!(client.xid().await, NOTIFICATION);
    assert_eq!(client.xid().await, 2);
    assert_eq!(proxy.notifications_lost(), 1);
    assert_eq!(proxy.notifications_seen()[&0], 1);
}

#[tokio::test]
async fn delays_stalls_and_black_holes_are_those_of_bytes() {
    let (server, proxy) = start().await;
    let mut client = Client::open(&proxy).await;
    for (request, reply) in [(SHORT, Duration::ZERO), (Duration::ZERO, SHORT)] {
        proxy.delay(request, reply);
        let begin = Instant::now();
        client.call(1, &exists("/a")).await;
        assert!(begin.elapsed() >= SHORT);
    }
    proxy.delay(Duration::ZERO, Duration::ZERO);
    proxy.jitter(Duration::from_millis(3));
    for xid in 10..60 {
        client.send(xid, &exists("/a")).await;
    }
    for xid in 10..60 {
        assert_eq!(client.xid().await, xid);
    }
    proxy.jitter(Duration::ZERO);

    proxy.stall(false, true);
    client.send(PING, &number(PING_CODE)).await;
    client.silent().await;
    assert!(server.has(PING));
    proxy.restore();
    assert_eq!(client.xid().await, PING);

    proxy.black_hole(false, true);
    client.send(2, &create("/a", 0)).await;
    client.silent().await;
    assert!(server.has(2));
    proxy.black_hole(false, false);

    let mut second = Client::open(&proxy).await;
    assert_eq!(proxy.connections(), 2);
    proxy.close();
    assert_eq!(second.end().await, ErrorKind::UnexpectedEof);
    let mut third = Client::open(&proxy).await;
    proxy.reset();
    assert_eq!(third.end().await, ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_handshake_is_a_request_too() {
    let (server, proxy) = start().await;
    let swallow = proxy.swallow_reply(zk_request("connect", "0x2a"));
    Client::open(&proxy).await.call(1, &exists("/a")).await;
    let mut client = Client::connect(&proxy).await;
    client.write(&handshake(42)).await;
    assert_eq!(client.end().await, ErrorKind::UnexpectedEof);
    swallow.landed(PATIENCE).await;
    assert_eq!(server.handshakes(), 2);
}

#[tokio::test]
async fn what_is_no_frame_ends_its_connection_and_no_other() {
    let (_server, proxy) = start().await;
    let mut whole = Client::open(&proxy).await;
    let no_frames: [&[u8]; 4] = [&[0x7f; 8], &[0xff; 8], &[0, 0, 0, 2, 0, 0], &[0, 0, 0, 0]];
    for bytes in no_frames {
        let mut client = Client::open(&proxy).await;
        client.bytes(bytes).await;
        assert_eq!(client.end().await, ErrorKind::ConnectionReset, "{bytes:?}");
    }
    // A request that ends before its path does is for the server to refuse.
    whole.call(1, &[&number(1)[..], &[0xff; 3]].concat()).await;
    whole.call(2, &exists("/a")).await;
}

#[tokio::test]
async fn four_letters_pass_as_bytes() {
    let proxy = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::zk(listener.local_addr().unwrap()).await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut letters = [0; 4];
            stream.read_exact(&mut letters).await.unwrap();
            stream.write_all(if &letters == b"ruok" { b"imok" } else { b"no" }).await.unwrap();
        });
        proxy
    };
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(b"ruok").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, "imok");
}

#[tokio::test]
#[should_panic(expected = "Proxy::zk")]
async fn redis_has_no_pings_of_its_own() {
    let (server, _) = start().await;
    let _swallow = Proxy::resp(server.addr).await.swallow_reply_then(Swallow::ThenPings, |_| true);
}
