//! One process that uses locks: a load all the time, and what the runner asks for by lines.
//!
//! | line | what it does |
//! |---|---|
//! | `load on`, `load off` | locks of shared names, held for moments |
//! | `era NAME` | the names of the load are others from now on |
//! | `chaos on`, `chaos off` | the load drops its acquisitions |
//! | `careless on`, `careless off` | the load drops its releases |
//! | `keep NAME KIND` | takes a lock and keeps it: `queued`, `held`, `lost` |
//! | `free NAME` | gives that back: `freed`, or `gone` if it was lost |
//! | `renew NAME KIND` | takes a lock and renews it all the time: `queued`, `held`, `lost`, and `answered NAME late` if a renewal from before the loss was answered after it; until it is freed |
//! | `turn NAME KIND` | takes a lock, works under it for a moment, gives it back: `queued`, `done` |
//! | `leave NAME` | those who wait for a turn go |
//! | `crowd NAME COUNT` | so many turns at once: `served` for each |
//! | `count NAME COUNT` | waits until so many wait for what is kept: `counting` at times, `counted` |
//! | `storm NAME READERS WRITERS MILLIS` | each in a loop: `stormed READS WRITES` |
//! | `block MILLIS` | blocks the runtime: `blocked` |
//! | `clock` | the wall clock in seconds: `clock SECONDS` |
//! | `tell` | `tally GRANTS FAILED DROPPED CARELESS` |
//! | `stop` | gives everything back and ends: `stopped` |

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use lock_conformance::history::Journal;
use lock_testkit::child::Role;
use lockcore::Ttl;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use self::kind::Kind;
use self::witness::Witness;
use crate::resource::Writer;

mod kind;
mod load;
mod renew;
mod scenes;
mod witness;

/// Works until it is stopped or killed.
pub(crate) fn run(role: Role) -> Result<()> {
    // One thread, so that it can be blocked.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work(role))
}

/// What all tasks of the process share.
pub(crate) struct Worker {
    role: Role,
    witness: Witness,
    load: Cell<bool>,
    /// What the names of the load begin with.
    era: RefCell<String>,
    chaos: Cell<bool>,
    careless: Cell<bool>,
    /// Those who keep a lock, by its name.
    keepers: RefCell<BTreeMap<String, Rc<Notify>>>,
    /// Those who wait for a turn, by its name.
    turns: RefCell<BTreeMap<String, Vec<Rc<Notify>>>>,
    /// How many of the load are not at rest.
    busy: Cell<usize>,
}

async fn work(role: Role) -> Result<()> {
    let ttl = Duration::from_millis(role.var("TTL").parse()?);
    let journal = Journal::create(role.var("JOURNAL"), role.entry())?;
    let resource = Writer::connect(&role.var("RESOURCE")).await?;
    let locks = connect(&role.var("URL")).await?.ttl(ttl)?;
    let worker = Rc::new(Worker {
        witness: Witness::new(locks, Ttl::new(ttl)?, journal, resource),
        role,
        load: Cell::new(false),
        era: RefCell::new("load".to_owned()),
        chaos: Cell::new(false),
        careless: Cell::new(false),
        keepers: RefCell::default(),
        turns: RefCell::default(),
        busy: Cell::new(0),
    });
    for task in 0..LOAD {
        spawn_local(load::run(worker.clone(), task));
    }
    let mut commands = worker.role.commands();
    worker.role.report("ready");
    while let Some(line) = commands.recv().await {
        let words: Vec<_> = line.split(' ').collect();
        if words == ["stop"] {
            return worker.stop().await;
        }
        worker.obey(&words).with_context(|| format!("`{line}`"))?;
    }
    Ok(())
}

