//! A server that answers what none should: nothing panics, hangs or takes all the memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use lock_conformance::Siege;
use lock_redis::RedisConfig;
use lock_testkit::child::{self, Child};
use lock_testkit::{Flavour, Hostile, Panics, Redis, Shape, fuzz};
use lockcore::Locks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_were_spoiled_on_their_way_are_survived() {
    let server = Redis::options(Flavour::Redis).start().await;
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
    let claims = |dice: &mut Rng| CLAIMS[dice.usize(..CLAIMS.len())].into();
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
    assert!(panics.seen().is_empty(), "{:?}", panics.seen());
}

async fn connect(port: u16) -> lockcore::Result<Locks> {
    let config = RedisConfig::single("127.0.0.1", port).request_timeout(TIMEOUT)?;
    let config = config.recheck(TIMEOUT)?.login(None, "secret");
    Locks::new(config.connect().await?).ttl(TTL)
}

const SHAPE: Shape = Shape { carried, tame: |_| () };

/// The lines, without the first byte if that says what they are.
fn carried(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut from = 0;
    for (at, _) in bytes.windows(2).enumerate().filter(|(_, end)| end == b"\r\n") {
        let is_length = bytes.get(from).is_some_and(|kind| b"$*%~>=!|".contains(kind));
        if from < at && !is_length {
            lines.push(from + usize::from(b"+-:,#(".contains(&bytes[from]))..at);
        }
        from = at + 2;
    }
    lines
}

/// What looks like RESP, and like nothing.
fn answer(dice: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.usize(1..6) {
        match dice.u8(..32) {
            0 => bytes.extend(b"*1\r\n".repeat(50_000)),
            1..8 => bytes.extend(fuzz::bytes(dice, 200)),
            _ => value(dice, 0, &mut bytes),
        }
    }
    bytes
}

fn value(dice: &mut Rng, depth: usize, bytes: &mut Vec<u8>) {
    let kind = b"+-:$*_#,(!=%~>|;."[dice.usize(..17)];
    let length = match dice.u8(..4) {
        0 => LENGTHS[dice.usize(..LENGTHS.len())].to_owned(),
        _ => dice.u8(..5).to_string(),
    };
    bytes.push(kind);
    match kind {
        b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => {
            bytes.extend(WORDS[dice.usize(..WORDS.len())].as_bytes());
        }
        b'$' | b'!' | b'=' | b';' => {
            bytes.extend(format!("{length}\r\n").as_bytes());
            bytes.extend(fuzz::bytes(dice, 5));
        }
        _ => {
            bytes.extend(format!("{length}\r\n").as_bytes());
            for _ in 0..dice.usize(..5).saturating_sub(depth) {
                value(dice, depth + 1, bytes);
            }
            return;
        }
    }
    bytes.extend(b"\r\n");
}

const CLAIMS: &[&[u8]] = &[
    b"$2147483647\r\nx",
    b"*2147483647\r\n+x\r\n",
    b"*536870911\r\n",
    b"%1073741823\r\n+x\r\n",
    b"~2147483647\r\n",
    b">2147483647\r\n+x\r\n",
    b"|2147483647\r\n",
    b"=2147483647\r\ntxt:",
    b"!2147483647\r\n",
    b"$9223372036854775807\r\n",
];
const LENGTHS: &[&str] = &[
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "-1",
    "-2",
    "-9223372036854775808",
    "536870912",
    "",
    "x",
    "?",
];
const WORDS: &[&str] = &[
    "OK",
    "PONG",
    "QUEUED",
    "1",
    "-1",
    "9223372036854775807",
    "t",
    "nan",
    "inf",
    "hello",
    "subscribe",
    "message",
    "invalidate",
    "ERR no",
    "NOSCRIPT x",
    "NOPERM x",
    "WRONGPASS x",
    "NOAUTH x",
    "LOADING x",
    "READONLY x",
    "MOVED 1 127.0.0.1:1",
    "MOVED 99999999 x",
    "ASK",
    "BUSY x",
    "OOM x",
    "WRONGTYPE x",
    "",
    "1 2",
    "lh x",
    "99999999999999999999",
];
const WIDTH: usize = 48;
const TIMEOUT: Duration = Duration::from_millis(400);
const TTL: Duration = Duration::from_millis(500);
