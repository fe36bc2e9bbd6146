//! `lock-etcd`.

use super::{ETCD, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "etcd-nobody-is-before-us",
        file: "lock-etcd/src/driver/queue.rs",
        find: "Mode::Exclusive => vec![Look::newest(keys.all(), 2)],",
        replace: "Mode::Exclusive => vec![Look::newest(keys.all(), 1)],",
        case: "etcd::conformance::r01_one_holder_of_a_mutex",
        ..ETCD
    },
    Mutant {
        name: "etcd-readers-overtake-a-writer",
        file: "lock-etcd/src/driver/queue.rs",
        find: "            Look::newest(keys.exclusive(), 1),",
        replace: "            Look::newest(keys.permits(), 1),",
        case: "etcd::conformance::r10_",
        ..ETCD
    },
    Mutant {
        name: "etcd-one-permit-too-many",
        file: "lock-etcd/src/driver/queue.rs",
        find: "Mode::Permit { of } => found.ahead.len() < of.get() as usize,",
        replace: "Mode::Permit { of } => found.ahead.len() <= of.get() as usize,",
        case: "etcd::conformance::r01_a_semaphore_is_never_exceeded",
        ..ETCD
    },
    Mutant {
        name: "etcd-a-try-queues",
        file: "lock-etcd/src/driver/queue.rs",
        find: "                        ask.if_older(place.all(), newer_than + 1)",
        replace: "                        ask.if_older(place.all(), i64::MAX)",
        case: "etcd::conformance::r11_busy_leaves_nothing",
        ..ETCD
    },
    Mutant {
        name: "etcd-a-missing-key-is-not-missed",
        file: "lock-etcd/src/driver.rs",
        find: "                    missing.push(*id);",
        replace: "                    let _ = id;",
        case: "etcd::conformance::r04_a_removed_record_is_noticed",
        ..ETCD
    },
    Mutant {
        name: "etcd-events-are-not-heard",
        file: "lock-etcd/src/watcher.rs",
        find: "            WatchEvent::Deleted(deleted) if ear.hear(&watched.subject, &deleted) => {}",
        replace: "            WatchEvent::Deleted(deleted) if deleted.is_empty() => {}",
        case: "specific::a_release_wakes_the_next_one_at_once",
        ..ETCD
    },
    Mutant {
        name: "etcd-the-gap-before-the-watch-stays-open",
        file: "lock-etcd/src/watcher.rs",
        find: "                ear.begun.fetch_add(1, SeqCst);",
        replace: "                return;",
        case: "specific::what_happened_before_the_watch_is_not_missed",
        ..ETCD
    },
    Mutant {
        name: "etcd-who-gives-up-is-taken-for-the-holder",
        file: "lock-etcd/src/driver/queue.rs",
        find: "found.ahead.len() == 1 && found.count == 2",
        replace: "found.ahead.len() == 1",
        test_target: "faults",
        case: "requests::one_who_gives_up_is_not_taken_for_the_holder",
        ..ETCD
    },
    Mutant {
        name: "etcd-who-gives-up-is-taken-for-the-writer",
        file: "lock-etcd/src/driver/queue.rs",
        find: "found.ahead.len() == 1 && found.count == 2",
        replace: "found.ahead.len() == 1 && (found.count == 2 || mode == Mode::Shared)",
        test_target: "faults",
        case: "requests::one_who_gives_up_is_not_taken_for_the_holder",
        ..ETCD
    },
    Mutant {
        name: "etcd-nobody-is-next",
        file: "lock-etcd/src/driver/queue.rs",
        find: "found.ahead.len() == 1 && found.count == 2",
        replace: "found.ahead.len() == 1 && found.count == 3",
        test_target: "faults",
        case: "requests::a_hand_over_to_the_only_one_who_waits_costs_it_no_request",
        ..ETCD
    },
    Mutant {
        name: "etcd-a-waiter-does-not-hear-of-itself",
        file: "lock-etcd/src/watcher.rs",
        find: "            self.is_out.store(true, SeqCst);",
        replace: "            self.is_out.store(false, SeqCst);",
        test_target: "faults",
        case: "requests::one_that_was_taken_out_while_it_waited_is_not_granted",
        ..ETCD
    },
    Mutant {
        name: "etcd-what-is-lost-with-its-leader-is-waited-for",
        file: "lock-etcd/src/client/term.rs",
        find: "newest.wait_for(|newest| *newest > term)",
        replace: "newest.wait_for(|newest| *newest > u64::MAX - term)",
        test_target: "faults",
        case: "elections::what_was_passed_on_to_a_leader_that_died_is_asked_for_again",
        ..ETCD
    },
    Mutant {
        name: "etcd-late-requests-leave-ghosts",
        file: "lock-etcd/src/driver.rs",
        find: "let removed = if place.unanswered.load(SeqCst) == 0 {",
        replace: "let removed = if place.unanswered.load(SeqCst) < 9 {",
        case: "specific::a_request_that_comes_late_does_nothing",
        ..ETCD
    },
];
