//! Faults of single requests, in front of a real ZooKeeper.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lock_testkit::{
    Frame, Proxy, Swallow, Zk, ZkAcl, ZkClient, ZkError, ZkEventKind, ZkMode, eventually,
    zk_request,
};
use tokio::time::timeout;

#[tokio::test]
async fn everything_is_known_by_its_name() {
    let (server, proxy) = start().await;
    for on in [false, true] {
        proxy.one_byte_chunks(on);
        let mut client = connect(&proxy).await;
        client.authenticate("joe", "secret").await.unwrap();
        proxy.clear_record();
        create(&mut client, "/a", ZkMode::Persistent).await.unwrap();
        create(&mut client, "/a/c", ZkMode::Container).await.unwrap();
        create(&mut client, "/a/n-", ZkMode::EphemeralSequential).await.unwrap();
        client.exists("/none", true).await.unwrap();
        client.set_data("/a", b"data", -1).await.unwrap();
        assert_eq!(client.data("/a", true).await.unwrap(), b"data");
        assert_eq!(client.children("/a", false).await.unwrap().len(), 2);
        let acl = client.acl("/a").await.unwrap();
        client.set_acl("/a", &acl).await.unwrap();
        client.sync().await.unwrap();
        client.ping().await.unwrap();
        client.delete("/a/c", -1).await.unwrap();
        client.close().await.unwrap();
        assert_eq!(server.delete_tree("/a").await, 1);
        let record = proxy.record();
        assert_eq!(Frame::round_trips(&record), 12);
        let requests =
            record.iter().map(Frame::to_string).filter(|text| text[1..].starts_with('>'));
        let names: Vec<_> = requests.map(|text| text[3..].to_owned()).collect();
        let expected = "create /a PERSISTENT|create /a/c CONTAINER|\
            create /a/n- EPHEMERAL_SEQUENTIAL|exists /none watch|setData /a|getData /a watch|\
            getChildren2 /a|getACL /a|setACL /a|sync /|ping|delete /a/c|closeSession";
        assert_eq!(names.join("|"), expected);
    }
    assert_eq!(proxy.requests_seen()["create"], 6);
}

#[tokio::test]
async fn a_lost_reply_was_to_something_that_is_done() {
    let (server, proxy) = start().await;
    for (then, end) in [(Swallow::ThenCut, "end of file"), (Swallow::ThenReset, "reset")] {
        let mut client = connect(&proxy).await;
        let swallow = proxy.swallow_nth_reply(2, then, zk_request("create", "/lock"));
        create(&mut client, "/lock", ZkMode::Ephemeral).await.unwrap();
        let error = create(&mut client, "/lock-2", ZkMode::Ephemeral).await.unwrap_err();
        assert!(error.to_string().contains(end), "{error}");
        swallow.landed(PATIENCE).await;
        assert!(server.stat("/lock-2").await.is_some());

        // Its session is as it was.
        let (session, password) = (client.session(), client.password());
        let again = ZkClient::reconnect(proxy.addr(), LONG, session, password).await.unwrap();
        again.close().await.unwrap();
        assert!(server.tree("/").await.is_empty());
        let name = format!("connect {session:#x}");
        assert!(proxy.record().iter().any(|frame| frame.text == name));
    }
}

#[tokio::test]
async fn silence_is_whole_or_has_pings_in_it() {
    let (server, proxy) = start().await;
    let mut client = connect(&proxy).await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenPings, zk_request("create", "/pings"));
    let created = create(&mut client, "/pings", ZkMode::Persistent);
    assert!(timeout(SILENCE, created).await.is_err());
    swallow.landed(PATIENCE).await;
    assert!(server.stat("/pings").await.is_some());
    client.ping().await.unwrap();
    assert!(timeout(SILENCE, client.data("/pings", false)).await.is_err());

    let mut client = connect(&proxy).await;
    let swallow = proxy.swallow_reply_then(Swallow::ThenSilence, zk_request("create", "/all"));
    let created = create(&mut client, "/all", ZkMode::Persistent);
    assert!(timeout(SILENCE, created).await.is_err());
    swallow.landed(PATIENCE).await;
    assert!(server.stat("/all").await.is_some());
    assert!(timeout(SILENCE, client.ping()).await.is_err());
}

#[tokio::test]
async fn a_held_request_is_done_late_or_never() {
    let (server, proxy) = start().await;
    for (path, never) in [("/late", false), ("/never", true)] {
        let mut client = connect(&proxy).await;
        let hold = proxy.hold_requests(zk_request("create", path));
        let created = create(&mut client, path, ZkMode::Persistent);
        let (created, ()) = tokio::join!(created, async {
            hold.held(PATIENCE).await;
            assert!(server.stat(path).await.is_none());
            if never {
                hold.close();
            } else {
                hold.release();
            }
        });
        assert_eq!(created.is_err(), never);
        // What this session sends now comes behind all that was sent before.
        let (session, password) = (client.session(), client.password());
        let again = ZkClient::reconnect(proxy.addr(), LONG, session, password).await.unwrap();
        again.close().await.unwrap();
        assert_eq!(server.stat(path).await.is_none(), never);
    }
}

#[tokio::test]
async fn events_of_watches_get_lost_alone() {
    let (server, proxy) = start().await;
    let mut client = connect(&proxy).await;
    proxy.drop_notifications(true);
    client.exists("/a", true).await.unwrap();
    server.create("/a", "", ZkMode::Persistent).await;
    eventually("the loss", PATIENCE, || async { (proxy.notifications_lost() == 1).then_some(()) })
        .await;
    assert!(client.exists("/a", true).await.unwrap().is_some());
    assert_eq!(client.events(), []);

    proxy.drop_notifications(false);
    server.delete("/a").await;
    eventually("the event", PATIENCE, || async {
        (proxy.notifications_seen().get(&0) == Some(&1)).then_some(())
    })
    .await;
    client.ping().await.unwrap();
    let [event] = client.events() else { panic!("{:?}", client.events()) };
    assert_eq!((event.kind, event.path.as_str()), (ZkEventKind::Deleted, "/a"));
    assert!(proxy.record().iter().any(|frame| frame.to_string() == "0! NodeDeleted /a"));
}

#[tokio::test]
async fn links_end_together() {
    let (_server, proxy) = start().await;
    for (reset, end) in [(false, "end of file"), (true, "reset")] {
        let mut clients = [connect(&proxy).await, connect(&proxy).await];
        assert_eq!(proxy.connections(), 2);
        if reset {
            proxy.reset();
        } else {
            proxy.close();
        }
        eventually("the end of the links", PATIENCE, || async {
            (proxy.connections() == 0).then_some(())
        })
        .await;
        for client in &mut clients {
            let error = client.ping().await.unwrap_err();
            let broken = error.to_string().contains("Broken pipe");
            assert!(error.to_string().contains(end) || (reset && broken), "{error}");
        }
    }
}

async fn start() -> (Zk, Proxy) {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    (server, proxy)
}

async fn connect(proxy: &Proxy) -> ZkClient {
    ZkClient::connect(proxy.addr(), LONG).await.unwrap()
}

async fn create(client: &mut ZkClient, path: &str, mode: ZkMode) -> Result<(), ZkError> {
    client.create(path, b"", mode, &[ZkAcl::anyone(ZkAcl::ALL)]).await.map(drop)
}

const LONG: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(200);
