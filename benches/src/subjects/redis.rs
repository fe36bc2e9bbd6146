//! Redis: ours, the crates people would pick instead, and the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::leases::Leases;
use self::ours::Ours;
use self::peers::{DistributedLock, Rlock, Rslock};
use self::server::Server;
use self::waiting::Waiting;
use crate::bars::{Bar, Bound, Cell, Metric};
use crate::counts::{Cap, Count};
use crate::harness::{Backend, Question};
use crate::workload::{Inside, Workload};

mod bare;
pub(crate) mod leases;
mod ours;
mod peers;
mod server;
mod waiting;

pub(super) fn backend(runtime: &Runtime) -> Result<Backend> {
    runtime.block_on(async { connected(Arc::new(Server::start().await?)).await })
}

async fn connected(server: Arc<Server>) -> Result<Backend> {
    let url = &server.url();
    let ours = Arc::new(Ours::connect(url, TTL).await?);
    let rslock = Arc::new(Rslock::new(url));
    let rlock = Arc::new(Rlock::connect(url, TTL).await?);
    let distributed_lock = Arc::new(DistributedLock::connect(url).await?);
    let bare = Arc::new(Bare::connect(url).await?);
    let command = Arc::new(Command::connect(url).await?);
    let waiting = vec![
        Waiting::of(&server, Arc::new(Ours::connect(url, LONG_TTL).await?), ours.clone()),
        Waiting::of(&server, Arc::new(Rslock::new(url).ttl(LONG_TTL)), rslock.clone()),
        Waiting::of(&server, Arc::new(Rlock::connect(url, LONG_TTL).await?), rlock.clone()),
    ];
    let leases = [OURS, RSLOCK, RLOCK].map(|subject| Leases::of(&server, subject)).into();

    Ok(Backend {
        name: "redis",
        subjects: vec![
            Box::new(ours),
            Box::new(rslock),
            Box::new(rlock),
            Box::new(distributed_lock),
            Box::new(bare),
            Box::new(command),
        ],
        floor: BARE,
        is_in_process: false,
        server: Some(server.process()),
        questions: vec![
            question(FREE, Workload::OwnNames { tasks: 1 }),
            question(OWN_NAMES, Workload::OwnNames { tasks: 64 }),
            question(ONE_NAME, Workload::OneName { tasks: CLIENTS, inside: Inside::Nothing }),
            question(HAND_OFF, Workload::HandOff { settle: SETTLE }),
            question(ONE_COMMAND, Workload::Command { pause: Duration::ZERO }),
            question(AFTER_A_PAUSE, Workload::Command { pause: SETTLE }),
        ],
        bars: vec![
            p50("free lock, p50: ours / bare", (FREE, OURS), (FREE, BARE), Bound::AtMost(1.35)),
            rate("own names: ours / bare", OWN_NAMES, BARE, 0.6),
            rate("own names: ours / rslock", OWN_NAMES, RSLOCK, 1.0),
            p50(
                "hand-off, p50: ours / one command after a pause",
                (HAND_OFF, OURS),
                (AFTER_A_PAUSE, COMMAND),
                Bound::AtMost(5.0),
            ),
            p50(
                "hand-off, p50: rslock / ours",
                (HAND_OFF, RSLOCK),
                (HAND_OFF, OURS),
                Bound::AtLeast(50.0),
            ),
            p50(
                "hand-off, p50: rlock / ours",
                (HAND_OFF, RLOCK),
                (HAND_OFF, OURS),
                Bound::AtLeast(50.0),
            ),
        ],
        counts: vec![
            Count {
                name: |plan| format!("commands while one waits {}", spell(plan.wait)),
                units: &[COMMANDS],
                subjects: waiting,
                caps: vec![cap("commands of one that waits 10s", COMMANDS, 5.0)],
            },
            Count {
                name: |plan| format!("{} leases held for {}", plan.leases, spell(plan.wait)),
                units: &[BYTES, COMMANDS],
                subjects: leases,
                caps: vec![
                    cap("bytes of a lease, of 10000", BYTES, 2_048.0),
                    // 200 in each period of renewals, a third of the TTL.
                    cap("renewals of 10000 leases in a TTL", COMMANDS, 600.0),
                ],
            },
        ],
        only: String::new(),
    })
}

fn question(name: &'static str, workload: Workload) -> Question {
    Question { name, workload, batch: 1 }
}

fn p50(
    name: &'static str,
    (question, subject): (&'static str, &'static str),
    (over_question, over_subject): (&'static str, &'static str),
    bound: Bound,
) -> Bar {
    let of = Cell { question, subject };
    let over = Cell { question: over_question, subject: over_subject };
    Bar { name, metric: Metric::P50, of, over, bound }
}

fn rate(name: &'static str, question: &'static str, over: &'static str, at_least: f64) -> Bar {
    let (of, over) = (Cell { question, subject: OURS }, Cell { question, subject: over });
    Bar { name, metric: Metric::Rate, of, over, bound: Bound::AtLeast(at_least) }
}

fn cap(name: &'static str, unit: &'static str, at_most: f64) -> Cap {
    Cap { name, subject: OURS, unit, at_most }
}

fn spell(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// The names under which `subject` locks.
fn names(subject: &str) -> Vec<String> {
    (0..NAMES).map(|name| format!("{subject}/orders/{name:06}")).collect()
}

const FREE: &str = "free lock";
const OWN_NAMES: &str = "64 tasks on own names";
const ONE_NAME: &str = "8 clients on one name";
const HAND_OFF: &str = "hand-off";
const ONE_COMMAND: &str = "one command";
/// As a release, which comes while nothing else happens.
const AFTER_A_PAUSE: &str = "one command after a pause";

const OURS: &str = "lock-redis";
const RSLOCK: &str = "rslock";
const RLOCK: &str = "rlock";
const DISTRIBUTED_LOCK: &str = "distributed-lock-redis";
const BARE: &str = "bare SET + DEL";
const COMMAND: &str = "bare DEL";

const BYTES: &str = "bytes a lease";
const COMMANDS: &str = "commands";

/// The most that a question asks for.
const NAMES: usize = 64;
const CLIENTS: usize = 8;

/// Of every lock.
const TTL: Duration = Duration::from_secs(10);

/// Of a holder that is not to renew while a waiter's commands are counted.
const LONG_TTL: Duration = Duration::from_secs(60);

/// See [`Workload::HandOff`]; some twenty round trips.
const SETTLE: Duration = Duration::from_millis(4);
