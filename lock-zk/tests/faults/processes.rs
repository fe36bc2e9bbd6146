//! Processes that are killed or frozen.

use std::time::{Duration, Instant};

use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{FrameKind, Proxy, Zk, ZkMode, zk_request};
use lockcore::FencingToken;

use crate::children::{report, spawn};
use crate::stage::{
    LONG, NAME, PATIENCE, config, connect, ms, nodes, nothing_left, take, ttl, until_nodes,
    until_watched,
};

/// Sessions are looked through every tick, and their ends rounded up to one; the rest is for a busy
/// machine.
fn slack() -> Duration {
    ms(1_400)
}

#[tokio::test]
async fn a_holder_that_is_killed_is_replaced_after_its_ttl() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let mut holder = spawn("holder", proxy.addr().port(), NAME, 1_200);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let token = granted(&report(&mut holder).await);
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let waiter = tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) });
    until_nodes(&server, NAME, 2).await;
    // Past the first TTL: it lives on because its process renews it.
    pause(ttl(1_200) + ms(400)).await;
    assert!(!waiter.is_finished(), "granted while the holder lived");
    // A process that is killed says goodbye to nobody, but its machine does: the proxy keeps that.
    proxy.cut();
    let heard = proxy.record();
    let last = heard.iter().rfind(|frame| frame.kind == FrameKind::Request);
    let last = last.unwrap().at;
    holder.kill();

    let (guard, granted) = soon("the waiter is granted", waiter).await.unwrap();
    let after = granted - last;
    println!("granted {after:?} after the last word of a holder with a TTL of {:?}", ttl(1_200));
    assert!(after >= ttl(1_200), "{after:?}: before the TTL was over");
    assert!(after <= ttl(1_200) + slack(), "{after:?}");
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

/// Each restart gives all sessions their whole time again, and the last one is what counts.
#[tokio::test]
async fn a_dead_holder_is_replaced_one_ttl_after_the_last_restart() {
    let server = Zk::start().await;
    let mut holder = spawn("holder", server.port(), NAME, 2_000);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let token = granted(&report(&mut holder).await);
    let locks = connect(config(server.port()), LONG).await;
    let lock = locks.mutex(NAME).unwrap();
    let waiter = tokio::spawn(async move { (take(&lock).await, Instant::now()) });
    until_nodes(&server, NAME, 2).await;
    holder.kill();
    let mut restarted = Instant::now();
    for _ in 0..RESTARTS {
        pause(ttl(2_000) / 2).await;
        server.restart().await;
        restarted = Instant::now();
    }
    let (guard, granted) = soon("the waiter is granted", waiter).await.unwrap();
    let after = granted.saturating_duration_since(restarted);
    println!("granted {after:?} after the last of {RESTARTS} restarts");
    assert!(after <= ttl(2_000) + slack() + ms(1_000), "{after:?}");
    assert!(guard.token() > token);
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

const RESTARTS: usize = 3;

#[tokio::test]
async fn a_holder_that_was_frozen_knows_that_it_is_not_one_any_more() {
    let server = Zk::start().await;
    let mut holder = spawn("holder", server.port(), NAME, 1_000);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let old = granted(&report(&mut holder).await);
    let fence = nodes(&server, NAME).await.remove(0).path;
    holder.pause();
    let frozen = Instant::now();
    let locks = connect(config(server.port()), LONG).await;
    let guard = soon("the next one", locks.mutex(NAME).unwrap().lock()).await.unwrap();
    assert!(guard.token() > old);
    pause((ttl(1_000) * 2).saturating_sub(frozen.elapsed())).await;

    // It lies in the pipe before the process goes on, so it is the first that it does.
    holder.send("is_held");
    holder.send("release");
    holder.resume();
    assert_eq!(report(&mut holder).await, ["false"]);
    assert_eq!(report(&mut holder).await, ["not_held"]);
    assert!(guard.is_held());
    assert_eq!(nodes(&server, NAME).await.len(), 1, "the old holder freed the new one's lock");
    // A write in its name is refused, and one in that of the new holder is not.
    let new = nodes(&server, NAME).await.remove(0).path;
    let client = zookeeper_client::Client::connect(&server.connect_string()).await.unwrap();
    server.create("/last", "", ZkMode::Persistent).await;
    for (fence, is_taken) in [(&fence, false), (&new, true)] {
        let mut write = client.new_multi_writer();
        write.add_check_version(fence, -1).unwrap();
        write.add_set_data("/last", b"42", None).unwrap();
        assert_eq!(write.commit().await.is_ok(), is_taken, "{fence}");
    }
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

#[tokio::test]
async fn a_waiter_that_is_killed_at_the_head_is_passed_over() {
    let server = Zk::start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(config(server.port()), LONG).await;
    let holder = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut head = spawn("holder", proxy.addr().port(), NAME, 1_000);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_nodes(&server, NAME, 2).await;
    let behind = connect(config(server.port()), LONG).await;
    let mut waiters = Vec::new();
    for place in 3..5 {
        let lock = behind.mutex(NAME).unwrap();
        waiters.push(tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) }));
        until_nodes(&server, NAME, place).await;
    }
    // Three wait, and each watches the one before it; the first itself as well.
    until_watched(&server, 3 + 1).await;
    proxy.cut();
    head.kill();
    let mut released = Instant::now();
    let mut last = holder.token();
    holder.release().await.unwrap();
    // Its session holds the first of them up, and nobody else.
    let mut most = ttl(1_000) + slack();
    for waiter in waiters {
        let (guard, granted) = soon("the next one is granted", waiter).await.unwrap();
        let took = granted.saturating_duration_since(released);
        println!("granted {took:?} after the release");
        assert!(took < most, "granted {took:?} after the release");
        assert!(guard.token() > last);
        (last, released, most) = (guard.token(), Instant::now(), ms(1_000));
        guard.release().await.unwrap();
    }
    nothing_left(&server).await;
}

