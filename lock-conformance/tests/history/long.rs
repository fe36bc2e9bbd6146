//! Long logs are judged soon: no step takes a time that grows with the square of the log.

use std::time::{Duration, Instant};

use lock_conformance::history::{Ask, Event, Fact, Log, Patience, Verdict, What};
use lock_conformance::time::patience;
use lockcore::{BootInstant, LockName, Mode, Renewal, Rule, Ttl};

use crate::script::TOLERANCE;
use crate::simulation::{Simulation, at, number, write};

#[test]
fn a_long_log() {
    let mut events = Simulation::new(1).run(36_000);
    assert!(events.len() > 200_000, "{} events", events.len());
    events.truncate(200_000);
    assert!(judged_soon(&events).is_sound());
}

/// All wait, then all hold at once.
#[test]
fn a_crowd_of_readers() {
    assert!(judged_soon(&crowd(Mode::Shared)).is_sound());
}

/// Each but the first contradicts another, and that is told of each.
#[test]
fn a_crowd_of_writers() {
    let verdict = judged_soon(&crowd(Mode::Exclusive));
    let is_overlap = |rule: &Rule| *rule == Rule::R1;
    let rules = verdict.contradictions.iter().map(|found| found.rule).filter(is_overlap);
    assert_eq!(rules.count(), CROWD as usize - 1);
    assert!(verdict.to_string().lines().count() < 200, "nobody reads so much");
}

fn crowd(mode: Mode) -> Vec<Event> {
    let mut events = Vec::new();
    for attempt in 1..=CROWD {
        let name = LockName::new("name").unwrap();
        let (patience, ttl) = (Patience::Forever, Ttl::MAX);
        let ask = Ask { name, mode, patience, ttl, renewal: Renewal::Auto };
        let (token, deadline) = (number(attempt), BootInstant::FAR);
        let mut log = |time: u64, fact| {
            let what = What::Fact { attempt, fact };
            events.push(Event { at: at(time * CROWD + attempt), by: "crowd".into(), what });
        };
        log(0, Fact::Asked(ask));
        log(1, Fact::Queued);
        log(2, Fact::Granted { token, deadline });
        log(3, Fact::Believes { deadline });
        log(4, Fact::Releasing);
        log(5, Fact::Released { token });
    }
    events
}

fn judged_soon(events: &[Event]) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), events);
    let began = Instant::now();
    let log = Log::read(dir.path()).unwrap();
    let read: Duration = began.elapsed();
    let verdict = Verdict::of(&log, TOLERANCE).unwrap();
    println!("{} lines read in {read:?}, judged in {:?}", log.len(), began.elapsed() - read);
    assert!(began.elapsed() < patience() * 3, "it took {:?}", began.elapsed());
    verdict
}

const CROWD: u64 = 30_000;
