//! Logs that were made at random: the sound ones pass, and nothing that is wrong in one escapes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lock_conformance::history::{Event, Fact, What};
use lockcore::{BootInstant, FencingToken, LossCause, Mode, Rule};

use crate::simulation::{Simulation, at, verdict};

/// An attempt by its process and number, with its events by their places in the log.
type Attempts = BTreeMap<(Arc<str>, u64), Vec<usize>>;

fn attempts(events: &[Event]) -> Attempts {
    let mut attempts = Attempts::new();
    for (place, event) in events.iter().enumerate() {
        if let What::Fact { attempt, .. } = event.what {
            attempts.entry((event.by.clone(), attempt)).or_default().push(place);
        }
    }
    attempts
}

fn fact(event: &Event) -> &Fact {
    let What::Fact { fact, .. } = &event.what else { panic!("{event:?} is a note") };
    fact
}

fn fact_mut(event: &mut Event) -> &mut Fact {
    let What::Fact { fact, .. } = &mut event.what else { panic!("a note") };
    fact
}

/// A hold that was released in peace: its mode, and where its request, grant and release are.
#[derive(Clone, Copy, Debug)]
struct Hold {
    mode: Mode,
    asked: usize,
    queued: Option<usize>,
    granted: usize,
    releasing: usize,
    released: usize,
}

fn holds(events: &[Event]) -> Vec<Hold> {
    let mut holds = Vec::new();
    for places in attempts(events).values() {
        let find = |picks: fn(&Fact) -> bool| {
            places.iter().copied().find(|place| picks(fact(&events[*place])))
        };
        let granted = find(|fact| matches!(fact, Fact::Granted { .. }));
        let released = find(|fact| matches!(fact, Fact::Released { .. }));
        let Fact::Asked(ask) = fact(&events[places[0]]) else { panic!("{places:?} was not asked") };
        if let (Some(granted), Some(released)) = (granted, released) {
            let releasing = find(|fact| *fact == Fact::Releasing).unwrap();
            let queued = find(|fact| *fact == Fact::Queued);
            let (mode, asked) = (ask.mode, places[0]);
            holds.push(Hold { mode, asked, queued, granted, releasing, released });
        }
    }
    holds.sort_by_key(|hold| events[hold.granted].at);
    holds
}

#[test]
fn sound_logs_pass() {
    let mut ills = 0;
    let seeds = if std::env::var_os("LEASEHOLD_LONG").is_some() { 1_000 } else { 60 };
    for seed in 0..seeds {
        let verdict = verdict(&Simulation::new(seed).run(400));
        assert!(verdict.is_sound() && verdict.expected.is_empty(), "seed {seed}: {verdict}");
        assert!(verdict.grants.len() > 100, "seed {seed}: {verdict}");
        let lost = verdict.outcomes.iter().filter(|(outcome, _)| outcome.starts_with("lost"));
        ills += lost.map(|(_, count)| count).sum::<usize>();
    }
    assert!(ills > 20, "only {ills} were paused");
}

/// Each grant that is beside one it does not go with, and no other, looked for one by one.
#[test]
fn the_sweep_finds_what_is_found_one_by_one() {
    let mut found = 0;
    for seed in 0..60 {
        let events = Simulation::wrong(seed).run(300);
        let verdict = verdict(&events);
        let beliefs: Vec<_> = beliefs(&events);
        let slow: BTreeSet<_> = beliefs
            .iter()
            .filter(|belief| is_beside(belief, &beliefs))
            .map(|(at, ..)| *at)
            .collect();
        let overlaps = verdict.contradictions.iter().filter(|found| found.rule == Rule::R1);
        let fast: BTreeSet<_> = overlaps.map(|found| instant(&found.other.text)).collect();
        assert_eq!(fast, slow, "seed {seed}: {verdict}");
        found += fast.len();
    }
    assert!(found > 500, "only {found} overlaps");
}

/// What each holder surely believed.
fn beliefs(events: &[Event]) -> Vec<(BootInstant, BootInstant, Mode)> {
    let mut beliefs = Vec::new();
    for places in attempts(events).values() {
        let Fact::Asked(ask) = fact(&events[places[0]]) else { panic!("{places:?} was not asked") };
        let (mut from, mut deadline, mut sure) = (None, at(0), at(0));
        let (mut releasing, mut released) = (BootInstant::FAR, false);
        for event in places.iter().map(|place| &events[*place]) {
            match fact(event) {
                Fact::Granted { deadline: until, .. } => {
                    (from, deadline) = (Some(event.at), *until);
                    sure = at(event.at.as_nanos() + 1);
                }
                Fact::Believes { deadline: until } | Fact::Renewed { deadline: until, .. } => {
                    deadline = deadline.max(*until);
                    sure = at(event.at.as_nanos() + 1);
                }
                Fact::Releasing => releasing = event.at,
                Fact::Released { .. } => released = true,
                _ => {}
            }
        }
        if let Some(from) = from {
            let to = if released { deadline.max(sure).min(releasing) } else { sure };
            beliefs.push((from, to, ask.mode));
        }
    }
    beliefs
}

