//! The streams of renewals and of notifications: silent, late, and reset.

use std::time::Duration;

use lock_conformance::time::{eventually, pause, soon};
use lock_etcd::EtcdConfig;
use lock_testkit::{Etcd, GrpcProxy, Swallow};
use lockcore::{BootInstant, Guard, Locks, LossCause, Result};
use tokio::task::JoinHandle;

use crate::stage::{
    LONG, PATIENCE, config, connect, etcd, ms, nothing_left, ttl, until_keys, until_watched, via,
};

const NAME: &str = "name";
const KEEP_ALIVE: &str = "Lease/LeaseKeepAlive";
const WATCH: &str = "Watch/Watch";
const WAITERS: usize = 20;
/// How often those behind the proxy look by themselves.
const RECHECK_MS: u64 = 1_000;

async fn stage(ttl: Duration) -> (Etcd, GrpcProxy, Locks) {
    let server = etcd().await;
    let proxy = GrpcProxy::start(server.addr()).await;
    let config = via(&proxy).recheck(ms(RECHECK_MS)).unwrap();
    let locks = connect(config, ttl).await;
    (server, proxy, locks)
}

fn waits(locks: &Locks) -> JoinHandle<(Result<Guard>, BootInstant)> {
    let lock = locks.mutex(NAME).unwrap();
    tokio::spawn(async move { (lock.lock().await, BootInstant::now()) })
}

/// Gives the lock back, and returns how long the one that waits was not granted.
async fn hands_over(guard: Guard, waits: JoinHandle<(Result<Guard>, BootInstant)>) -> Duration {
    let released = BootInstant::now();
    guard.release().await.unwrap();
    let (next, granted) = soon("the waiter is granted", waits).await.unwrap();
    next.unwrap().release().await.unwrap();
    granted.saturating_since(released)
}

/// Only what is under way is lost: a new stream would work.
#[tokio::test]
async fn a_stream_of_renewals_that_fell_silent_is_replaced() {
    let (server, proxy, locks) = stage(ttl(2)).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let renewed = || async { proxy.messages_to_client(KEEP_ALIVE) > 1 };
    eventually("a stream is open", renewed).await;
    for _ in 0..2 {
        let (calls, silent) = (proxy.calls(KEEP_ALIVE), proxy.black_hole_replies(KEEP_ALIVE));
        silent.hit(1, PATIENCE).await;
        silent.release();
        pause(ttl(2)).await;
        assert!(guard.is_held());
        assert!(proxy.calls(KEEP_ALIVE) > calls, "no other stream was opened");
    }
    guard.release().await.unwrap();
    nothing_left(&server).await;
}

#[tokio::test]
async fn a_lock_is_lost_in_time_when_no_renewal_is_answered() {
    let (server, proxy, locks) = stage(ttl(2)).await;
    let other = connect(config(server.port()), LONG).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let next = waits(&other);
    until_keys(&server, NAME, 2).await;
    let renewed = || async { proxy.messages_to_client(KEEP_ALIVE) > 1 };
    eventually("it is renewed", renewed).await;
    let stall = proxy.stall("*");
    let stalled = BootInstant::now();
    let cause = soon("it is told", guard.lost()).await;
    let known = BootInstant::now();
    assert_eq!(cause, LossCause::Expired);
    assert!(known.saturating_since(stalled) < ttl(2), "{:?}", known.saturating_since(stalled));
    let (next, granted) = soon("the next one", next).await.unwrap();
    assert!(granted > known, "two believe in it");
    assert!(stall.hits() > 0);
    stall.release();
    next.unwrap().release().await.unwrap();
    drop(guard);
    nothing_left(&server).await;
    let again = soon("a new session", locks.mutex(NAME).unwrap().lock()).await.unwrap();
    again.release().await.unwrap();
}

#[tokio::test]
async fn a_release_that_nobody_was_told_of_is_found_out() {
    let (server, proxy, locks) = stage(LONG).await;
    let other = connect(config(server.port()), LONG).await;
    let guard = other.mutex(NAME).unwrap().lock().await.unwrap();
    let next = waits(&locks);
    until_watched(&server, 1).await;
    let lost = proxy.black_hole_replies(WATCH);
    let took = hands_over(guard, next).await;
    assert!(lost.hits() > 0, "nothing was lost");
    assert!(took < ms(RECHECK_MS * 6 / 5 + 500), "granted after {took:?}");
    nothing_left(&server).await;
}

/// Whether it is the first watch of the stream, or one more.
#[tokio::test]
async fn a_release_before_the_watch_has_begun_is_found_out() {
    for is_first in [true, false] {
        let (server, proxy, locks) = stage(LONG).await;
        let other = connect(config(server.port()), LONG).await;
        let mut elsewhere = None;
        if !is_first {
            let guard = other.mutex("elsewhere").unwrap().lock().await.unwrap();
            let lock = locks.mutex("elsewhere").unwrap();
            elsewhere = Some((guard, tokio::spawn(async move { lock.lock().await })));
            until_watched(&server, 1).await;
        }
        let guard = other.mutex(NAME).unwrap().lock().await.unwrap();
        let held = proxy.hold_requests(WATCH);
        let next = waits(&locks);
        held.hit(1, PATIENCE).await;
        let took = hands_over(guard, next).await;
        assert!(took < ms(RECHECK_MS + 1_000), "first: {is_first}: granted after {took:?}");
        held.release();
        if let Some((guard, waits)) = elsewhere {
            guard.release().await.unwrap();
            soon("the other waiter", waits).await.unwrap().unwrap().release().await.unwrap();
        }
        nothing_left(&server).await;
        until_watched(&server, 0).await;
    }
}

