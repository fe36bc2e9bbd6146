//! Whether what is held still stands in the store.
//!
//! A session that is renewed keeps alive what stands under it, and says nothing of what somebody has
//! taken away from there.

use std::collections::HashSet;
use std::sync::Arc;

use crate::driver::{Driver, Entry};
use crate::engine::Shared;
use crate::keeper::Tenure;
use crate::{LossCause, Result};

/// Whether the entry has been taken out of a session that several share.
pub(crate) async fn is_missing<D: Driver>(
    shared: &Shared<D>,
    tenure: &Tenure<D::Session>,
    entry: &Arc<Entry>,
) -> Result<bool> {
    if !shared.sessions_are_shared() {
        return Ok(false);
    }
    let question = shared.driver.missing(&tenure.session, std::slice::from_ref(entry));
    Ok(!shared.limited(question, tenure.ttl).await?.is_empty())
}

/// Looks after the grants of a session that was renewed.
pub(crate) async fn run<D: Driver>(shared: &Shared<D>, tenure: &Arc<Tenure<D::Session>>) {
    // Before the question: what is granted meanwhile is not in its answer.
    let held = shared.held_in(tenure);
    if held.is_empty() {
        return;
    }
    let entries: Vec<_> = held.iter().map(|grant| grant.entry.clone()).collect();
    let question = shared.driver.missing(&tenure.session, &entries);
    // No answer says nothing. The next renewal asks again.
    let Ok(missing) = shared.limited(question, tenure.ttl).await else { return };
    let missing: HashSet<_> = missing.into_iter().collect();
    for grant in held.iter().filter(|grant| missing.contains(&grant.entry.id())) {
        let backend = shared.driver.guarantees().backend();
        // One that is released meanwhile is rightly gone, and takes no notice.
        tracing::debug!(backend, name = %grant.entry.name(), "a grant is missing in the store");
        grant.lose(LossCause::Revoked);
    }
}
