//! The ways in which we break the product on purpose.

/// One change to product source that a test must notice.
#[derive(Clone, Copy)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// Path from the root of the workspace.
    pub(super) file: &'static str,
    /// Occurs exactly once in the file.
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
    /// Whose tests must notice: package, test target, and a filter for the names of the cases.
    pub(super) package: &'static str,
    pub(super) test_target: &'static str,
    pub(super) case: &'static str,
}

/// What is common to the mutants that the suite on `local:` must notice.
const LOCAL: Mutant = Mutant {
    name: "",
    file: "",
    find: "",
    replace: "",
    package: "lock-local",
    test_target: "it",
    case: "",
};

/// What is common to those that the suite on the fake store must notice: mutants of the engine.
const ENGINE: Mutant = Mutant { package: "lock-conformance", test_target: "fake", ..LOCAL };

/// What is common to those that the suite on a Redis server must notice.
const REDIS: Mutant = Mutant { package: "lock-redis", ..LOCAL };

/// What is common to those that the suite on an etcd server must notice.
const ETCD: Mutant = Mutant { package: "lock-etcd", ..LOCAL };

/// What is common to those that the suite on a ZooKeeper must notice.
const ZK: Mutant = Mutant { package: "lock-zk", ..LOCAL };

/// As a test target: the tests in the package's own files.
pub(super) const LIB: &str = "lib";

