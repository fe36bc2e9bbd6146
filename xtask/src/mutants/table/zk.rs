//! `lock-zk`.

use super::{LIB, Mutant, ZK};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "zk-nobody-is-before-us",
        file: "lock-zk/src/driver/queue.rs",
        find: "Some(&self.contenders[..place])",
        replace: "Some(&self.contenders[..0])",
        case: "single::conformance::r01_one_holder_of_a_mutex",
        ..ZK
    },
    Mutant {
        name: "zk-the-order-is-that-of-the-names",
        file: "lock-zk/src/driver/queue.rs",
        find: "contenders.sort_unstable_by(Contender::order);",
        replace: "contenders.sort_unstable_by(|one, other| one.node.cmp(other.node));",
        case: "single::conformance::r09_first_come_first_served",
        ..ZK
    },
    Mutant {
        name: "zk-waiters-are-not-capped",
        file: "lock-zk/src/driver.rs",
        find: "queue::waiters(&listed, mode) > self.max_waiters",
        replace: "queue::waiters(&listed, mode) > usize::MAX",
        case: "single::conformance::r15_waiters_are_capped",
        ..ZK
    },
    Mutant {
        name: "zk-any-event-grants",
        file: "lock-zk/src/session.rs",
        find: "waiting.is_next && left && stays",
        replace: "left",
        case: "single::conformance::r09_those_who_gave_up_are_skipped",
        ..ZK
    },
    Mutant {
        name: "zk-a-missing-node-is-not-missed",
        file: "lock-zk/src/driver.rs",
        find: ".filter(|(_, found)| found.is_none())",
        replace: ".filter(|_| false)",
        case: "single::conformance::r04_a_removed_record_is_noticed",
        ..ZK
    },
    Mutant {
        name: "zk-an-unknown-request-is-forgotten",
        file: "lock-zk/src/driver/placing.rs",
        find: "place.is_unanswered.store(true, SeqCst);",
        replace: "place.is_unanswered.store(false, SeqCst);",
        test_target: "faults",
        case: "replies::a_waiter_whose_reply_vanished_keeps_the_place_that_it_has",
        ..ZK
    },
    Mutant {
        name: "zk-events-are-not-heard",
        file: "lock-zk/src/ear.rs",
        find: "= events.next().await {",
        replace: "= events.next().await.filter(|_| false) {",
        case: "specific::a_release_wakes_the_next_one_at_once",
        ..ZK
    },
    Mutant {
        name: "zk-the-gap-before-the-watch-stays-open",
        file: "lock-zk/src/ear.rs",
        find: "None => self.tell(if is_own { &self.is_out } else { &self.left }),",
        replace: "None => {}",
        case: "specific::what_happened_before_the_watch_is_not_missed",
        ..ZK
    },
    Mutant {
        name: "zk-an-ended-session-lives-on",
        file: "lock-zk/src/driver.rs",
        find: "Some(connection) => self.cluster.end(connection).await,",
        replace: "Some(connection) => {
                std::mem::forget(connection);
                Ok(())
            }",
        case: "specific::a_client_has_one_session",
        ..ZK
    },
    Mutant {
        name: "zk-numbers-end",
        file: "lock-zk/src/names.rs",
        find: "one.wrapping_sub(other).cmp(&0)",
        replace: "one.cmp(&other)",
        test_target: LIB,
        case: "names::tests::numbers_go_on_below_zero",
        ..ZK
    },
    Mutant {
        name: "zk-an-answer-proves-itself",
        file: "lock-zk/src/contact.rs",
        find: "let settled = sent.saturating_sub(self.gap);",
        replace: "let settled = sent;
        self.proven = self.proven.max(sent);",
        test_target: LIB,
        case: "contact::tests::an_answer_proves_the_request_before_it",
        ..ZK
    },
    Mutant {
        name: "zk-try-waits-when-it-asks-again",
        file: "lock-zk/src/driver.rs",
        find: "            Ok(Standing::Queued { .. }) if !entry.waits() => Ok(Standing::Busy),\n",
        replace: "",
        test_target: "faults",
        case: "replies::a_try_that_is_refused_when_its_link_breaks_leaves_nothing",
        ..ZK
    },
    Mutant {
        name: "zk-a-session-that-was-given-up-lives-on",
        file: "lockcore/src/keeper.rs",
        find: "if driver.sessions() == Sessions::Connection {",
        replace: "if driver.sessions() == Sessions::PerGrant {",
        test_target: "faults",
        case: "links::who_is_not_heard_of_for_too_long_has_lost_before_anybody_else_gains",
        ..ZK
    },
];