fn is_beside(
    (from, _, mode): &(BootInstant, BootInstant, Mode),
    all: &[(BootInstant, BootInstant, Mode)],
) -> bool {
    let held: Vec<_> = all
        .iter()
        .filter(|(other, to, _)| other < from && to > from)
        .map(|(.., mode)| *mode)
        .collect();
    match mode {
        Mode::Exclusive => !held.is_empty(),
        Mode::Shared => held.contains(&Mode::Exclusive),
        Mode::Permit { of } => held.len() >= of.get() as usize,
    }
}

fn instant(text: &str) -> BootInstant {
    let nanos = text.strip_prefix("at=").and_then(|text| text.split(' ').next());
    at(nanos.unwrap().parse().unwrap())
}

/// A change of a sound log that makes it wrong; false if there is nothing in it to be changed so.
type Mutation = fn(&mut Vec<Event>, &mut Rng) -> bool;

const MUTATIONS: &[(&str, Rule, Mutation)] = &[
    ("a grant in the belief of another", Rule::R1, |events, rng| {
        let Some((one, other)) = neighbours(events, rng) else { return false };
        events[other.granted].at = at(events[one.granted].at.as_nanos() + 1);
        true
    }),
    ("a release that began too late", Rule::R1, |events, rng| {
        let Some((one, other)) = neighbours(events, rng) else { return false };
        let granted = events[other.granted].at;
        append(events, one, granted, Fact::Believes { deadline: BootInstant::FAR });
        events[one.releasing].at = at(granted.as_nanos() + 1);
        events[one.released].at = at(granted.as_nanos() + 2);
        true
    }),
    ("swapped tokens", Rule::R2, |events, rng| {
        let Some((one, other)) = neighbours(events, rng) else { return false };
        let tokens = [token(events, one), token(events, other)];
        set_token(events, one, tokens[1]);
        set_token(events, other, tokens[0]);
        true
    }),
    ("a token that was used before", Rule::R2, |events, rng| {
        let holds = holds(events);
        let one = holds[rng.usize(..holds.len())];
        let other = holds[rng.usize(..holds.len())];
        let used = token(events, one);
        let is_another = one.granted != other.granted;
        if is_another {
            set_token(events, other, used);
        }
        is_another
    }),
    ("a belief after the release", Rule::R3, |events, rng| {
        let hold = any(events, rng);
        let at = events[hold.released].at;
        let deadline = BootInstant::FAR;
        append(events, hold, at, Fact::Believes { deadline });
        true
    }),
    ("a renewal after the loss", Rule::R3, |events, rng| {
        let hold = any(events, rng);
        let (token, deadline) = (token(events, hold), BootInstant::FAR);
        let released = events[hold.released].at;
        append(events, hold, released, Fact::Lost { cause: LossCause::Revoked });
        let after = at(released.as_nanos() + 1);
        append(events, hold, after, Fact::Renewed { token, deadline });
        true
    }),
    ("a belief at its deadline", Rule::R4, |events, rng| {
        let hold = any(events, rng);
        let at = events[hold.granted].at;
        append(events, hold, at, Fact::Believes { deadline: at });
        true
    }),
    ("a deadline beyond the TTL", Rule::R4, |events, rng| {
        let hold = any(events, rng);
        let late = at(events[hold.granted].at.as_nanos() + 100_000_000);
        let Fact::Granted { deadline, .. } = fact_mut(&mut events[hold.granted]) else {
            return false;
        };
        *deadline = late;
        true
    }),
    ("a loss before a release that was confirmed", Rule::R5, |events, rng| {
        let hold = any(events, rng);
        let lost = events[hold.releasing].at;
        append(events, hold, lost, Fact::Lost { cause: LossCause::Expired });
        true
    }),
    ("the release of another", Rule::R5, |events, rng| {
        let hold = any(events, rng);
        let Fact::Released { token } = fact_mut(&mut events[hold.released]) else { return false };
        *token = FencingToken::new(token.as_u64() + 1).unwrap();
        true
    }),
    ("a free lock that nobody is told of", Rule::R8, |events, rng| {
        let mut draws = (0..100).filter_map(|_| neighbours(events, rng));
        let Some((_, other)) = draws.find(|pair| waits_for_release(events, *pair)) else {
            return false;
        };
        let granted = events[other.granted].at;
        // Whatever comes from its grant on is late.
        let late = |at: BootInstant| at.saturating_add(Duration::from_millis(50));
        for event in events.iter_mut().filter(|event| event.at >= granted) {
            event.at = late(event.at);
            if let What::Fact {
                fact:
                    Fact::Granted { deadline, .. }
                    | Fact::Believes { deadline }
                    | Fact::Renewed { deadline, .. },
                ..
            } = &mut event.what
            {
                *deadline = late(*deadline);
            }
        }
        true
    }),
    ("a place in the queue that was before", Rule::R9, |events, rng| {
        // Of two that went one after the other, the later one is seen before the first has asked.
        let Some((one, other)) = neighbours(events, rng) else { return false };
        let is_alone = [one, other].iter().all(|hold| hold.mode == Mode::Exclusive);
        let Some(queued) = other.queued.filter(|_| is_alone) else { return false };
        let asked = events[one.asked].at.as_nanos();
        events[queued].at = at(asked - 1);
        true
    }),
];