/// A store that is being broken may refuse the first attempts.
async fn connect(url: &str) -> Result<lockcore::Locks> {
    let connected = async {
        loop {
            match leasehold::connect(url).await {
                Ok(locks) => return Ok(locks),
                Err(error) if error.is_transient() => sleep(AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    };
    timeout(CONNECT, connected).await.context("the store does not answer")?.context("connecting")
}

impl Worker {
    fn obey(self: &Rc<Self>, words: &[&str]) -> Result<()> {
        match words {
            ["load", word] => self.load.set(on(word)?),
            ["era", name] => *self.era.borrow_mut() = (*name).to_owned(),
            ["chaos", word] => self.chaos.set(on(word)?),
            ["careless", word] => self.careless.set(on(word)?),
            ["keep", name, kind] => {
                let free = Rc::new(Notify::new());
                self.keepers.borrow_mut().insert((*name).to_owned(), free.clone());
                let kind = parse(kind)?;
                spawn_local(scenes::keep(self.clone(), (*name).to_owned(), kind, free));
            }
            ["renew", name, kind] => {
                let free = Rc::new(Notify::new());
                self.keepers.borrow_mut().insert((*name).to_owned(), free.clone());
                let kind = parse(kind)?;
                spawn_local(renew::run(self.clone(), (*name).to_owned(), kind, free));
            }
            ["free", name] => match self.keepers.borrow_mut().remove(*name) {
                Some(keeper) => keeper.notify_one(),
                None => self.role.report(&format!("gone {name}")),
            },
            ["turn", name, kind] => {
                let leaves = Rc::new(Notify::new());
                let turns = &mut *self.turns.borrow_mut();
                turns.entry((*name).to_owned()).or_default().push(leaves.clone());
                let kind = parse(kind)?;
                spawn_local(scenes::turn(self.clone(), (*name).to_owned(), kind, leaves));
            }
            ["leave", name] => {
                let turns = self.turns.borrow_mut().remove(*name);
                turns.into_iter().flatten().for_each(|turn| turn.notify_one());
            }
            ["crowd", name, count] => {
                spawn_local(scenes::crowd(self.clone(), (*name).to_owned(), count.parse()?));
            }
            ["count", name, count] => {
                spawn_local(scenes::count(self.clone(), (*name).to_owned(), count.parse()?));
            }
            ["storm", name, readers, writers, millis] => {
                let time = Duration::from_millis(millis.parse()?);
                let crowd = (readers.parse()?, writers.parse()?);
                spawn_local(scenes::storm(self.clone(), (*name).to_owned(), crowd, time));
            }
            ["block", millis] => {
                thread::sleep(Duration::from_millis(millis.parse()?));
                self.role.report("blocked");
            }
            ["clock"] => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                self.role.report(&format!("clock {}", now.as_secs()));
            }
            ["tell"] => {
                let tally = &self.witness.tally;
                let counts = [&tally.grants, &tally.failed, &tally.dropped, &tally.careless];
                let counts: Vec<_> = counts.iter().map(|count| count.get().to_string()).collect();
                self.role.report(&format!("tally {}", counts.join(" ")));
            }
            _ => bail!("unknown command"),
        }
        Ok(())
    }

    async fn stop(self: Rc<Self>) -> Result<()> {
        self.load.set(false);
        self.turns.take().into_values().flatten().for_each(|turn| turn.notify_one());
        self.keepers.take().into_values().for_each(|keeper| keeper.notify_one());
        // A shutdown takes from holders what they did not give back: that is not what is tried here.
        let at_rest = async {
            while self.busy.get() > 0 {
                sleep(AGAIN).await;
            }
        };
        if timeout(SHUTDOWN, at_rest).await.is_err() {
            self.role.report("stopped with acquisitions under way");
            return Ok(());
        }
        let shutdown = timeout(SHUTDOWN, self.witness.locks().shutdown()).await;
        let ended = match shutdown {
            Ok(Ok(())) => "well".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "not in time".to_owned(),
        };
        self.role.report(&format!("stopped {ended}"));
        Ok(())
    }
}

fn on(word: &str) -> Result<bool> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => bail!("`{word}` is neither on nor off"),
    }
}

fn parse(kind: &str) -> Result<Kind> {
    kind.parse().map_err(anyhow::Error::msg)
}

/// Tasks that lock all the time.
const LOAD: u64 = 4;
const AGAIN: Duration = Duration::from_millis(50);
const CONNECT: Duration = Duration::from_secs(60);
const SHUTDOWN: Duration = Duration::from_secs(60);
