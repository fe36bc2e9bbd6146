//! The in-process store as a backend under test.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lock_conformance::{Client, Harness};
use lock_local::{LocalConfig, LocalLock};
use lockcore::Ttl;

/// A store of its own, whose clients are siblings of one that does nothing.
pub(crate) struct LocalHarness {
    store: LocalLock,
}

const NO_LINK: &str = "there is no link between a client and a store in one process";
const NO_SESSION: &str = "clients and waiters have no session that could die";
const NO_RENEWAL: &str = "a hold that is renewed needs no timer: one that is kept unseen stays";
const NO_RESTART: &str = "the store ends with the process";
const NO_ADMIN: &str = "nobody but the holder can remove a record";

#[async_trait]
impl Harness for LocalHarness {
    const BACKEND: &'static str = "local";
    const OPT_OUTS: &'static [(&'static str, &'static str)] = &[
        ("r02_tokens_rise_over_a_loss_of_data", NO_RESTART),
        ("r02_tokens_rise_over_a_restart", NO_RESTART),
        ("r03_a_late_renewal_revives_nothing", NO_LINK),
        ("r03_a_renewal_of_what_was_removed_is_refused", NO_ADMIN),
        ("r04_a_lost_lock_is_not_renewed", NO_LINK),
        ("r04_a_removed_record_is_noticed", NO_ADMIN),
        ("r04_a_silent_link_ends_the_belief", NO_LINK),
        ("r04_one_failed_renewal_is_no_loss", NO_LINK),
        ("r04_the_deadline_counts_from_the_request", NO_LINK),
        ("r05_a_holder_without_a_session_frees_nobody", NO_SESSION),
        ("r05_a_removed_holder_frees_nobody", NO_ADMIN),
        ("r05_a_repeated_release_hits_nobody", NO_LINK),
        ("r06_an_unknown_acquisition_is_withdrawn", NO_LINK),
        ("r06_dropped_on_a_silent_link", NO_LINK),
        ("r07_a_dead_holders_lock_is_granted", NO_SESSION),
        ("r07_a_dead_waiter_is_skipped", NO_SESSION),
        ("r08_an_unpolled_waiter_is_not_renewed", NO_RENEWAL),
        ("r08_granted_without_a_notification", "a grant is handed over, there is nothing to lose"),
        ("r11_a_refusing_store_is_unavailable", NO_LINK),
        ("r11_a_timed_wait_ends_on_a_silent_link", NO_LINK),
        ("r11_an_unknown_acquisition_is_resolved", NO_LINK),
        ("r12_a_client_outlives_its_session", NO_SESSION),
        ("r12_a_waiter_without_a_session_is_never_granted", NO_SESSION),
        ("r12_a_waiter_without_a_session_learns", NO_SESSION),
        ("r13_the_store_notifies_one", "a grant is handed over, there are no notifications"),
        ("r16_an_error_is_not_busy", NO_LINK),
    ];

    async fn start() -> Self {
        Self { store: LocalLock::new() }
    }

    async fn client(&self) -> Client {
        Client { lock: Arc::new(self.store.sibling()), link: None }
    }

    async fn client_with_waiters(&self, max_waiters: usize) -> Client {
        let config = LocalConfig::new().max_waiters(max_waiters).unwrap();
        Client { lock: Arc::new(self.store.sibling_with(config)), link: None }
    }

    async fn records(&self) -> usize {
        self.store.claims()
    }

    fn short_ttl(&self) -> Ttl {
        Ttl::new(Duration::from_millis(300)).unwrap()
    }

    fn slack(&self) -> Duration {
        Duration::from_millis(100)
    }
}
