//! A lock that is not there: logs as processes would write them, in a time that is made up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::history::{
    Ask, Event, Fact, Journal, Note, Patience, Tolerance, Verdict, What, judge, line,
};
use lock_conformance::permit;
use lockcore::queue::Ahead;
use lockcore::{BootInstant, ErrorKind, FencingToken, LockName, LossCause, Mode, Renewal, Ttl};

use crate::script::TOLERANCE;

/// Processes that take turns at one lock, one attempt each at a time.
pub(crate) struct Simulation {
    rng: Rng,
    /// How often in a hundred times somebody is granted the lock who has to wait.
    wrong: u32,
    /// How often in a thousand steps a process dies or freezes.
    ills: u32,
    modes: Vec<Mode>,
    clients: Vec<Client>,
    queue: Vec<Entry>,
    last_token: u64,
    events: Vec<Event>,
}

struct Client {
    process: Arc<str>,
    attempt: u64,
    mode: Mode,
    token: u64,
    /// Until when it believes.
    deadline: u64,
    next: Next,
    at: u64,
}

/// What a client does next, or what happens to it.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Ask,
    Arrive(Patience),
    GiveUp,
    Hear,
    Look,
    Wake,
    Release,
    Confirm,
}

/// What stands in the store.
struct Entry {
    client: usize,
    mode: Mode,
    is_granted: bool,
    /// When the store takes it out; never while its client lives.
    ends: u64,
}

