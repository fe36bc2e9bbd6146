//! The list of the cases, which is written once.

/// Hands the names of all cases to the macro `$mac`, behind `$args;`.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_cases {
    ($mac:ident $($args:tt)*) => {
        $crate::$mac! { $($args)*;
            r01_a_semaphore_is_never_exceeded
            r01_an_expired_hold_does_not_overlap
            r01_kinds_do_not_mix
            r01_one_client_excludes_itself
            r01_one_holder_of_a_mutex
            r01_readers_share_and_writers_do_not
            r01_try_lock_excludes
            r02_a_renewal_keeps_the_token
            r02_sharers_have_tokens_of_their_own
            r02_tokens_rise_along_the_queue
            r02_tokens_rise_over_a_loss_of_data
            r02_tokens_rise_over_a_restart
            r02_tokens_rise_over_an_expiry
            r02_tokens_rise_over_releases
            r03_a_late_renewal_revives_nothing
            r03_a_renewal_of_what_was_removed_is_refused
            r03_lost_stays_lost
            r03_released_is_final
            r04_a_blocked_runtime_knows_at_once
            r04_a_hold_has_its_limit
            r04_a_lost_lock_is_not_renewed
            r04_a_removed_record_is_noticed
            r04_a_silent_link_ends_the_belief
            r04_loss_is_signalled_by_the_deadline
            r04_one_failed_renewal_is_no_loss
            r04_renewal_keeps_it
            r04_the_deadline_counts_from_the_request
            r05_a_holder_without_a_session_frees_nobody
            r05_a_removed_holder_frees_nobody
            r05_a_repeated_release_hits_nobody
            r05_a_second_release_is_not_held
            r05_a_stale_drop_frees_nobody
            r05_a_stale_release_frees_nobody
            r05_a_stale_renewal_extends_nobody
            r05_nobody_releases_what_others_hold
            r05_sharers_release_only_their_own
            r06_a_dropped_waiter_is_out_of_the_way
            r06_a_grant_that_nobody_takes_is_given_back
            r06_a_timed_wait_is_granted_in_time
            r06_an_unknown_acquisition_is_withdrawn
            r06_dropped_at_every_await_point
            r06_dropped_at_random_times
            r06_dropped_on_a_silent_link
            r06_dropped_while_it_is_held
            r06_run_gives_back_what_others_look_at
            r06_time_outs_leave_nothing
            r07_a_dead_holders_lock_is_granted
            r07_a_dead_waiter_is_skipped
            r08_a_release_during_the_wait_is_seen
            r08_an_unpolled_waiter_goes_with_its_ttl
            r08_an_unpolled_waiter_is_not_renewed
            r08_an_unpolled_waiter_stalls_nobody_once_dropped
            r08_granted_without_a_notification
            r09_first_come_first_served
            r09_inspect_shows_the_queue
            r09_those_who_gave_up_are_skipped
            r09_try_lock_never_overtakes
            r10_a_writer_that_gives_up_frees_the_readers
            r10_any_queue_goes_as_the_rule_says
            r10_readers_behind_a_writer_go_together
            r10_readers_do_not_starve_a_writer
            r10_the_story_of_four_clients
            r11_a_refusing_store_is_unavailable
            r11_a_timed_wait_ends_on_a_silent_link
            r11_an_unknown_acquisition_is_resolved
            r11_busy_leaves_nothing
            r12_a_client_outlives_its_session
            r12_a_waiter_without_a_session_is_never_granted
            r12_a_waiter_without_a_session_learns
            r13_a_release_wakes_one
            r13_the_store_notifies_one
            r14_odd_names_are_apart
            r14_random_names_are_apart
            r14_what_is_no_name_is_refused
            r15_a_guard_is_given_back_wherever_it_drops
            r15_a_shutdown_leaves_nothing
            r15_a_shutdown_waits_for_drops
            r15_cycles_leave_nothing
            r15_use_after_shutdown_is_refused
            r15_waiters_are_capped
            r16_an_error_is_not_busy
            r16_busy_is_no_error
            r16_debug_shows_no_id
            r16_run_tells_what_became_of_the_work
        }
    };
}

/// A table of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __table {
    (; $($case:ident)*) => {
        &[$($crate::Case {
            name: stringify!($case),
            run: |stage| ::std::boxed::Box::pin($crate::cases::$case(stage)),
        }),*]
    };
}

/// A named test for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($harness:ty; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::run_case::<$harness>(stringify!($case));
            }
        )*
    };
}

/// Certifies a backend: a module `conformance` with one test for each case of the suite.
///
/// ```text
/// lock_conformance::conformance!(crate::harness::MyHarness);
/// ```
///
/// The test `conformance::rules` prints how many cases of each rule run, and the reason for each
/// case that does not.
#[macro_export]
macro_rules! conformance {
    ($harness:ty) => {
        mod conformance {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn rules() {
                $crate::print_rules::<$harness>();
            }

            $crate::__with_cases! { __tests $harness }
        }
    };
}
