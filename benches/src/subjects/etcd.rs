//! etcd: ours, its own lock service, and the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::peer::LockRpc;
use self::server::{KEEP_ALIVES, OTHERS, REQUESTS, Server};
use crate::bars::Bound;
use crate::counts::Count;
use crate::harness::Backend;
use crate::subjects::CLIENTS;
use crate::subjects::store::counted::{cycle, waiter};
use crate::subjects::store::crowd::{self, crowd};
use crate::subjects::store::{
    AFTER_A_PAUSE, BYTES, FREE, HAND_OFF, LATE_HAND_OFF, ONE_NAME, TTL, cap, far, leases as held,
    p50, question, questions, rate, spell,
};
use crate::workload::Workload;

mod bare;
pub(crate) mod broken;
mod counted;
pub(crate) mod leases;
mod ours;
mod peer;
mod server;

pub(super) fn backend(runtime: &Runtime) -> Result<Backend> {
    runtime.block_on(async { near(Arc::new(Server::start().await)).await })
}

/// The same server at the end of a link, where trips are what costs.
pub(super) fn far(runtime: &Runtime) -> Result<Backend> {
    runtime.block_on(async { behind_a_link(Arc::new(Server::start_far().await)).await })
}

async fn near(server: Arc<Server>) -> Result<Backend> {
    Ok(Backend {
        questions: [
            questions(SETTLE),
            vec![question(LATE_HAND_OFF, Workload::HandOff { settle: LONG_SETTLE })],
        ]
        .concat(),
        bars: vec![
            p50("free lock, p50: ours / bare", (FREE, OURS), (FREE, BARE), Bound::AtMost(1.15)),
            rate("8 tasks on one name: ours / Lock RPC", ONE_NAME, OURS, LOCK_RPC, 5.0),
            p50(
                "hand-off, p50: ours / one command after a pause",
                (HAND_OFF, OURS),
                (AFTER_A_PAUSE, COMMAND),
                Bound::AtMost(3.0),
            ),
            p50(
                "hand-off, p50: Lock RPC / ours",
                (HAND_OFF, LOCK_RPC),
                (HAND_OFF, OURS),
                Bound::AtLeast(20.0),
            ),
        ],
        counts: counts(),
        delays: broken::delays(),
        ..connected("etcd", server).await?
    })
}

async fn behind_a_link(server: Arc<Server>) -> Result<Backend> {
    // The Lock RPC is to be up to date: trips are asked for, not what it waits for.
    let questions = far::questions(LATE_HAND_OFF, LONG_SETTLE);
    Ok(Backend { questions, ..connected("etcd-far", server).await? })
}

/// Asked nothing yet.
async fn connected(name: &'static str, server: Arc<Server>) -> Result<Backend> {
    let url = &server.url();
    let ours = ours::clients(url, TTL).await?;
    let lock_rpc = LockRpc::connect(url).await?;
    let bare = Bare::connect(url).await?;
    let command = Command::connect(&server).await?;
    Ok(Backend {
        name,
        subjects: vec![
            Box::new(Arc::new(ours)),
            Box::new(Arc::new(lock_rpc)),
            Box::new(Arc::new(bare)),
            Box::new(Arc::new(command)),
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
            name: |_| "requests of a free lock".to_owned(),
            units: UNITS,
            subjects: vec![
                cycle::<Server, _>(OURS, ours::clients),
                cycle::<Server, _>(LOCK_RPC, async |url: &str, _| LockRpc::connect(url).await),
            ],
            caps: vec![cap("requests of a free lock", OURS, REQUESTS, 2.0)],
        },
        Count {
            name: |plan| format!("requests while one waits {}", spell(plan.wait)),
            units: UNITS,
            subjects: vec![
                waiter::<Server, _>(OURS, ours::clients),
                waiter::<Server, _>(LOCK_RPC, async |url: &str, _| LockRpc::connect(url).await),
            ],
            caps: Vec::new(),
        },
        Count {
            name: |plan| format!("{} that wait for one lock are granted", plan.waiters),
            units: crowd::UNITS,
            subjects: vec![
                crowd::<Server, _>(OURS, CLIENTS, ours::clients),
                crowd::<Server, _>(LOCK_RPC, LEASES, async |url: &str, _| {
                    LockRpc::with_leases(url, LEASES).await
                }),
            ],
            caps: vec![cap("requests of a grant, of 1000", OURS, crowd::REQUESTS, 3.5)],
        },
    ];
    counts.extend(held::counts::<Server>(
        UNITS_OF_LEASES,
        &[OURS, LOCK_RPC],
        vec![
            cap("bytes of a lease, of 10000", OURS, BYTES, 2_048.0),
            // One in each period of renewals, a third of the TTL, and one at the edge.
            cap("keepalives of 10000 leases in a TTL", OURS, KEEP_ALIVES, 4.0),
        ],
    ));
    counts
}

const OURS: &str = "lock-etcd";
const LOCK_RPC: &str = "etcd's Lock RPC";
const BARE: &str = "bare put-if-absent + delete";
const COMMAND: &str = "bare delete";

const UNITS: &[&str] =
    &[REQUESTS, "Txn", "DeleteRange", "Watch", KEEP_ALIVES, "LeaseTimeToLive", OTHERS];
const UNITS_OF_LEASES: &[&str] =
    &[BYTES, REQUESTS, "Txn", "DeleteRange", "Watch", KEEP_ALIVES, "LeaseTimeToLive", OTHERS];

/// See [`Workload::HandOff`]; some fifteen round trips, of which to queue and watch takes three.
const SETTLE: Duration = Duration::from_millis(8);

/// Longer than the server's pause between two looks for watches that begin in the past.
const LONG_SETTLE: Duration = Duration::from_millis(150);

/// Of a crowd that waits and of the holder, each has one: those of one lease let each other in.
const LEASES: usize = 1_001;

/// Of leases that nobody renews: longer than a run.
const LONG_LEASE_SECONDS: i64 = 3_600;