impl Simulation {
    /// A lock that is as it should be.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let modes = match seed % 3 {
            0 => vec![Mode::Exclusive],
            1 => vec![Mode::Exclusive, Mode::Shared, Mode::Shared],
            _ => vec![permit(rng.u32(1..4))],
        };
        let mut client = |number| Client {
            process: format!("p{number}").into(),
            attempt: 0,
            mode: modes[0],
            token: 0,
            deadline: 0,
            next: Next::Ask,
            at: rng.u64(0..MILLI),
        };
        let clients = (0..8).map(&mut client).collect();
        let (queue, events) = (Vec::new(), Vec::new());
        Self { rng, wrong: 0, ills: 3, modes, clients, queue, last_token: 0, events }
    }

    /// A lock that is granted out of turn, to processes that live.
    pub(crate) fn wrong(seed: u64) -> Self {
        Self { wrong: 10, ills: 0, ..Self::new(seed) }
    }

    /// The log of so many attempts.
    pub(crate) fn run(mut self, attempts: usize) -> Vec<Event> {
        let mut asked = 0;
        while asked < attempts {
            let client = (0..self.clients.len()).min_by_key(|&client| self.clients[client].at);
            let (client, ends) = (client.unwrap(), self.queue.iter().map(|entry| entry.ends).min());
            let now = self.clients[client].at;
            match ends.filter(|ends| *ends <= now) {
                Some(ends) => self.remove(ends, |entry| entry.ends == ends),
                None => {
                    asked += usize::from(self.clients[client].next == Next::Ask);
                    self.step(client, now);
                }
            }
        }
        self.events
    }

    fn step(&mut self, client: usize, now: u64) {
        if self.rng.u32(..1_000) < self.ills {
            let ill = self.rng.usize(..self.clients.len());
            if matches!(self.clients[ill].next, Next::Look | Next::GiveUp) {
                self.fall_ill(ill, now);
            }
            if ill == client {
                return;
            }
        }
        let (next, pause) = match self.clients[client].next {
            Next::Ask => self.ask(client, now),
            Next::Arrive(patience) => return self.arrive(client, now, patience),
            Next::GiveUp => {
                self.leave(client, now);
                self.log(client, now, Fact::TimedOut);
                (Next::Ask, 4 * MILLI)
            }
            Next::Hear => {
                let Client { token, deadline, .. } = self.clients[client];
                self.log(
                    client,
                    now,
                    Fact::Granted { token: number(token), deadline: at(deadline) },
                );
                (Next::Look, MILLI)
            }
            Next::Look => self.look(client, now),
            Next::Wake => {
                let process = self.clients[client].process.clone();
                self.note(now, Note::Resumed { process });
                let was_held = self.clients[client].token > 0;
                let (cause, kind) = (LossCause::Expired, ErrorKind::Lost);
                let lost = if was_held { Fact::Lost { cause } } else { Fact::Failed { kind } };
                self.log(client, now + 1, lost);
                (Next::Ask, 4 * MILLI)
            }
            Next::Release => {
                self.leave(client, now);
                (Next::Confirm, MILLI)
            }
            Next::Confirm => {
                let token = number(self.clients[client].token);
                self.log(client, now, Fact::Released { token });
                (Next::Ask, 4 * MILLI)
            }
        };
        self.clients[client].next = next;
        self.clients[client].at = now + 2 + self.rng.u64(..pause);
    }

    fn ask(&mut self, client: usize, now: u64) -> (Next, u64) {
        let mode = self.modes[self.rng.usize(..self.modes.len())];
        let patience = match self.rng.u32(..6) {
            0 => Patience::None,
            1 => Patience::For(Duration::from_nanos(self.rng.u64(1..10 * MILLI))),
            _ => Patience::Forever,
        };
        self.clients[client].attempt += 1;
        self.clients[client].token = 0;
        self.clients[client].mode = mode;
        let (name, ttl) = (LockName::new("name").unwrap(), Ttl::MIN);
        let ask = Ask { name, mode, patience, ttl, renewal: Renewal::Auto };
        self.log(client, now, Fact::Asked(ask));
        (Next::Arrive(patience), MILLI)
    }

    fn arrive(&mut self, client: usize, now: u64, patience: Patience) {
        let mode = self.clients[client].mode;
        let mut ahead = Ahead::default();
        self.queue.iter().for_each(|entry| ahead.add(entry.mode));
        let waits = !ahead.admits(mode);
        if waits && patience == Patience::None {
            self.clients[client].next = Next::Ask;
            self.clients[client].at = now + 4 * MILLI;
            return self.log(client, now + 1, Fact::Busy);
        }
        let until = match patience {
            Patience::For(time) => now + time.as_nanos() as u64,
            _ => FAR,
        };
        self.clients[client].next = Next::GiveUp;
        self.clients[client].at = until;
        self.queue.push(Entry { client, mode, is_granted: false, ends: FAR });
        if waits && self.rng.bool() {
            let seen = now + self.rng.u64(1..MILLI);
            self.log(client, seen.min(until - 1), Fact::Queued);
        }
        self.promote(now);
    }

    fn look(&mut self, client: usize, now: u64) -> (Next, u64) {
        if self.rng.u32(..4) == 0 {
            self.log(client, now, Fact::Releasing);
            return (Next::Release, MILLI);
        }
        let renewed = now + BELIEF;
        let Client { token, deadline, .. } = &mut self.clients[client];
        let (token, told) = (number(*token), *deadline);
        *deadline = renewed;
        let fact = match self.rng.u32(..3) {
            0 => Fact::Renewed { token, deadline: at(renewed) },
            _ => Fact::Believes { deadline: at(told) },
        };
        self.log(client, now, fact);
        (Next::Look, 4 * MILLI)
    }

    /// The process is killed or stopped, and the store lets go of what it has a TTL later.
    fn fall_ill(&mut self, client: usize, now: u64) {
        for entry in self.queue.iter_mut().filter(|entry| entry.client == client) {
            entry.ends = entry.ends.min(now + TTL);
        }
        let process = self.clients[client].process.clone();
        if self.rng.bool() {
            self.note(now, Note::Paused { process });
            self.clients[client].next = Next::Wake;
            self.clients[client].at = now + 2 * TTL;
        } else {
            self.clients[client].process = format!("{process}+").into();
            self.clients[client].next = Next::Ask;
            self.clients[client].at = now + TTL / 2;
            self.note(now, Note::Killed { process });
        }
    }

    fn leave(&mut self, client: usize, now: u64) {
        self.remove(now, |entry| entry.client == client && entry.ends == FAR);
    }

    fn remove(&mut self, now: u64, picks: impl Fn(&Entry) -> bool) {
        self.queue.retain(|entry| !picks(entry));
        self.promote(now);
    }

    /// Grants to those whose turn it is.
    fn promote(&mut self, now: u64) {
        let is_wrong = self.rng.u32(..100) < self.wrong;
        let mut ahead = Ahead::default();
        for entry in &mut self.queue {
            if !entry.is_granted && (ahead.admits(entry.mode) || is_wrong) {
                entry.is_granted = true;
                self.last_token += 1;
                if entry.ends < FAR {
                    // Nobody hears of it.
                    entry.ends = now + TTL;
                    ahead.add(entry.mode);
                    continue;
                }
                let client = &mut self.clients[entry.client];
                client.token = self.last_token;
                client.deadline = now + BELIEF;
                client.next = Next::Hear;
                client.at = now + self.rng.u64(1..MILLI);
            }
            ahead.add(entry.mode);
        }
    }

    fn log(&mut self, client: usize, now: u64, fact: Fact) {
        let Client { process, attempt, .. } = &self.clients[client];
        let what = What::Fact { attempt: *attempt, fact };
        self.events.push(Event { at: at(now), by: process.clone(), what });
    }

    fn note(&mut self, now: u64, note: Note) {
        self.events.push(Event { at: at(now), by: "runner".into(), what: What::Note(note) });
    }
}

/// Writes the log of each process and has them judged.
pub(crate) fn verdict(events: &[Event]) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), events);
    // No answer takes longer.
    let recovery = Duration::from_nanos(2 * MILLI);
    judge(dir.path(), Tolerance { recovery, ..TOLERANCE }).unwrap()
}

/// Writes the log of each process.
pub(crate) fn write(dir: &Path, events: &[Event]) {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for event in events {
        let file = files.entry(&event.by).or_default();
        *file += &line::write(event);
        file.push('\n');
    }
    for (process, text) in files {
        fs::write(dir.join(process).with_extension(Journal::EXTENSION), text).unwrap();
    }
}

pub(crate) fn number(token: u64) -> FencingToken {
    FencingToken::new(token).unwrap()
}

pub(crate) fn at(nanos: u64) -> BootInstant {
    BootInstant::from_nanos(nanos)
}

const MILLI: u64 = 1_000_000;
/// The shortest there is, and how long it is believed.
const TTL: u64 = 100 * MILLI;
const BELIEF: u64 = 49 * MILLI;
const FAR: u64 = u64::MAX;
