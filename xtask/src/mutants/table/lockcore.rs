//! `lockcore`: the rule, terms and handles, which the suite on `local:` must notice; and the engine.

use super::{ENGINE, LOCAL, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
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
        find: "return Ok(Some(Answer { standing, sent }));",
        replace: "return Ok(Some(Answer { standing, sent: BootInstant::now().max(sent) }));",
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
        file: "lockcore/src/acquisition/look.rs",
        find: "        sleep(pause).await;",
        replace: "        sleep(pause * 1_000).await;",
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
        name: "engine-asks-for-all-at-once",
        file: "lockcore/src/lanes.rs",
        find: "Lane::Withdrawal | Lane::Command => self.busy.len() < self.pressure.limit,",
        replace: "Lane::Withdrawal | Lane::Command => true,",
        test_target: "overload",
        case: "a_crowd_that_comes_at_once_is_served",
        ..ENGINE
    },
    Mutant {
        name: "engine-looks-stand-in-the-way",
        file: "lockcore/src/lanes.rs",
        find: "Lane::Look => self.looking.len() < LOOKS.min(self.pressure.limit),",
        replace: "Lane::Look => true,",
        test_target: "overload",
        case: "those_who_wait_stand_in_nobodys_way",
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
];
