//! What the store is able to do, and we are allowed to.

use std::time::Duration;

use lockcore::{BootInstant, EntryId, Guarantees, LockName, Result, Rule, Ttl};

use crate::client::{Client, Look, Transaction};
use crate::config::BACKEND;
use crate::keys::Keys;
use crate::session::Session;

/// Learns the shortest TTL that the server grants, and sees that we may do what locks need.
pub(super) async fn probe(client: &Client, prefix: &str) -> Result<Ttl> {
    let lease = lease_id()?;
    let least = client.grant(lease, 1).await?;
    let session = Session::new(prefix, lease, Ttl::DEFAULT);
    let until = BootInstant::now().saturating_add(Duration::from_secs(least.unsigned_abs()));
    let trial = Transaction::default()
        .if_version(&session.epoch_key, 0)
        .put(&session.epoch_key, "", lease)
        .look(&Look::all(Keys::new(prefix, &LockName::new("probe")?).all()))
        .or_look(&Look::at(session.epoch_key.as_str()));
    let tried = async {
        client.run(trial, until).await?;
        client.run(Transaction::default().delete(&session.epoch_key), until).await
    };
    let tried = tried.await;
    // It is short, and goes by itself if this fails.
    let revoked = client.revoke(lease).await;
    tried?;
    revoked?;
    Ttl::new(Duration::from_secs(least.unsigned_abs()))
}

/// A number that no other lease has.
pub(super) fn lease_id() -> Result<i64> {
    let bits = EntryId::random()?.as_u128() as i64 & i64::MAX;
    Ok(bits.max(1))
}

pub(super) fn guarantees(least: Ttl) -> Guarantees {
    Guarantees::all(BACKEND)
        .with_ttl(least..=Ttl::MAX)
        .with_ttl_step(Duration::from_secs(1))
        .except(
            Rule::R1,
            "a lock may be granted twice when somebody deletes its key or revokes its lease, or the \
             cluster loses its data; the holder learns it with its next renewal. Servers may do so by themselves when a leader \
             goes on that had stood still for a TTL, and those of 3.4 before 3.4.31 after any \
             change of leader",
        )
        .except(
            Rule::R2,
            "tokens fall if the cluster loses its data, or is restored from a backup without \
             `--bump-revision`",
        )
}
