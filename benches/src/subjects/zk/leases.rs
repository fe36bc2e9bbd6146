//! What many held leases cost.

use anyhow::{Result, bail};
use zookeeper_client::{Acls, Client, CreateMode, LockOptions, LockPrefix, OwnedLockClient};

use super::bare::connect;
use super::meter::Requests;
use super::{OURS, RECIPE, ours};
use crate::subjects::store::TTL;
use crate::subjects::store::leases::Work;

/// What the process that holds them does.
pub(crate) async fn hold(work: &Work<'_>) -> Result<Vec<f64>> {
    match work.subject {
        OURS => work.run_ours::<Requests>(&ours::connect(work.url, TTL).await?).await,
        RECIPE => {
            let client = connect(work.url, TTL).await?;
            directories(&client, work).await?;
            let acquire = async |name: &str| {
                let directory = format!("/{name}");
                let prefix = LockPrefix::new_curator(&directory, "lock-")?;
                let held = client.lock(prefix, b"", LockOptions::new(Acls::anyone_all())).await?;
                Ok(held.into_owned())
            };
            let release = async |held: OwnedLockClient| {
                drop(held);
                Ok(())
            };
            work.run::<Requests, _>(acquire, release).await
        }
        other => bail!("BUG: who is {other}?"),
    }
}

/// Makes a directory for each name, which is no part of what is counted. So many are asked for at once
/// that it takes no time, and so few that it needs no memory.
async fn directories(client: &Client, work: &Work<'_>) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for kind in ["warm-up", "leases"] {
        client.mkdir(&format!("/{}/{kind}", work.subject), &options).await?;
    }
    let mut names = work.names();
    loop {
        let paths: Vec<_> = names.by_ref().take(AT_ONCE).map(|name| format!("/{name}")).collect();
        if paths.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = paths.iter().map(|path| client.create(path, b"", &options)).collect();
        for made in asked {
            made.await?;
        }
    }
}

const AT_ONCE: usize = 32;
