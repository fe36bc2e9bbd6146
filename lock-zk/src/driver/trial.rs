//! What the store is able to do, and we are allowed to.

use std::sync::Arc;

use lockcore::{BootInstant, EntryId, Error, ErrorKind, Guarantees, Result, Rule, Ttl};

use crate::client::{Cluster, Connection, LinedUp, range};
use crate::config::BACKEND;
use crate::names::{self, Directory};

/// Learns which TTLs the server gives, and sees that we may do what locks need.
pub(super) async fn trial(cluster: &Arc<Cluster>, prefix: &str) -> Result<(Ttl, Ttl)> {
    let (shortest, longest, connection) = range(cluster).await?;
    let mut tried = try_out(&connection, prefix).await;
    for _ in 1..ATTEMPTS {
        if !tried.as_ref().is_err_and(Error::is_transient) {
            break;
        }
        tried = try_out(&connection, prefix).await;
    }
    let ended = cluster.end(connection).await;
    // What the trial may have left goes with its session, and holds no lock.
    tried.and(ended).map_err(|error| match error.kind() {
        ErrorKind::Indeterminate | ErrorKind::Lost => {
            let message = "the server stopped answering: are most members of the ensemble up?";
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        }
        _ => error,
    })?;
    Ok((shortest, longest))
}

/// Makes and removes a node under a name that no lock has.
async fn try_out(connection: &Connection, prefix: &str) -> Result<()> {
    let directory = Directory::trial(prefix);
    connection.ready().await?;
    let stem = directory.at(&names::mark(EntryId::random()?));
    let until = BootInstant::now().saturating_add(connection.session_timeout());
    for parents in [false, true, true] {
        let lined_up = connection.line_up(directory.path(), &stem, "", parents, until).await?;
        if let LinedUp::Done(node, listed) = lined_up {
            connection.remove(&node.path).await?;
            return listed.map(|_| ());
        }
    }
    Ok(())
}

/// A server may be slow for once.
const ATTEMPTS: usize = 3;

pub(super) fn guarantees((shortest, longest): (Ttl, Ttl)) -> Guarantees {
    Guarantees::all(BACKEND)
        .with_ttl(shortest..=longest)
        .except(
            Rule::R1,
            "a lock may be granted twice when somebody deletes its node; the holder learns it within \
             a third of the TTL. It may be, too, when the ensemble loses its data or is restored from \
             a backup; the holder learns it at its deadline, and its token is the greater one",
        )
        .except(Rule::R2, "tokens fall if the ensemble loses its data, or is restored from a backup")
}
