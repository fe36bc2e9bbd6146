//! Keeping a lease alive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use lockcore::{BootInstant, ErrorKind, Result};
use tokio::time::timeout;

use super::Client;
use super::dial::Conn;
use super::term::Terms;

/// A stream of renewals of one lease, all of whose answers have been read.
///
/// Whoever renews takes it, and gives it back with the answer: one that was given up in between is
/// gone, so no answer is ever taken for that to a later request.
pub(crate) struct KeepAlive {
    conn: Arc<Conn>,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

impl Client {
    /// Renews a lease, on the stream that is given or on a new one; false if the store does not have
    /// it.
    pub(crate) async fn keep_alive(
        &self,
        lease: i64,
        stream: Option<KeepAlive>,
        limit: Duration,
    ) -> Result<(bool, Option<KeepAlive>)> {
        if let Some(stream) = stream.filter(|stream| self.is_current(&stream.conn)) {
            let conn = stream.conn.clone();
            match timeout(limit, stream.renew(&self.shared.terms)).await {
                Ok(Some(answer)) => return Ok(answer),
                // It ended: at once a new one.
                Ok(None) => {}
                // It is silent, and so may be all of its connection.
                Err(_) => {
                    self.shared.retire_silent(&conn, limit);
                    let message = format!("a renewal had no answer within {limit:?}");
                    return Err(lockcore::Error::new(ErrorKind::Unavailable, message));
                }
            }
        }
        let opened = self.ask(limit, BootInstant::now(), |conn| {
            let (mut client, conn) = (conn.lease.clone(), conn.clone());
            Box::pin(async move {
                let (keeper, answers) = client.keep_alive(lease).await?;
                Ok(KeepAlive { conn, keeper, answers })
            })
        });
        match opened.await {
            Ok(stream) => Ok((true, Some(stream))),
            Err(error) if error.kind() == ErrorKind::Lost => Ok((false, None)),
            Err(error) => Err(error),
        }
    }
}

impl KeepAlive {
    async fn renew(mut self, terms: &Terms) -> Option<(bool, Option<Self>)> {
        self.keeper.keep_alive().await.ok()?;
        let answer = self.answers.message().await.ok()??;
        terms.hear(answer.header());
        // A lease that is gone is answered for all the same, with no time left.
        let is_kept = answer.ttl() > 0;
        Some((is_kept, is_kept.then_some(self)))
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").finish_non_exhaustive()
    }
}
