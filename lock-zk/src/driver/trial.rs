//! What the store is able to do, and we are allowed to.

use std::sync::Arc;

use lockcore::{BootInstant, EntryId, Error, ErrorKind, Guarantees, Result, Rule, Ttl};

use crate::client::{Cluster, Connection, LinedUp, range};
use crate::config::BACKEND;
use crate::names::{self, Directory};

/// Learns which TTLs the server gives, and sees that we may do what locks need.
pub(super) async fn trial(cluster: &Arc<Cluster>, prefix: &str) -> Result<(Ttl, Ttl)> {
    let begun = BootInstant::now();
    let mut attempts = 1;
    // The sessions of the trial are short, so on a slow machine their connections break soon.
    loop {
        let error = match try_once(cluster, prefix).await {
            Ok(ttls) => return Ok(ttls),
            Err(error) => error,
        };
        let is_worth_it = error.is_transient() && begun.elapsed() < cluster.limit();
        if !is_worth_it || attempts == ATTEMPTS {
            return Err(error);
        }
        attempts += 1;
    }
}

async fn try_once(cluster: &Arc<Cluster>, prefix: &str) -> Result<(Ttl, Ttl)> {
    let (shortest, longest, connection) = range(cluster).await?;
    let tried = try_out(&connection, prefix).await;
    let ended = cluster.end(connection).await;
    tried.and(ended).map_err(|error| match error.kind() {
        // What the trial may have left is in nobody's way.
        ErrorKind::Indeterminate | ErrorKind::Lost => {
            Error::new(ErrorKind::Unavailable, "the connection broke at once").with_source(error)
        }
        _ => error,
    })?;
    Ok((shortest, longest))
}

/// Makes and removes a node under a name that no lock has.
async fn try_out(connection: &Connection, prefix: &str) -> Result<()> {
    let directory = Directory::trial(prefix);
    let stem = directory.at(&names::mark(EntryId::random()?));
    let until = BootInstant::now().saturating_add(connection.session_timeout());
    for parents in [false, true, true] {
        let lined_up = connection.line_up(directory.path(), &stem, "", parents, until).await?;
        if let LinedUp::Done(node, _) = lined_up {
            connection.remove(&node.path).await?;
            break;
        }
    }
    Ok(())
}

pub(super) fn guarantees((shortest, longest): (Ttl, Ttl)) -> Guarantees {
    Guarantees::all(BACKEND)
        .with_ttl(shortest..=longest)
        .except(
            Rule::R1,
            "a lock may be granted twice when somebody deletes its node; the holder learns it within \
             a third of the TTL",
        )
        .except(Rule::R2, "tokens fall if the ensemble loses its data, or is restored from a backup")
}

const ATTEMPTS: usize = 3;
