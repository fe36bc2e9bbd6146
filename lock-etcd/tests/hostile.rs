//! A server that answers what none should: nothing panics, hangs or takes all the memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use lock_conformance::Siege;
use lock_etcd::EtcdConfig;
use lock_testkit::child::{self, Child};
use lock_testkit::{Etcd, EtcdVersion, Hostile, Panics, Shape, fuzz};
use lockcore::Locks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_were_spoiled_on_their_way_are_survived() {
    let options = Etcd::options(EtcdVersion::V3_7).unsafe_no_fsync();
    let options = options.election(Duration::from_millis(20), Duration::from_millis(200));
    let server = options.start().await;
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
        let stream = 1 + 2 * dice.u32(..3);
        let claim = CLAIMS[dice.usize(..CLAIMS.len())];
        let message = [&[dice.u8(..2)][..], &claim.to_be_bytes(), b"x"].concat();
        let mut bytes = [settings(), frame(1, 4, stream, HEADERS), frame(0, 0, stream, &message)];
        if dice.u8(..4) == 0 {
            // The longest frame there can be.
            bytes[2][..3].copy_from_slice(&[0xff; 3]);
        }
        bytes.concat()
    };
    let hostile = Hostile::server(fuzz::dice().u64(..), claims).await;
    let port = hostile.addr().port().to_string();
    let mut child = Child::spawn("client_of_a_boaster", &[("PORT", &port)]);
    let report = child.next_report(Duration::from_secs(30)).await;
    println!("{report}, of {} claims", hostile.spoiled());
    assert!(hostile.spoiled() >= 40 && report.starts_with("modest"), "{report}");
}

#[test]
fn client_of_a_boaster() {
    let Some(role) = child::role() else { return };
    let port = role.var("PORT").parse().unwrap();
    role.reports_memory(async move {
        let all = (0..40).map(|_| connect(port));
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
    let ours: Vec<_> = seen.iter().filter(|panic| !panic.contains("/etcd-client-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

async fn connect(port: u16) -> lockcore::Result<Locks> {
    let config = EtcdConfig::new([("127.0.0.1", port)]).request_timeout(TIMEOUT)?;
    Locks::new(config.recheck(TIMEOUT)?.connect().await?).ttl(TTL)
}

const SHAPE: Shape = Shape { carried, tame: |_| () };

/// The messages in frames of data, behind their lengths.
fn carried(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut messages = Vec::new();
    let mut frame = 0;
    while let Some(head) = bytes.get(frame..frame + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let end = frame + 9 + length;
        if head[3] == 0 && length > 5 && end <= bytes.len() {
            messages.push(frame + 14..end);
        }
        frame = end;
    }
    messages
}

/// What looks like HTTP/2 with calls of gRPC, and like nothing.
fn answer(dice: &mut Rng) -> Vec<u8> {
    let mut bytes = if dice.u8(..8) == 0 { Vec::new() } else { settings() };
    for _ in 0..dice.usize(1..6) {
        let stream = if dice.u8(..8) == 0 { dice.u32(..) } else { 1 + 2 * dice.u32(..4) };
        match dice.u8(..8) {
            0 => bytes.extend(fuzz::bytes(dice, 200)),
            1 => {
                let body = fuzz::bytes(dice, 40);
                bytes.extend(frame(dice.u8(..12), dice.u8(..), stream, &body));
            }
            2 => {
                let mut body = HEADERS.to_vec();
                body.extend(fuzz::bytes(dice, 30));
                bytes.extend(frame(1, 4 | dice.u8(..2), stream, &body));
            }
            3 => bytes.extend(frame(1, 5, stream, &[HEADERS, TRAILERS].concat())),
            4 => bytes.extend(frame(1, 4, stream, HEADERS)),
            _ => {
                // A message, whose length is right or not.
                let body = message(dice, 0);
                let length = match dice.u8(..4) {
                    0 => CLAIMS[dice.usize(..CLAIMS.len())],
                    _ => u32::try_from(body.len()).unwrap(),
                };
                let message = [&[0][..], &length.to_be_bytes(), &body].concat();
                bytes.extend(frame(1, 4, stream, HEADERS));
                bytes.extend(frame(0, dice.u8(..2), stream, &message));
            }
        }
    }
    bytes
}

/// Fields of a message of protobuf, of any type.
fn message(dice: &mut Rng, depth: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.usize(..5) {
        let (field, kind) = (dice.u8(..10), dice.u8(..8));
        bytes.push(field << 3 | kind);
        match kind {
            0 => bytes.extend([dice.u8(..) | 128, dice.u8(..) | 128, dice.u8(..128)]),
            1 => bytes.extend(dice.u64(..).to_le_bytes()),
            2 if depth < 4 => {
                let inner = message(dice, depth + 1);
                bytes.push(u8::try_from(inner.len()).unwrap_or(255));
                bytes.extend(inner);
            }
            _ => bytes.extend(fuzz::bytes(dice, 9)),
        }
    }
    bytes
}

fn settings() -> Vec<u8> {
    [frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

/// `:status: 200` and `content-type: application/grpc`.
const HEADERS: &[u8] = b"\x88\x5f\x10application/grpc";
/// `grpc-status: 16`.
const TRAILERS: &[u8] = b"\x40\x0bgrpc-status\x0216";
const CLAIMS: [u32; 6] = [i32::MAX as u32, u32::MAX, 1 << 31, 64 << 20, (64 << 20) + 1, 0];
const WIDTH: usize = 32;
const TIMEOUT: Duration = Duration::from_millis(400);
const TTL: Duration = Duration::from_secs(1);
