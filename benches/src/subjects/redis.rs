//! Redis: ours, the crates people would pick instead, and the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::leases::Leases;
use self::peers::{DistributedLock, Rlock, Rslock};
use self::server::Server;
use self::waiting::Waiting;
use crate::bars::Bound;
use crate::counts::Count;
use crate::harness::Backend;
use crate::subjects::foreign::REDIS_PY;
use crate::subjects::store::{
    AFTER_A_PAUSE, BYTES, FREE, HAND_OFF, LONG_TTL, OWN_NAMES, TTL, cap, p50, questions, rate,
    spell,
};

mod bare;
pub(crate) mod broken;
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
    let ours = Arc::new(ours::clients(url, TTL).await?);
    let rslock = Arc::new(Rslock::new(url));
    let rlock = Arc::new(Rlock::connect(url, TTL).await?);
    let distributed_lock = Arc::new(DistributedLock::connect(url).await?);
    let bare = Arc::new(Bare::connect(url).await?);
    let command = Arc::new(Command::connect(url).await?);
    let waiting = vec![
        Waiting::of(&server, Arc::new(ours::clients(url, LONG_TTL).await?), ours.clone()),
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
            REDIS_PY.team(url),
            Box::new(bare),
            Box::new(command),
        ],
        floor: BARE,
        is_in_process: false,
        server: Some(server.process()),
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
        counts: vec![
            Count {
                name: |plan| format!("commands while one waits {}", spell(plan.wait)),
                units: &[COMMANDS],
                subjects: waiting,
                caps: vec![cap("commands of one that waits 10s", OURS, COMMANDS, 5.0)],
            },
            Count {
                name: |plan| format!("{} leases held for {}", plan.leases, spell(plan.wait)),
                units: &[BYTES, COMMANDS],
                subjects: leases,
                caps: vec![
                    cap("bytes of a lease, of 10000", OURS, BYTES, 2_048.0),
                    // 200 in each period of renewals, a third of the TTL.
                    cap("renewals of 10000 leases in a TTL", OURS, COMMANDS, 600.0),
                ],
            },
        ],
        delays: broken::delays(),
        only: String::new(),
    })
}

const OURS: &str = "lock-redis";
const RSLOCK: &str = "rslock";
const RLOCK: &str = "rlock";
const DISTRIBUTED_LOCK: &str = "distributed-lock-redis";
const BARE: &str = "bare SET + DEL";
const COMMAND: &str = "bare DEL";

const COMMANDS: &str = "commands";

/// See [`Workload::HandOff`](crate::workload::Workload::HandOff); some twenty round trips.
const SETTLE: Duration = Duration::from_millis(4);
