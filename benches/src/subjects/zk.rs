//! ZooKeeper: ours, the recipe of its client library, and the bare client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::counted::{Counted, Watched};
use self::peer::Recipe;
use self::server::Server;
use crate::bars::Bound;
use crate::counts::Count;
use crate::harness::Backend;
use crate::subjects::CLIENTS;
use crate::subjects::foreign::{CURATOR, KAZOO};
use crate::subjects::store::counted::{cycle, waiter};
use crate::subjects::store::crowd::{self, crowd};
use crate::subjects::store::{
    BYTES, FREE, HAND_OFF, ONE_NAME, TTL, cap, far, leases as held, p50, questions, rate, spell,
};

mod bare;
pub(crate) mod broken;
mod counted;
pub(crate) mod leases;
mod meter;
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
        questions: questions(SETTLE),
        bars: vec![
            p50("free lock, p50: ours / bare", (FREE, OURS), (FREE, BARE), Bound::AtMost(1.2)),
            rate("8 tasks on one name: ours / recipe", ONE_NAME, OURS, RECIPE, 1.0),
            p50(
                "hand-off, p50: ours / recipe",
                (HAND_OFF, OURS),
                (HAND_OFF, RECIPE),
                Bound::AtMost(1.0),
            ),
        ],
        counts: counts(),
        delays: broken::delays(),
        ..connected("zk", server).await?
    })
}

async fn behind_a_link(server: Arc<Server>) -> Result<Backend> {
    let questions = far::questions(HAND_OFF, far::SETTLE);
    Ok(Backend { questions, ..connected("zk-far", server).await? })
}

/// Asked nothing yet.
async fn connected(name: &'static str, server: Arc<Server>) -> Result<Backend> {
    let url = &server.url();
    let ours = ours::clients(url, TTL).await?;
    let recipe = Recipe::connect(url, TTL).await?;
    let bare = Bare::connect(url).await?;
    let command = Command::connect(&server).await?;
    Ok(Backend {
        name,
        subjects: vec![
            Box::new(Arc::new(ours)),
            Box::new(Arc::new(recipe)),
            CURATOR.team(url),
            KAZOO.team(url),
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
                cycle::<Counted, _>(OURS, ours::clients),
                cycle::<Counted, _>(RECIPE, Recipe::connect),
            ],
            // Trips are not judged: see the README on what the client library makes of them.
            caps: vec![cap("requests of a free lock", OURS, REQUESTS, 3.0)],
        },
        Count {
            name: |plan| format!("requests while one waits {}", spell(plan.wait)),
            units: UNITS,
            subjects: vec![
                waiter::<Counted, _>(OURS, ours::clients),
                waiter::<Counted, _>(RECIPE, Recipe::connect),
            ],
            caps: Vec::new(),
        },
        Count {
            name: |plan| format!("{} that wait for one lock are granted", plan.waiters),
            units: crowd::UNITS,
            subjects: vec![
                crowd::<Watched, _>(OURS, CLIENTS, ours::clients),
                crowd::<Watched, _>(RECIPE, CLIENTS, Recipe::connect),
            ],
            caps: vec![cap("requests of a grant, of 1000", OURS, crowd::REQUESTS, 2.5)],
        },
    ];
    counts.extend(held::counts::<Counted>(
        UNITS_OF_LEASES,
        &[OURS, RECIPE],
        vec![
            cap("bytes of a lease, of 10000", OURS, BYTES, 2_048.0),
            // A probe and a look in each period of renewals, a third of the TTL, and one more of
            // each at the edge.
            cap("requests of 10000 leases in a TTL", OURS, REQUESTS, 8.0),
        ],
    ));
    counts
}

const OURS: &str = "lock-zk";
const RECIPE: &str = "zookeeper-client's lock";
const BARE: &str = "bare create + delete";
const COMMAND: &str = "bare delete";

/// All but pings, which are not asked for.
const REQUESTS: &str = "requests";
/// How often a request was sent after a reply.
const TRIPS: &str = "trips";
/// All that have no number of their own, which comes last.
const OTHERS: &str = "others";
const UNITS: &[&str] = &[
    REQUESTS,
    TRIPS,
    "create",
    "getChildren",
    "getData",
    "exists",
    "delete",
    "multi",
    "getEphemerals",
    "ping",
    OTHERS,
];
const UNITS_OF_LEASES: &[&str] = &[
    BYTES,
    REQUESTS,
    TRIPS,
    "create",
    "getChildren",
    "getData",
    "exists",
    "delete",
    "multi",
    "getEphemerals",
    "ping",
    OTHERS,
];

/// See [`Workload::HandOff`](crate::workload::Workload::HandOff); some ten round trips, of which to
/// queue and watch takes three.
const SETTLE: Duration = Duration::from_millis(8);