/// Two holds of which the second began after the first, and of which one is alone.
fn neighbours(events: &[Event], rng: &mut Rng) -> Option<(Hold, Hold)> {
    let holds = holds(events);
    let excludes = |pair: &&[Hold]| {
        pair.iter().any(|hold| hold.mode == Mode::Exclusive)
            && events[pair[0].releasing].at <= events[pair[1].granted].at
    };
    let pairs: Vec<_> = holds.windows(2).filter(excludes).collect();
    let pair = pairs.get(rng.usize(..pairs.len().max(1)))?;
    Some((pair[0], pair[1]))
}

/// Whether the second waited and was granted what the first alone had released, far from any process that
/// died and left something that it cannot be told from.
fn waits_for_release(events: &[Event], (one, other): (Hold, Hold)) -> bool {
    let (released, granted) = (events[one.released].at, events[other.granted].at);
    let is_near = |event: &Event| {
        let apart = event.at.saturating_since(granted) + granted.saturating_since(event.at);
        matches!(event.what, What::Note(_)) && apart < Duration::from_millis(400)
    };
    one.mode == Mode::Exclusive
        && released < granted
        && other.queued.is_some_and(|queued| events[queued].at < released)
        && !events.iter().any(is_near)
}

fn any(events: &[Event], rng: &mut Rng) -> Hold {
    let holds = holds(events);
    holds[rng.usize(..holds.len())]
}

fn token(events: &[Event], hold: Hold) -> FencingToken {
    let Fact::Granted { token, .. } = fact(&events[hold.granted]) else { panic!("{hold:?}") };
    *token
}

/// Changes the token of a hold wherever it is said.
fn set_token(events: &mut [Event], hold: Hold, new: FencingToken) {
    let by = events[hold.granted].by.clone();
    let What::Fact { attempt: of, .. } = events[hold.granted].what else { panic!("{hold:?}") };
    for event in events.iter_mut().filter(|event| event.by == by) {
        match &mut event.what {
            What::Fact {
                attempt,
                fact:
                    Fact::Granted { token, .. } | Fact::Renewed { token, .. } | Fact::Released { token },
            } if *attempt == of => *token = new,
            _ => {}
        }
    }
}

fn append(events: &mut Vec<Event>, hold: Hold, at: BootInstant, fact: Fact) {
    let What::Fact { attempt, .. } = events[hold.granted].what else { panic!("{hold:?}") };
    let by = events[hold.granted].by.clone();
    events.push(Event { at, by, what: What::Fact { attempt, fact } });
}

#[test]
fn whatever_is_made_wrong_is_caught() {
    for (what, rule, mutation) in MUTATIONS {
        let mut caught = 0;
        for seed in 0..20 {
            let mut events = Simulation::new(seed).run(200);
            if !mutation(&mut events, &mut Rng::with_seed(seed)) {
                continue;
            }
            let verdict = verdict(&events);
            let is_caught = verdict.contradictions.iter().any(|found| found.rule == *rule);
            assert!(is_caught, "{what}, seed {seed}: no {rule}\n{verdict}");
            caught += 1;
        }
        println!("{what}: {rule}, {caught} times");
        assert!(caught >= 3, "{what}: only {caught} logs could be changed so");
    }
}
