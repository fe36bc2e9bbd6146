//! The suite is tested as well: a fake store that is broken in one way must be caught by the case
//! that is about it.

use std::time::{Duration, Instant};
use std::{env, thread};

use lock_conformance::fake::{FakeHarness, Flaw};
use lock_conformance::is_caught;
use lockcore::Sessions;

/// Each flaw with the case that must catch it.
const MUTANTS: &[(Flaw, &str)] = &[
    (Flaw::ErrorLooksBusy, "r16_an_error_is_not_busy"),
    (Flaw::ExpiresEarly, "r01_an_expired_hold_does_not_overlap"),
    (Flaw::ExpiresNever, "r07_a_dead_holders_lock_is_granted"),
    (Flaw::GrantsOnWake, "r01_one_holder_of_a_mutex"),
    (Flaw::Herd, "r13_the_store_notifies_one"),
    (Flaw::LastComeFirstServed, "r09_first_come_first_served"),
    (Flaw::LosesWakeUps, "r08_granted_without_a_notification"),
    (Flaw::NamesFoldCase, "r14_odd_names_are_apart"),
    (Flaw::NoWaiterCap, "r15_waiters_are_capped"),
    (Flaw::OnePermitMore, "r01_a_semaphore_is_never_exceeded"),
    (Flaw::ReaderOvertakesWriter, "r10_the_story_of_four_clients"),
    (Flaw::ReleasesAnyOwner, "r05_a_stale_release_frees_nobody"),
    (Flaw::RenewsTheDead, "r04_a_removed_record_is_noticed"),
    (Flaw::ReusesTokens, "r02_tokens_rise_over_releases"),
    (Flaw::TryOvertakes, "r09_try_lock_never_overtakes"),
    (Flaw::WaiterStays, "r06_dropped_at_every_await_point"),
];

#[test]
fn every_mutant_is_caught() {
    // What the mutants' cases have to say is what was to be shown.
    std::panic::set_hook(Box::new(|_| ()));
    let times = times();
    let runs: Vec<_> = MUTANTS
        .iter()
        .map(|&(flaw, case)| (flaw, case, thread::spawn(move || Runs::of(flaw, case, times))))
        .collect();
    println!("{:<22} {:<9} {:<39} times slowest", "flaw", "", "case");
    let mut failures = Vec::new();
    for (flaw, case, runs) in runs {
        let Runs { caught, slowest, is_false_alarm } =
            runs.join().expect("a run does not panic itself");
        let verdict = if caught == times { "caught by" } else { "SURVIVED" };
        let (flaw, counts) = (format!("{flaw:?}"), format!("{caught}/{times}"));
        println!("{flaw:<22} {verdict:<9} {case:<39} {counts:<5} {:.1} s", slowest.as_secs_f64());
        if caught < times || slowest > LIMIT {
            failures.push(format!("{flaw} was caught {counts} times, the slowest in {slowest:?}"));
        }
        if is_false_alarm {
            failures.push(format!("{case} fails without a flaw"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a case made of a flaw.
struct Runs {
    caught: u32,
    slowest: Duration,
    is_false_alarm: bool,
}

impl Runs {
    fn of(flaw: Flaw, case: &str, times: u32) -> Self {
        let broken =
            |flaw| is_caught(case, async move { FakeHarness::new(Sessions::PerGrant, flaw) });
        let mut runs = Self { caught: 0, slowest: Duration::ZERO, is_false_alarm: broken(None) };
        for _ in 0..times {
            let start = Instant::now();
            runs.caught += u32::from(broken(Some(flaw)));
            runs.slowest = runs.slowest.max(start.elapsed());
        }
        runs
    }
}

/// How many times each flaw must be caught: what the environment says, or once.
fn times() -> u32 {
    match env::var("LEASEHOLD_FLAW_TIMES") {
        Ok(times) => times.parse().expect("LEASEHOLD_FLAW_TIMES is a number"),
        Err(_) => 1,
    }
}

/// Within which a flaw must be caught.
const LIMIT: Duration = Duration::from_secs(60);