/// A container goes when it is empty, also between two requests of ours.
#[tokio::test]
async fn directories_that_go_all_the_time_keep_nobody_from_a_lock() {
    let server = Zk::options().container_check(Duration::from_millis(10), 60_000).start().await;
    let proxy = Proxy::zk(server.addr()).await;
    let locks = connect(config(proxy.addr().port()), LONG).await;
    for number in 0..20 {
        let lock = locks.mutex(NAME).unwrap();
        soon("a free lock", lock.lock()).await.unwrap().release().await.unwrap();
        if number % 2 == 0 {
            eventually("the directory goes", || async {
                server.stat("/leasehold/name").await.is_none()
            })
            .await;
        }
    }
    // It is there when a try looks, and gone when it asks for a node.
    let holder = locks.mutex("other").unwrap().lock().await.unwrap();
    let gone = || async { server.stat("/leasehold/name").await.is_none() };
    eventually("the directory goes", gone).await;
    for tries in [false, true] {
        server.create("/leasehold/name", "", ZkMode::Container).await;
        let kept = proxy.hold_requests(zk_request("create", "name/_c_"));
        let lock = locks.mutex(NAME).unwrap();
        let takes = tokio::spawn(async move {
            match tries {
                true => lock.try_lock().await.map(Option::unwrap),
                false => lock.lock().await,
            }
        });
        kept.held(PATIENCE).await;
        assert!(server.delete("/leasehold/name").await);
        kept.release();
        let guard = soon("a free lock", takes).await.unwrap().unwrap();
        guard.release().await.unwrap();
        eventually("the directory goes", gone).await;
    }
    assert!(holder.is_held());
    holder.release().await.unwrap();
    nothing_left(&server).await;
}

fn granted(report: &[String]) -> FencingToken {
    assert_eq!(report[0], "granted", "{report:?}");
    FencingToken::new(report[1].parse().unwrap()).unwrap()
}