#[tokio::test]
async fn waiters_hand_over_while_their_stream_is_reset_again_and_again() {
    let (server, proxy, locks) = stage(LONG).await;
    let guard = locks.mutex(NAME).unwrap().lock().await.unwrap();
    let mut waiters = Vec::new();
    for place in 0..WAITERS {
        waiters.push(waits(&locks));
        until_keys(&server, NAME, place + 2).await;
    }
    until_watched(&server, WAITERS as u64).await;
    let begun = BootInstant::now();
    let mut last = guard.token();
    guard.release().await.unwrap();
    let mut resets = 0;
    for waiter in waiters {
        resets += proxy.reset_streams(WATCH);
        let (next, _) = soon("the next one is granted", waiter).await.unwrap();
        let next = next.unwrap();
        assert!(next.token() > last);
        last = next.token();
        next.release().await.unwrap();
    }
    assert!(resets >= WAITERS / 4, "{resets} streams were reset");
    println!("{WAITERS} handed over in {:?}, {resets} resets", begun.elapsed());
    nothing_left(&server).await;
    until_watched(&server, 0).await;
}

/// So many that what they ask for does not fit between the task that watches and the stream.
#[tokio::test]
async fn a_stream_that_takes_no_requests_is_given_up() {
    let (server, proxy, locks) = stage(LONG).await;
    let other = connect(config(server.port()), LONG).await;
    let first = other.mutex("first").unwrap().lock().await.unwrap();
    let lock = locks.mutex("first").unwrap();
    let waits = tokio::spawn(async move { lock.lock().await });
    until_watched(&server, 1).await;
    let held = proxy.hold_requests(WATCH);
    let mut guards = Vec::new();
    let mut waiters = Vec::new();
    for number in 0..MANY {
        let name = format!("name-{number}");
        guards.push(other.mutex(&name).unwrap().lock().await.unwrap());
        let lock = locks.mutex(&name).unwrap();
        waiters.push(tokio::spawn(async move { lock.lock().await }));
    }
    held.hit(1, PATIENCE).await;
    // All have waited for an answer for too long.
    pause(ms(1_000)).await;
    held.release();
    until_watched(&server, MANY as u64 + 1).await;
    let released = BootInstant::now();
    first.release().await.unwrap();
    let next = soon("the first one", waits).await.unwrap().unwrap();
    assert!(released.elapsed() < ms(RECHECK_MS / 2), "{:?}", released.elapsed());
    drop((next, guards));
    for waiter in waiters {
        soon("all are granted", waiter).await.unwrap().unwrap().release().await.unwrap();
    }
    nothing_left(&server).await;
    until_watched(&server, 0).await;
}

/// What is asked for on a connection that was given up is asked for again on the next one.
#[tokio::test]
async fn a_stream_whose_connection_is_given_up_is_opened_on_the_next_one() {
    let server = etcd().await;
    let ways = [GrpcProxy::start(server.addr()).await, GrpcProxy::start(server.addr()).await];
    let config = EtcdConfig::new(ways.each_ref().map(|way| ("127.0.0.1", way.addr().port())));
    // Nobody looks by himself.
    let config = config.request_timeout(ms(2_000)).unwrap().recheck(LONG).unwrap();
    let locks = connect(config, LONG).await;
    let other = connect(crate::stage::config(server.port()), LONG).await;
    let guard = other.mutex(NAME).unwrap().lock().await.unwrap();
    let first = waits(&locks);
    until_watched(&server, 1).await;
    let [used, unused] = if ways[0].connections() > 0 { [0, 1] } else { [1, 0] };
    let held = ways[used].hold_requests(WATCH);
    let waiters: Vec<_> = (0..MANY).map(|_| waits(&locks)).collect();
    until_keys(&server, NAME, MANY + 2).await;
    held.hit(1, PATIENCE).await;
    // The next request finds that nothing is answered there any more.
    let swallowed = ways[used].swallow_reply_then(Swallow::ThenSilence, "*", 1);
    let inspected = soon("an answer", locks.inspect(NAME)).await;
    assert!(inspected.is_err() && swallowed.has_landed());
    let moved = || async { ways[unused].calls(WATCH) > 0 };
    eventually("there is another stream", moved).await;
    let all = || async { server.watchers().await > MANY as u64 };
    eventually("all is watched there", all).await;
    waiters.iter().for_each(JoinHandle::abort);
    let took = hands_over(guard, first).await;
    assert!(took < ms(2_000), "granted after {took:?}");
    drop(held);
    nothing_left(&server).await;
    until_watched(&server, 0).await;
}

const MANY: usize = 300;
