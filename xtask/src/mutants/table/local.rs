//! `lock-local`.

use super::{LOCAL, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "local-release-looks-at-no-token",
        file: "lock-local/src/queue.rs",
        find: "    pub(crate) fn release(&mut self, token: FencingToken) -> Option<BootInstant> {
        let index = self.holders.binary_search_by_key(&token, |holder| holder.token).ok()?;",
        replace: "    pub(crate) fn release(&mut self, _: FencingToken) -> Option<BootInstant> {
        let index = self.holders.len().checked_sub(1)?;",
        case: "conformance::r05_a_stale_release_frees_nobody",
        ..LOCAL
    },
    Mutant {
        name: "local-dropped-waiter-stays",
        file: "lock-local/src/queue.rs",
        find: "wakes.spent = self.waiters[index].waker.take();",
        replace: "wakes.spent = self.waiters[index].waker.clone().filter(|_| false);",
        case: "conformance::r10_a_writer_that_gives_up_frees_the_readers",
        ..LOCAL
    },
    Mutant {
        name: "local-grant-to-the-dropped-is-lost",
        file: "lock-local/src/queue.rs",
        find: "            return self.release(token);",
        replace: "            return None;",
        case: "conformance::r06_a_grant_that_nobody_takes_is_given_back",
        ..LOCAL
    },
    Mutant {
        name: "local-try-overtakes",
        file: "lock-local/src/queue.rs",
        find: "if self.waiting() > 0 || !self.ahead.admits(mode) {",
        replace: "if !self.ahead.admits(mode) {",
        case: "conformance::r09_try_lock_never_overtakes",
        ..LOCAL
    },
    Mutant {
        name: "local-reader-overtakes-writer",
        file: "lock-local/src/queue.rs",
        find: "if self.waiting() > 0 || !self.ahead.admits(mode) {",
        replace: "if (self.waiting() > 0 && mode != Mode::Shared) || !self.ahead.admits(mode) {",
        case: "conformance::r10_the_story_of_four_clients",
        ..LOCAL
    },
    Mutant {
        name: "local-last-come-first-served",
        file: "lock-local/src/queue.rs",
        find: "self.waiters.push_back(Waiter {",
        replace: "self.waiters.push_front(Waiter {",
        case: "conformance::r09_first_come_first_served",
        ..LOCAL
    },
    Mutant {
        name: "local-readers-go-one-by-one",
        file: "lock-local/src/queue.rs",
        find: "        while let Some(head) = self.waiters.front() {",
        replace: "        for _ in 0..1 {
            let Some(head) = self.waiters.front() else { break };",
        case: "conformance::r10_readers_behind_a_writer_go_together",
        ..LOCAL
    },
    Mutant {
        name: "local-kinds-mix",
        file: "lock-local/src/queue.rs",
        find: "        self.check_mode(mode)?;\n",
        replace: "",
        case: "conformance::r16_busy_is_no_error",
        ..LOCAL
    },
    Mutant {
        name: "local-tokens-are-reused",
        file: "lock-local/src/token.rs",
        find: "self.next = number.wrapping_add(1);",
        replace: "self.next = number;",
        case: "conformance::r02_tokens_rise_over_releases",
        ..LOCAL
    },
    Mutant {
        name: "local-tokens-fall",
        file: "lock-local/src/token.rs",
        find: "self.next = number.wrapping_add(1);",
        replace: "self.next = number.wrapping_sub(1);",
        case: "conformance::r02_tokens_rise_along_the_queue",
        ..LOCAL
    },
    Mutant {
        name: "local-runs-of-tokens-repeat",
        file: "lock-local/src/token.rs",
        find: "COUNTER.fetch_add(RUN, Relaxed)",
        replace: "COUNTER.load(Relaxed)",
        case: "conformance::r01_one_holder_of_a_mutex",
        ..LOCAL
    },
    Mutant {
        name: "local-release-wakes-nobody",
        file: "lock-local/src/table.rs",
        find: "        queue.promote(&mut wakes);
        if queue.is_unused() {",
        replace: "        if queue.is_unused() {",
        case: "conformance::r08_an_unpolled_waiter_stalls_nobody_once_dropped",
        ..LOCAL
    },
    Mutant {
        name: "local-grant-wakes-nobody",
        file: "lock-local/src/table.rs",
        find: "            waker.wake();",
        replace: "            drop(waker);",
        case: "conformance::r06_a_dropped_waiter_is_out_of_the_way",
        ..LOCAL
    },
    Mutant {
        name: "local-names-fold-case",
        file: "lock-local/src/table.rs",
        find: "Key { name: name.clone(), hash: self.hasher.hash_one(name.as_str()) }",
        replace: "let folded = LockName::new(name.as_str().to_lowercase());
        let name = folded.unwrap_or_else(|_| name.clone());
        Key { hash: self.hasher.hash_one(name.as_str()), name }",
        case: "conformance::r14_odd_names_are_apart",
        ..LOCAL
    },
    Mutant {
        name: "local-hold-never-ends",
        file: "lock-local/src/queue.rs",
        find: "self.retain_holders(|holder| holder.expires > now);",
        replace: "self.next_expiry = BootInstant::FAR;",
        case: "conformance::r01_an_expired_hold_does_not_overlap",
        ..LOCAL
    },
    Mutant {
        name: "local-end-wakes-nobody",
        file: "lock-local/src/expiry.rs",
        find: "        state.ends.insert((at, token), key.clone());\n",
        replace: "",
        case: "specific::holds_end_without_a_runtime_and_in_their_order",
        ..LOCAL
    },
    Mutant {
        name: "local-hold-ends-with-the-belief",
        file: "lock-local/src/queue/place.rs",
        find: "(term::deadline(since, self.ttl), since.saturating_add(self.ttl.as_duration()))",
        replace: "(term::deadline(since, self.ttl), term::deadline(since, self.ttl))",
        case: "conformance::r04_loss_is_signalled_by_the_deadline",
        ..LOCAL
    },
    Mutant {
        name: "local-renewal-moves-no-end",
        file: "lock-local/src/queue.rs",
        find: "*end = expires.max(former);",
        replace: "*end = former.min(expires);",
        case: "specific::a_renewal_moves_the_end_for_those_who_wait",
        ..LOCAL
    },
    Mutant {
        name: "local-hold-has-no-limit",
        file: "lock-local/src/queue/place.rs",
        find: "(term::hold_limit(since, max_hold, self.ttl), since.saturating_add(max_hold))",
        replace: "(term::hold_limit(since, max_hold, self.ttl), BootInstant::FAR)",
        case: "conformance::r04_a_hold_has_its_limit",
        ..LOCAL
    },
    Mutant {
        name: "local-waiters-have-no-cap",
        file: "lock-local/src/queue.rs",
        find: "if self.waiting() >= max_waiters {",
        replace: "if self.waiting() > max_waiters {",
        case: "conformance::r15_waiters_are_capped",
        ..LOCAL
    },
    Mutant {
        name: "local-shutdown-forgets-waiters",
        file: "lock-local/src/queue.rs",
        find: "if waiter.client == client {",
        replace: "if waiter.client == client && waiter.waker.is_none() {",
        case: "conformance::r15_a_shutdown_leaves_nothing",
        ..LOCAL
    },
    Mutant {
        name: "local-use-after-shutdown",
        file: "lock-local/src/table.rs",
        find: "if !(terms.is_open)() {",
        replace: "if terms.client == ClientId::MAX {",
        case: "conformance::r15_use_after_shutdown_is_refused",
        ..LOCAL
    },
    Mutant {
        name: "local-second-release-succeeds",
        file: "lock-local/src/lease.rs",
        find: "if was_held && (stood || self.client.is_closed()) {",
        replace: "if was_held || !stood || self.client.is_closed() {",
        case: "conformance::r05_a_second_release_is_not_held",
        ..LOCAL
    },
    Mutant {
        name: "local-renewal-of-the-released-succeeds",
        file: "lock-local/src/lease.rs",
        find: "        if let Some(cause) = self.loss() {
            return lost(cause);
        }
",
        replace: "",
        case: "conformance::r03_released_is_final",
        ..LOCAL
    },
];
