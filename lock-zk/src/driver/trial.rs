//! What the store is able to do, and we are allowed to.

use std::sync::Arc;

use lockcore::{BootInstant, EntryId, Error, ErrorKind, Guarantees, Result, Rule, Ttl};

use crate::client::{Cluster, Connection, LinedUp, range};
use crate::config::BACKEND;
use crate::names::{self, Directory};

/// Learns which TTLs the server gives, and sees that we may do what locks need.
pub(super) async fn trial(cluster: &Arc<Cluster>, prefix: &str) -> Result<(Ttl, Ttl)> {
    let begun = BootInstant::now();
    let mut attempts = 0;
    // The sessions of the trial are short, so on a slow machine their connections break soon.
    loop {
        attempts += 1;
        let is_last = attempts == ATTEMPTS;
        let (shortest, longest, connection) = match range(cluster).await {
            Ok(range) => range,
            Err(error) => {
                let is_early = begun.elapsed() < cluster.limit();
                if error.is_transient() && is_early && !is_last {
                    continue;
                }
                return Err(error);
            }
        };
        let tried = try_out(&connection, prefix).await;
        let ended = cluster.end(connection).await;
        let Err(error) = tried.and(ended) else { return Ok((shortest, longest)) };
        if !error.is_transient() && error.kind() != ErrorKind::Lost {
            return Err(error);
        }
        if is_last {
            // What the trial may have left is in nobody's way.
            let message = "the connection breaks as often as it is made";
            return Err(Error::new(ErrorKind::Unavailable, message).with_source(error));
        }
    }
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