/// One promise is broken by each. Those of one package stand together, because the next mutant
/// builds what the one before it left.
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
        file: "lock-local/src/queue.rs",
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
        file: "lock-local/src/queue.rs",
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
    Mutant {
        name: "rule-one-permit-more",
        file: "lockcore/src/queue.rs",
        find: "self.permits < of.get() as usize",
        replace: "self.permits <= of.get() as usize",
        case: "conformance::r01_a_semaphore_is_never_exceeded",
        ..LOCAL
    },
    Mutant {
        name: "rule-reader-beside-writer",
        file: "lockcore/src/queue.rs",
        find: "self.exclusive == 0 && self.permits == 0",
        replace: "self.permits == 0",
        case: "conformance::r01_readers_share_and_writers_do_not",
        ..LOCAL
    },
    Mutant {
        name: "term-has-no-margin",
        file: "lockcore/src/term.rs",
        find: "sent.saturating_add(ttl.belief())",
        replace: "sent.saturating_add(ttl.as_duration())",
        case: "specific::the_deadline_of_a_renewed_hold_is_always_a_belief_away",
        ..LOCAL
    },
    Mutant {
        name: "term-outlives-its-deadline",
        file: "lockcore/src/term.rs",
        find: "Ok(deadline) if now < deadline => return None,",
        replace: "Ok(_) if now < BootInstant::FAR => return None,",
        case: "conformance::r04_a_blocked_runtime_knows_at_once",
        ..LOCAL
    },
    Mutant {
        name: "handle-works-on-after-a-loss",
        file: "lockcore/src/handle.rs",
        find: "cause = guard.lost() =>",
        replace: "cause = std::future::pending::<crate::LossCause>() =>",
        case: "conformance::r16_run_tells_what_became_of_the_work",
        ..LOCAL
    },
    Mutant {
        name: "handle-keeps-work-that-was-not-protected",
        file: "lockcore/src/handle.rs",
        find: "Err(error) if error.kind() == ErrorKind::NotHeld => {",
        replace: "Err(error) if error.kind() == ErrorKind::Closed => {",
        case: "conformance::r16_run_tells_what_became_of_the_work",
        ..LOCAL
    },
    Mutant {
        name: "engine-deadline-from-the-reply",
        file: "lockcore/src/acquisition.rs",
        find: "return Ok(Answer { standing, sent });",
        replace: "return Ok(Answer { standing, sent: BootInstant::now().max(sent) });",
        case: "per_grant::conformance::r04_the_deadline_counts_from_the_request",
        ..ENGINE
    },
    Mutant {
        name: "engine-hold-without-renewal-from-the-reply",
        file: "lockcore/src/acquisition.rs",
        find: "tenure.renewed(sent, answer)",
        replace: "tenure.renewed(BootInstant::now().max(sent), answer)",
        case: "shared::conformance::r04_the_deadline_counts_from_the_request",
        ..ENGINE
    },
    Mutant {
        name: "engine-waits-for-a-word",
        file: "lockcore/src/acquisition.rs",
        find: "() = sleep(pause) => Ok(None),",
        replace: "() = sleep(pause * 1_000) => Ok(None),",
        case: "per_grant::conformance::r08_granted_without_a_notification",
        ..ENGINE
    },
    Mutant {
        name: "engine-enqueues-once",
        file: "lockcore/src/acquisition.rs",
        find: "const ENQUEUE_ATTEMPTS: u32 = 3;",
        replace: "const ENQUEUE_ATTEMPTS: u32 = 1;",
        case: "per_grant::conformance::r11_an_unknown_acquisition_is_resolved",
        ..ENGINE
    },
    Mutant {
        name: "engine-error-looks-unknown",
        file: "lockcore/src/acquisition.rs",
        find: "            if !unknown {",
        replace: "            if unknown && !unknown {",
        case: "per_grant::conformance::r11_a_refusing_store_is_unavailable",
        ..ENGINE
    },
    Mutant {
        name: "engine-error-looks-busy",
        file: "lockcore/src/acquisition.rs",
        find: "                    self.leave(&seat);
                    return Err(error);",
        replace: "                    self.leave(&seat);
                    return Ok(None);",
        case: "per_grant::conformance::r16_an_error_is_not_busy",
        ..ENGINE
    },
    Mutant {
        name: "engine-leaves-an-unknown-acquisition",
        file: "lockcore/src/acquisition.rs",
        find: "                    self.withdraw(&seat);
                    return Err(error);
                }
                _ => {",
        replace: "                    return Err(error);
                }
                _ => {",
        case: "per_grant::conformance::r06_an_unknown_acquisition_is_withdrawn",
        ..ENGINE
    },
    Mutant {
        name: "engine-abandoned-waiter-stays",
        file: "lockcore/src/acquisition.rs",
        find: "                Err(stop) => {
                    self.withdraw(&seat);",
        replace: "                Err(stop) => {
                    if !matches!(stop, Stop::Abandoned) {
                        self.withdraw(&seat);
                    }",
        case: "per_grant::conformance::r10_a_writer_that_gives_up_frees_the_readers",
        ..ENGINE
    },
    Mutant {
        name: "engine-never-is-renewed-in-a-shared-session",
        file: "lockcore/src/acquisition.rs",
        find: "let is_private = entry.request().renewal() != Renewal::Auto && !shared.ends_holds();",
        replace: "let is_private = false;",
        test_target: "engine",
        case: "sessions_are_shared_and_end",
        ..ENGINE
    },
    Mutant {
        name: "engine-uses-a-dead-session",
        file: "lockcore/src/engine.rs",
        find: "tenure.filter(|tenure| tenure.term.is_valid_at(BootInstant::now()))",
        replace: "tenure",
        case: "shared::conformance::r12_a_client_outlives_its_session",
        ..ENGINE
    },
    Mutant {
        name: "engine-shutdown-leaves-holders",
        file: "lockcore/src/engine/shutdown.rs",
        find: "            grant.lose(LossCause::Shutdown);",
        replace: "            drop(grant);",
        case: "per_grant::conformance::r15_a_shutdown_leaves_nothing",
        ..ENGINE
    },
    Mutant {
        name: "engine-shutdown-waits-for-no-job",
        file: "lockcore/src/engine/shutdown.rs",
        find: "        self.jobs.idle().await;
        // A release that had begun may be there only now.
        self.withdraw_all();
        self.jobs.idle().await;\n",
        replace: "        self.withdraw_all();\n",
        case: "per_grant::conformance::r15_a_shutdown_waits_for_drops",
        ..ENGINE
    },
    Mutant {
        name: "engine-dropped-lease-stays",
        file: "lockcore/src/engine_lease.rs",
        find: "        self.grant.own.end(LossCause::Released);
        self.grant.withdraw();",
        replace: "        self.grant.own.end(LossCause::Released);",
        case: "per_grant::conformance::r15_a_guard_is_given_back_wherever_it_drops",
        ..ENGINE
    },
    Mutant {
        name: "engine-lease-given-up-is-believed",
        file: "lockcore/src/engine_lease.rs",
        find: "        self.grant.own.end(LossCause::Released);
        self.grant.withdraw();",
        replace: "        self.grant.withdraw();",
        case: "per_grant::conformance::r06_run_gives_back_what_others_look_at",
        ..ENGINE
    },
    Mutant {
        name: "engine-release-of-nothing-succeeds",
        file: "lockcore/src/engine_lease.rs",
        find: "Ok(Withdrawn::Removed) => Ok(",
        replace: "Ok(Withdrawn::Removed | Withdrawn::Absent) => Ok(",
        case: "per_grant::conformance::r05_a_removed_holder_frees_nobody",
        ..ENGINE
    },
    Mutant {
        name: "engine-release-of-the-lost-succeeds",
        file: "lockcore/src/engine_lease.rs",
        find: "        if !was_held {",
        replace: "        if !was_held && grant.token > grant.token {",
        case: "per_grant::conformance::r16_run_tells_what_became_of_the_work",
        ..ENGINE
    },
    Mutant {
        name: "engine-limit-of-a-hold-frees-nobody",
        file: "lockcore/src/engine_lease.rs",
        find: "Renewal::AutoUntil(_) => grant.end_in_time(Duration::ZERO),",
        replace: "Renewal::AutoUntil(_) => {}",
        case: "per_grant::conformance::r04_a_hold_has_its_limit",
        ..ENGINE
    },
    Mutant {
        name: "engine-withdraws-once",
        file: "lockcore/src/withdrawal.rs",
        find: "            sleep(pace.backoff()).await;",
        replace: "            sleep(pace.backoff()).await;
            break;",
        case: "per_grant::conformance::r05_a_repeated_release_hits_nobody",
        ..ENGINE
    },
    Mutant {
        name: "engine-repeated-release-is-not-held",
        file: "lockcore/src/withdrawal.rs",
        find: "Ok(Withdrawn::Absent) if self.unknown => Ok(Withdrawn::Removed),",
        replace: "Ok(Withdrawn::Absent) if self.unknown => Ok(Withdrawn::Absent),",
        case: "shared::conformance::r05_a_repeated_release_hits_nobody",
        ..ENGINE
    },
    Mutant {
        name: "engine-release-waits-past-the-deadline",
        file: "lockcore/src/withdrawal.rs",
        find: "        match timeout(until.remaining(), outcome).await {",
        replace: "        match Ok::<_, ()>(outcome.await) {",
        test_target: "engine",
        case: "a_release_on_a_silent_link_is_indeterminate",
        ..ENGINE
    },
    Mutant {
        name: "keeper-renews-once",
        file: "lockcore/src/keeper.rs",
        find: "(\"kept\", Some(sent.saturating_add(period)))",
        replace: "(\"kept\", None)",
        case: "per_grant::conformance::r04_renewal_keeps_it",
        ..ENGINE
    },
    Mutant {
        name: "keeper-gives-up-after-one-failure",
        file: "lockcore/src/keeper.rs",
        find: "(\"failed\", Some(BootInstant::now().saturating_add(pause(period))))",
        replace: "(\"failed\", None)",
        case: "shared::conformance::r04_one_failed_renewal_is_no_loss",
        ..ENGINE
    },
    Mutant {
        name: "keeper-waits-for-ever-for-one-answer",
        file: "lockcore/src/keeper.rs",
        find: "timeout(shortest.renewal_period() / 2, driver.renew(&sessions))",
        replace: "timeout(Duration::MAX, driver.renew(&sessions))",
        case: "per_grant::conformance::r04_one_failed_renewal_is_no_loss",
        ..ENGINE
    },
    Mutant {
        name: "keeper-keeps-what-is-gone",
        file: "lockcore/src/keeper.rs",
        find: "            Renewed::Gone(cause) => {
                self.term.end(cause);
                Err(cause)
            }",
        replace: "            Renewed::Gone(_) => Ok(()),",
        case: "per_grant::conformance::r04_a_removed_record_is_noticed",
        ..ENGINE
    },
    Mutant {
        name: "engine-abandoned-acquisition-is-forgotten",
        file: "lockcore/src/detached.rs",
        find: "            self.runtime.spawn(async move { drop(work.await) });",
        replace: "            drop(work);",
        case: "per_grant::conformance::r06_dropped_at_every_await_point",
        ..ENGINE
    },
    Mutant {
        name: "engine-abandoned-waiter-is-not-told",
        file: "lockcore/src/detached.rs",
        find: "        self.happened.store(true, SeqCst);\n",
        replace: "",
        case: "per_grant::conformance::r06_a_dropped_waiter_is_out_of_the_way",
        ..ENGINE
    },
    Mutant {
        name: "engine-renewal-by-hand-does-not-look",
        file: "lockcore/src/audit.rs",
        find: "    if !shared.sessions_are_shared() {",
        replace: "    if true {",
        case: "shared::conformance::r03_a_renewal_of_what_was_removed_is_refused",
        ..ENGINE
    },
    Mutant {
        name: "engine-keeps-who-is-not-polled",
        file: "lockcore/src/keeper.rs",
        find: "            client.give_up_unpolled(&tenure);\n",
        replace: "",
        case: "shared::conformance::r08_an_unpolled_waiter_is_not_renewed",
        ..ENGINE
    },
    Mutant {
        name: "engine-session-is-opened-by-the-caller",
        file: "lockcore/src/engine.rs",
        find: "        let opening = self.runtime.spawn(self.clone().open_shared_tenure(entry.clone()));
        opening.await.unwrap_or_else(|_| {",
        replace: "        let opening = self.clone().open_shared_tenure(entry.clone());
        Ok(opening.await).unwrap_or_else(|_: Error| {",
        test_target: "engine",
        case: "an_unpolled_acquisition_stalls_nobody",
        ..ENGINE
    },
    Mutant {
        name: "engine-shutdown-leaves-the-unpolled",
        file: "lockcore/src/engine/shutdown.rs",
        find: "            self.withdraw(withdrawal);",
        replace: "            drop(withdrawal);",
        test_target: "engine",
        case: "an_unpolled_acquisition_stalls_nobody",
        ..ENGINE
    },
    Mutant {
        name: "engine-audits-nothing",
        file: "lockcore/src/audit.rs",
        find: "        grant.lose(LossCause::Revoked);",
        replace: "        let _ = LossCause::Revoked;",
        case: "shared::conformance::r04_a_removed_record_is_noticed",
        ..ENGINE
    },
    Mutant {
        name: "engine-hold-with-a-limit-shares-its-session",
        file: "lockcore/src/acquisition.rs",
        find: "entry.request().renewal() != Renewal::Auto && !shared.ends_holds();",
        replace: "entry.request().renewal() == Renewal::Never && !shared.ends_holds();",
        test_target: "engine",
        case: "sessions_are_shared_and_end",
        ..ENGINE
    },
    Mutant {
        name: "engine-a-hold-that-nobody-renews-stays",
        file: "lockcore/src/engine_lease.rs",
        find: "Renewal::Never if shared.ends_holds() => Term::new(",
        replace: "Renewal::Never if false => Term::new(",
        case: "connection::conformance::r03_lost_stays_lost",
        ..ENGINE
    },
    Mutant {
        name: "engine-takes-old-news-for-new",
        file: "lockcore/src/acquisition.rs",
        find: "            Some(Ok(Wake::Granted(_))) if seat.was_asked_again => {}\n",
        replace: "",
        test_target: "faults",
        case: "replies::a_grant_of_a_place_that_is_over_is_not_taken_for_one_of_the_next",
        ..REDIS
    },
    Mutant {
        name: "engine-takes-a-second-place-for-the-first",
        file: "lockcore/src/acquisition.rs",
        find: "                Ok(_) if unknown && self.may_have_ended(seat, asked) => {",
        replace: "                Ok(_) if false && self.may_have_ended(seat, asked) => {",
        test_target: "faults",
        case: "replies::a_place_that_may_have_ended_before_anything_was_heard_of_it_is_told",
        ..REDIS
    },
    Mutant {
        name: "redis-who-cannot-be-told-is-passed-over",
        file: "lock-redis/src/scripts/queue.lua",
        find: "if mode == 'x' then return not value and kept == 0 end",
        replace: "if mode == 'x' then return not value or value == 'x' end",
        test_target: "faults",
        case: "turns::nobody_goes_before_one_that_cannot_be_told",
        ..REDIS
    },
    Mutant {
        name: "redis-readers-go-before-a-writer-that-cannot-be-told",
        file: "lock-redis/src/scripts/queue.lua",
        find: "      if r.mode == 'x' then value = r.mode end\n",
        replace: "",
        test_target: "faults",
        case: "turns::readers_go_before_no_writer_that_cannot_be_told",
        ..REDIS
    },
    Mutant {
        name: "redis-who-comes-after-a-turn-that-is-kept-is-not-told",
        file: "lock-redis/src/scripts/queue.lua",
        find: "      if till and not me then rouse(kept, deaf) end\n",
        replace: "",
        test_target: "faults",
        case: "processes::a_waiter_that_is_killed_at_the_head_holds_others_up_until",
        ..REDIS
    },
    Mutant {
        name: "redis-who-listens-anew-is-deaf-meanwhile",
        file: "lock-redis/src/inbox.rs",
        find: "                (Heard::Moved, Some(_)) => return,",
        replace: "                (Heard::Moved, Some(_)) => return self.current = None,",
        test_target: "faults",
        case: "turns::who_listens_anew_is_told_meanwhile",
        ..REDIS
    },
    Mutant {
        name: "redis-release-looks-at-no-owner",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "if value and string.sub(value, 1, 37) == me then",
        replace: "if value then",
        case: "redis::conformance::r05_a_stale_release_frees_nobody",
        ..REDIS
    },
    Mutant {
        name: "redis-renewal-looks-at-no-owner",
        file: "lock-redis/src/scripts/renew.lua",
        find: " and string.sub(value, 1, #owner) == owner then",
        replace: " and owner then",
        case: "a_renewal_extends_nobody_else",
        ..REDIS
    },
    Mutant {
        name: "redis-free-lock-overtakes-the-queue",
        file: "lock-redis/src/scripts/acquire.lua",
        find: "redis.call('EXISTS', KEYS[1], KEYS[2]) == 0",
        replace: "redis.call('EXISTS', KEYS[1]) == 0",
        case: "a_new_client_does_not_overtake_after_an_expiry",
        ..REDIS
    },
    Mutant {
        name: "redis-writer-is-overtaken-by-readers",
        file: "lock-redis/src/scripts/queue.lua",
        find: "    elseif not admits(r.mode, value, kept) then
      if till and not me then rouse(kept, deaf) end
      return mine, till",
        replace: "    elseif not admits(r.mode, value, kept) then
      kept = kept + 1",
        case: "redis::conformance::r10_",
        ..REDIS
    },
    Mutant {
        name: "redis-one-permit-too-many",
        file: "lock-redis/src/scripts/queue.lua",
        find: "redis.call('ZCARD', sharers) + kept < tonumber(string.sub(mode, 2))",
        replace: "redis.call('ZCARD', sharers) + kept <= tonumber(string.sub(mode, 2))",
        case: "redis::conformance::r01_a_semaphore_is_never_exceeded",
        ..REDIS
    },
    Mutant {
        name: "redis-release-hands-over-to-nobody",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "advance()\n",
        replace: "",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-waiters-are-not-marked",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "  redis.call('APPEND', lock, ' +')",
        replace: "  redis.call('EXISTS', lock)",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-fence-starts-anew",
        file: "lock-redis/src/scripts/fence.lua",
        find: "  token = math.max(token, time[1] * 1000000 + time[2])",
        replace: "  token = math.max(token, 5)",
        case: "redis::conformance::r02_tokens_rise_over_a_loss_of_data",
        ..REDIS
    },
    Mutant {
        name: "redis-queued-acquisition-is-not-idempotent",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "if value and string.sub(value, 1, 37) == me then",
        replace: "if value and value == me then",
        case: "redis::conformance::r11_an_unknown_acquisition_is_resolved",
        ..REDIS
    },
    Mutant {
        name: "redis-cap-counts-nobody",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "  if redis.call('ZCARD', queue) > tonumber(wait) then
    forget(id)",
        replace: "  if false then
    forget(id)",
        case: "redis::conformance::r15_waiters_are_capped",
        ..REDIS
    },
    Mutant {
        name: "redis-withdrawn-waiter-holds-others-up",
        file: "lock-redis/src/scripts/release_queued.lua",
        find: "elseif redis.call('ZREM', queue, id) == 1 then
  redis.call('HDEL', records, id)",
        replace: "elseif redis.call('ZREM', queue, id) == 1 then
  redis.call('HDEL', records, id)
  do return 1 end",
        case: "readers_go_when_the_writer_before_them_gives_up",
        ..REDIS
    },
    Mutant {
        name: "redis-kinds-mix",
        file: "lock-redis/src/scripts/acquire_queued.lua",
        find: "if present and kind(present) ~= kind(mode) then",
        replace: "if false then",
        case: "redis::conformance::r01_kinds_do_not_mix",
        ..REDIS
    },
    Mutant {
        name: "redis-dead-sharers-stay",
        file: "lock-redis/src/scripts/queue.lua",
        find: "    over = redis.call('ZRANGEBYSCORE', sharers, '-inf', now)",
        replace: "    over = {}",
        case: "a_dead_sharer_is_pruned",
        ..REDIS
    },
    Mutant {
        name: "redis-messages-are-not-heard",
        file: "lock-redis/src/inbox.rs",
        find: "slot.granted(token) }",
        replace: "drop((slot, token)) }",
        case: "a_hand_over_needs_no_look",
        ..REDIS
    },
    Mutant {
        name: "redis-dead-connection-is-kept",
        file: "lock-redis/src/client.rs",
        find: "            self.client.drop_wire(self.wire);",
        replace: "            let _ = self.wire;",
        case: "redis::conformance::r04_one_failed_renewal_is_no_loss",
        ..REDIS
    },
    Mutant {
        name: "redis-renewals-of-sharers-are-lost",
        file: "lock-redis/src/driver.rs",
        find: "let mut answers: Vec<_> = alone.into_iter().flatten().chain(shared).collect();",
        replace: "let mut answers: Vec<_> = alone.into_iter().flatten().chain(shared.into_iter().take(0)).collect();",
        case: "sharers_and_permits_are_renewed",
        ..REDIS
    },
    Mutant {
        name: "redis-names-are-not-escaped",
        file: "lock-redis/src/keys.rs",
        find: "escape(&mut lock, name.as_str(), b\"._/-\");",
        replace: "lock.push_str(name.as_str());",
        case: "prefixes_are_apart",
        ..REDIS
    },
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
        find: "            WatchEvent::Deleted => ear.left.store(true, SeqCst),",
        replace: "            WatchEvent::Deleted => return,",
        case: "specific::a_release_wakes_the_next_one_at_once",
        ..ETCD
    },
    Mutant {
        name: "etcd-the-gap-before-the-watch-stays-open",
        file: "lock-etcd/src/watcher.rs",
        find: "            WatchEvent::Created => {}",
        replace: "            WatchEvent::Created => return,",
        case: "specific::what_happened_before_the_watch_is_not_missed",
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
