//! A server that answers what none should: nothing panics, hangs or takes all the memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use lock_conformance::Siege;
use lock_testkit::child::{self, Child};
use lock_testkit::{Hostile, Panics, Shape, Zk, fuzz};
use lock_zk::ZkConfig;
use lockcore::Locks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_were_spoiled_on_their_way_are_survived() {
    let server = Zk::start().await;
    let hostile = Hostile::relay(server.addr(), fuzz::dice().u64(..), SHAPE).await;
    besiege(hostile, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_survived() {
    besiege(Hostile::server(fuzz::dice().u64(..), answer).await, 0).await;
}

/// What a length says is not asked of the memory before it has come.
#[tokio::test]
async fn lengths_that_are_claimed_take_no_memory() {
    let claims = |dice: &mut Rng| {
        let claim = CLAIMS[dice.usize(..CLAIMS.len())];
        match dice.bool() {
            true => claim.to_be_bytes().into(),
            // Inside of an answer to a login.
            false => frame(&[&[0; 4][..], &[0, 0, 39, 16], &[1; 8], &claim.to_be_bytes()].concat()),
        }
    };
    let hostile = Hostile::server(fuzz::dice().u64(..), claims).await;
    let port = hostile.addr().port().to_string();
    let mut child = Child::spawn("client_of_a_boaster", &[("PORT", &port)]);
    let report = child.next_report(Duration::from_secs(60)).await;
    println!("{report}, of {} claims", hostile.spoiled());
    assert!(hostile.spoiled() >= 20 && report.starts_with("modest"), "{report}");
}

#[test]
fn client_of_a_boaster() {
    let Some(role) = child::role() else { return };
    let port = role.var("PORT").parse().unwrap();
    role.reports_memory(async move {
        let all = (0..24).map(|_| connect(port));
        assert!(join_all(all).await.iter().all(Result::is_err));
    });
}

async fn besiege(hostile: Hostile, connected: usize) {
    let panics = Panics::watch();
    let (port, hostile) = (hostile.addr().port(), Arc::new(hostile));
    let counted = hostile.clone();
    let spoiled = move || counted.spoiled();
    Siege::hold_out(WIDTH, spoiled, connected, move || connect(port)).await;
    println!("{} answers were spoiled", hostile.spoiled());
    let seen = panics.seen();
    let ours: Vec<_> = seen.iter().filter(|panic| !panic.contains("/zookeeper-client-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

async fn connect(port: u16) -> lockcore::Result<Locks> {
    let config = ZkConfig::new([("127.0.0.1", port)]).request_timeout(TIMEOUT)?;
    let config = config.recheck(TIMEOUT)?.login("worker", "secret");
    Locks::new(config.connect().await?).ttl(TTL)
}

/// What looks like ZooKeeper's protocol, and like nothing.
fn answer(dice: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.usize(1..5) {
        match dice.u8(..8) {
            0 => bytes.extend(fuzz::bytes(dice, 200)),
            1 => {
                let length = CLAIMS[dice.usize(..CLAIMS.len())];
                bytes.extend(length.to_be_bytes());
                bytes.extend(fuzz::bytes(dice, 40));
            }
            2..5 => {
                // A session: version, timeout, number, password, whether it is for reading only.
                let timeout = if dice.bool() { 10_000 } else { odd(dice) };
                let number = if dice.bool() { 7_i64 } else { dice.i64(..) };
                let password = if dice.bool() { 16 } else { odd(dice) };
                let mut session = [&0_i32.to_be_bytes()[..], &timeout.to_be_bytes()].concat();
                session.extend(number.to_be_bytes());
                session.extend(password.to_be_bytes());
                session.extend([0; 16]);
                session.push(dice.u8(..2));
                bytes.extend(frame(&session));
            }
            _ => {
                // An answer or an event: number, transaction, error, and whatever it says.
                let number = if dice.bool() { dice.i32(-4..6) } else { odd(dice) };
                let error = if dice.bool() { 0 } else { dice.i32(-130..5) };
                let mut reply = number.to_be_bytes().to_vec();
                reply.extend(dice.i64(..).to_be_bytes());
                reply.extend(error.to_be_bytes());
                for _ in 0..dice.usize(..4) {
                    reply.extend(odd(dice).to_be_bytes());
                }
                reply.extend(fuzz::bytes(dice, 60));
                bytes.extend(frame(&reply));
            }
        }
    }
    tame(&mut bytes);
    bytes
}

const SHAPE: Shape = Shape { carried, tame };

/// What stands in frames, behind the number of the request.
fn carried(bytes: &[u8]) -> Vec<Range<usize>> {
    frames(bytes).into_iter().map(|frame| (frame.start + 4).min(frame.end)..frame.end).collect()
}

/// The frames that are whole, without their lengths.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if at + 4 + length <= bytes.len() {
            frames.push(at + 4..at + 4 + length);
        }
        at += 4 + length;
    }
    frames
}

/// The client library makes room for as many children as a list claims to have before it has read
/// one, and a process that has no such room is aborted.
fn tame(bytes: &mut [u8]) {
    for frame in frames(bytes) {
        // Behind the number of the request, that of the transaction, and the error.
        if let Some(count) = bytes[frame].get_mut(16)
            && (1..128).contains(count)
        {
            *count = 0;
        }
    }
}

fn odd(dice: &mut Rng) -> i32 {
    match dice.bool() {
        true => CLAIMS[dice.usize(..CLAIMS.len())],
        false => dice.i32(-2..20),
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

const CLAIMS: [i32; 6] = [i32::MAX, i32::MIN, -1, 0x0fff_ffff, 0x7fff_fff0, 0];
const WIDTH: usize = 32;
const TIMEOUT: Duration = Duration::from_millis(400);
const TTL: Duration = Duration::from_secs(1);
