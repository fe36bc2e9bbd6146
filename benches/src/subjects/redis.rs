//! Redis: ours, the crates people would pick instead, and the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::counted::Watched;
use self::peers::{DistributedLock, Rlock, Rslock};
use self::server::{COMMANDS, IN_SCRIPTS, Server};
use crate::bars::Bound;
use crate::counts::Count;
use crate::harness::Backend;
use crate::subjects::CLIENTS;
use crate::subjects::foreign::REDIS_PY;
use crate::subjects::store::counted::{cycle, waiter};
use crate::subjects::store::crowd::{self, crowd};
use crate::subjects::store::{
    AFTER_A_PAUSE, BYTES, FREE, HAND_OFF, OWN_NAMES, TTL, cap, far, leases as held, p50, questions,
    rate, spell,
};

mod bare;
pub(crate) mod broken;
mod counted;
pub(crate) mod leases;
mod ours;
mod peers;
mod server;

pub(super) fn backend(runtime: &Runtime) -> Result<Backend> {
    runtime.block_on(async { near(Arc::new(Server::start().await?)).await })
}

/// The same server at the end of a link, where trips are what costs.
pub(super) fn far(runtime: &Runtime) -> Result<Backend> {
    runtime.block_on(async { behind_a_link(Arc::new(Server::start_far().await?)).await })
}

async fn near(server: Arc<Server>) -> Result<Backend> {
    Ok(Backend {
        questions: questions(SETTLE),
        bars: vec![
            p50("free lock, p50: ours / bare", (FREE, OURS), (FREE, BARE), Bound::AtMost(1.35)),
            rate("own names: ours / bare", OWN_NAMES, OURS, BARE, 0.6),
            rate("own names: ours / rslock", OWN_NAMES, OURS, RSLOCK, 1.0),
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
        counts: counts(),
        delays: broken::delays(),
        ..connected("redis", server).await?
    })
}

async fn behind_a_link(server: Arc<Server>) -> Result<Backend> {
    let questions = far::questions(HAND_OFF, far::SETTLE);
    Ok(Backend { questions, ..connected("redis-far", server).await? })
}

/// Asked nothing yet.
async fn connected(name: &'static str, server: Arc<Server>) -> Result<Backend> {
    let url = &server.url();
    let ours = Arc::new(ours::clients(url, TTL).await?);
    let rslock = Arc::new(Rslock::new(url, TTL));
    let rlock = Arc::new(Rlock::connect(url, TTL).await?);
    let distributed_lock = Arc::new(DistributedLock::connect(url, TTL).await?);
    let bare = Arc::new(Bare::connect(url).await?);
    let command = Arc::new(Command::connect(&server).await?);
    Ok(Backend {
        name,
        subjects: vec![
            Box::new(ours),
            Box::new(rslock),
            Box::new(rlock),
            Box::new(distributed_lock),
            REDIS_PY.team(url),
            Box::new(bare),
            Box::new(command),
        ],
        floor: BARE,
        is_in_process: false,
        server: Some(server.process()),
        questions: Vec::new(),
        bars: Vec::new(),
        counts: Vec::new(),
        delays: Vec::new(),
        only: String::new(),
    })
}

fn counts() -> Vec<Count> {
    let mut counts = vec![
        Count {
            name: |_| "commands of a free lock".to_owned(),
            units: &[COMMANDS, IN_SCRIPTS],
            subjects: vec![
                cycle::<Server, _>(OURS, ours::clients),
                cycle::<Server, _>(RSLOCK, async |url: &str, ttl| Ok(Rslock::new(url, ttl))),
                cycle::<Server, _>(RLOCK, Rlock::connect),
                cycle::<Server, _>(DISTRIBUTED_LOCK, DistributedLock::connect),
            ],
            caps: vec![cap("commands of a free lock", OURS, COMMANDS, 2.0)],
        },
        Count {
            name: |plan| format!("commands while one waits {}", spell(plan.wait)),
            units: &[COMMANDS, IN_SCRIPTS],
            subjects: vec![
                waiter::<Server, _>(OURS, ours::clients),
                waiter::<Server, _>(RSLOCK, async |url: &str, ttl| Ok(Rslock::new(url, ttl))),
                waiter::<Server, _>(RLOCK, Rlock::connect),
            ],
            caps: vec![cap("commands of one that waits 10s", OURS, COMMANDS, 5.0)],
        },
        Count {
            name: |plan| format!("{} that wait for one lock are granted", plan.waiters),
            units: crowd::UNITS,
            subjects: vec![
                crowd::<Watched, _>(OURS, CLIENTS, ours::clients),
                crowd::<Watched, _>(RSLOCK, CLIENTS, async |url: &str, ttl| {
                    Ok(Rslock::new(url, ttl))
                }),
                crowd::<Watched, _>(RLOCK, CLIENTS, Rlock::connect),
            ],
            caps: vec![cap("commands of a grant, of 1000", OURS, crowd::REQUESTS, 1.5)],
        },
    ];
    counts.extend(held::counts::<Server>(
        &[BYTES, COMMANDS, IN_SCRIPTS],
        &[OURS, RSLOCK, RLOCK, DISTRIBUTED_LOCK],
        vec![
            cap("bytes of a lease, of 10000", OURS, BYTES, 2_048.0),
            // 200 in each period of renewals, a third of the TTL.
            cap("renewals of 10000 leases in a TTL", OURS, COMMANDS, 600.0),
        ],
    ));
    counts
}

const OURS: &str = "lock-redis";
const RSLOCK: &str = "rslock";
const RLOCK: &str = "rlock";
const DISTRIBUTED_LOCK: &str = "distributed-lock-redis";
const BARE: &str = "bare SET + DEL";
const COMMAND: &str = "bare DEL";

/// See [`Workload::HandOff`](crate::workload::Workload::HandOff); some twenty round trips.
const SETTLE: Duration = Duration::from_millis(4);
