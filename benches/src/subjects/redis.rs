//! Redis: the bare client, and the crates people would pick instead.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use self::bare::{Bare, Command};
use self::leases::Leases;
use self::peers::{DistributedLock, Rlock, Rslock};
use self::server::Server;
use self::waiting::Waiting;
use crate::counts::Count;
use crate::harness::{Backend, Question};
use crate::workload::{Inside, Workload};

mod bare;
pub(crate) mod leases;
mod peers;
mod server;
mod waiting;

pub(super) fn backend(runtime: &Runtime) -> Result<Backend> {
    let server = Arc::new(Server::start()?);
    runtime.block_on(connected(server))
}

async fn connected(server: Arc<Server>) -> Result<Backend> {
    let url = server.url();
    let rslock = Arc::new(Rslock::new(url));
    let rlock = Arc::new(Rlock::connect(url, TTL).await?);
    let distributed_lock = Arc::new(DistributedLock::connect(url).await?);
    let bare = Arc::new(Bare::connect(url).await?);
    let command = Arc::new(Command::connect(url).await?);
    let waiting = vec![
        Waiting::of(&server, Arc::new(Rslock::new(url).ttl(LONG_TTL)), rslock.clone()),
        Waiting::of(&server, Arc::new(Rlock::connect(url, LONG_TTL).await?), rlock.clone()),
    ];
    let leases = vec![Leases::of(&server, RSLOCK), Leases::of(&server, RLOCK)];

    Ok(Backend {
        name: "redis",
        subjects: vec![
            Box::new(rslock),
            Box::new(rlock),
            Box::new(distributed_lock),
            Box::new(bare),
            Box::new(command),
        ],
        floor: BARE,
        is_in_process: false,
        questions: vec![
            question(FREE, Workload::OwnNames { tasks: 1 }),
            question(OWN_NAMES, Workload::OwnNames { tasks: 64 }),
            question(ONE_NAME, Workload::OneName { tasks: CLIENTS, inside: Inside::Nothing }),
            question(HAND_OFF, Workload::HandOff { settle: SETTLE }),
            question(ONE_COMMAND, Workload::Command),
        ],
        bars: Vec::new(),
        counts: vec![
            Count {
                name: |plan| format!("commands while one waits {}", spell(plan.wait)),
                units: &[COMMANDS],
                subjects: waiting,
                caps: Vec::new(),
            },
            Count {
                name: |plan| format!("{} leases held for {}", plan.leases, spell(plan.wait)),
                units: &[BYTES, COMMANDS],
                subjects: leases,
                caps: Vec::new(),
            },
        ],
        only: String::new(),
    })
}

fn question(name: &'static str, workload: Workload) -> Question {
    Question { name, workload, batch: 1 }
}

fn spell(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// The names under which `subject` locks.
fn names(subject: &str) -> Vec<String> {
    (0..NAMES).map(|name| format!("{subject}:orders/{name:06}")).collect()
}

const FREE: &str = "free lock";
const OWN_NAMES: &str = "64 tasks on own names";
const ONE_NAME: &str = "8 clients on one name";
const HAND_OFF: &str = "hand-off";
const ONE_COMMAND: &str = "one command";

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
