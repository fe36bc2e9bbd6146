//! The end of a client.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError, Weak};

use super::Shared;
use crate::driver::Driver;
use crate::rt::{timeout, watch};
use crate::{BootInstant, Error, LossCause, Result};

impl<D: Driver> Shared<D> {
    /// Begins the shutdown, unless somebody has; and tells when it is over.
    pub(super) fn begin_shutdown(self: &Arc<Self>) -> watch::Receiver<bool> {
        let mut shutdown = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        let over = shutdown.get_or_insert_with(|| {
            let (over, told) = watch::channel(false);
            let shared = self.clone();
            self.runtime.spawn(async move {
                shared.shut_down().await;
                over.send_replace(true);
            });
            told
        });
        over.clone()
    }

    async fn shut_down(self: &Arc<Self>) {
        self.closing.send_replace(true);
        let held: Vec<_> = self.active().holds.values().filter_map(Weak::upgrade).collect();
        for grant in held {
            grant.lose(LossCause::Shutdown);
        }
        // Those who wait see it and go. Whom nobody polls does not: it is taken out here.
        if timeout(self.config.request_timeout, self.asking.idle()).await.is_err() {
            self.withdraw_all();
        }
        self.jobs.idle().await;
        // A release that had begun may be there only now.
        self.withdraw_all();
        self.jobs.idle().await;
        // One that is being opened for nobody is there after this.
        drop(self.opening.lock().await);
        let sessions: Vec<_> = self.sessions().drain().collect();
        for (ttl, tenure) in sessions {
            self.keeper.stop(&tenure);
            if self.limited(self.driver.end(&tenure.session), ttl).await.is_err() {
                self.leave_behind(ttl);
            }
        }
        self.driver.close().await;
    }

    fn withdraw_all(self: &Arc<Self>) {
        let left: Vec<_> = self.active().asks.drain().collect();
        for (_, (_, withdrawal)) in left {
            self.withdraw(withdrawal);
        }
    }

    /// What was left to a TTL that has passed is gone.
    pub(super) fn confirmed(&self) -> Result<()> {
        let until = BootInstant::from_nanos(self.left_until.load(SeqCst));
        if until <= BootInstant::now() {
            return Ok(());
        }
        Err(Error::indeterminate(
            until,
            "the store did not confirm every release; what is left goes with its TTL",
        ))
    }
}
