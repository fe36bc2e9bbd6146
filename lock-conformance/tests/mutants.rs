//! The suite is tested as well: a fake store that is broken in one way must be caught by the case
//! that is about it.

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
    let runs: Vec<_> = MUTANTS
        .iter()
        .map(|&(flaw, case)| {
            let broken = move |flaw| {
                is_caught(case, async move { FakeHarness::new(Sessions::PerGrant, flaw) })
            };
            let run = std::thread::spawn(move || (broken(Some(flaw)), broken(None)));
            (flaw, case, run)
        })
        .collect();
    let mut survived = 0;
    for (flaw, case, run) in runs {
        let (caught, false_alarm) = run.join().expect("a run does not panic itself");
        println!(
            "{:<22} {} {case}",
            format!("{flaw:?}"),
            if caught { "caught by" } else { "SURVIVED" }
        );
        survived += usize::from(!caught || false_alarm);
        assert!(!false_alarm, "{case} fails without a flaw");
    }
    assert_eq!(survived, 0, "mutants survived");
}
