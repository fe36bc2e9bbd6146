//! One fault, from the peace before it to the peace after it.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use crate::crew::Crew;
use crate::fault::Fault;
use crate::stand::{Stand, Step};
use crate::trouble::{Trouble, broken, missed};

mod link;
mod process;

/// What a fault needs while it is done.
pub(crate) struct Scene<'a, 'c> {
    pub(crate) crew: &'a mut Crew<'c>,
    pub(crate) stand: &'a dyn Stand,
    pub(crate) rng: &'a mut Rng,
    pub(crate) fault: Fault,
    pub(crate) form: &'static str,
    /// A lock of its own.
    pub(crate) name: String,
    /// How many a crowd has.
    pub(crate) waiters: usize,
}

type Landed = Result<String, Trouble>;

impl Scene<'_, '_> {
    /// Does it, and returns what shows that it has landed, when everybody who wanted the lock of the
    /// scene has had it.
    pub(crate) async fn play(&mut self) -> Landed {
        match self.fault {
            Fault::HolderPaused => self.holder_paused().await,
            Fault::HolderKilled => self.holder_killed().await,
            Fault::AcquireDropped => self.acquisitions_dropped().await,
            Fault::ReleaseFails if self.form == "dropped" => self.releases_dropped().await,
            Fault::ReleaseFails => self.release_cut().await,
            Fault::SilentLink => self.silent_link().await,
            Fault::ReplySwallowed => self.reply_swallowed().await,
            Fault::SlowLink => self.slow_link().await,
            Fault::RenewalLate => self.renewal_late().await,
            Fault::NotificationsLost => self.notifications_lost().await,
            Fault::ClientClock => self.client_clock().await,
            Fault::WaitersKilled => self.waiters_killed().await,
            Fault::Storm => self.storm().await,
            Fault::Crowd => self.crowd().await,
            Fault::RuntimeBlocked => self.runtime_blocked().await,
            Fault::ServerPaused
            | Fault::ServerKilled
            | Fault::DataLost
            | Fault::RecordRemoved
            | Fault::ServerClock
            | Fault::LeaderCut
            | Fault::Housekeeping
            | Fault::ServerFull
            | Fault::AuthRevoked => self.store_struck().await,
        }
    }

    /// Somebody holds the lock and others wait for it while the store is struck.
    async fn store_struck(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        let failed = self.crew.sum().await?.failed;
        let struck = self.stand.strike(self.fault, self.form, &self.name, self.rng).await;
        let landed = struck.map_err(|error| missed(format!("{error:#}")))?;
        if self.fault == Fault::RecordRemoved {
            // It has to notice, though its session may be renewed as ever.
            self.loses(holder).await?;
        } else {
            self.frees(holder).await?;
        }
        self.done(&waiters).await?;
        if matches!(self.fault, Fault::ServerFull | Fault::AuthRevoked) {
            let refused = self.crew.sum().await?.failed - failed;
            if refused == 0 {
                return Err(missed("nobody was refused"));
            }
            return Ok(format!("{landed}; {refused} acquisitions were refused"));
        }
        Ok(landed)
    }

    /// A holder and two waiters: different processes where there are several.
    fn cast(&mut self) -> (usize, [usize; 2]) {
        let count = self.crew.len();
        let holder = self.rng.usize(..count);
        let first = 1 + self.rng.usize(..count.max(2) - 1);
        (holder, [(holder + first) % count, (holder + first % (count.max(2) - 1) + 1) % count])
    }

    /// How long something may take that is not about a TTL.
    fn patience(&self) -> Duration {
        (self.stand.ttl() + self.stand.terms().slack) * 2 + BUSY
    }

    async fn keeps(&mut self, holder: usize) -> Result<(), Trouble> {
        self.crew.send(holder, &format!("keep {} mutex", self.name));
        self.hears(holder, "held").await
    }

    /// Lets each wait for a turn, one after the other.
    async fn queue(&mut self, waiters: &[usize]) -> Result<(), Trouble> {
        for waiter in waiters {
            self.crew.send(*waiter, &format!("turn {} mutex", self.name));
            self.hears(*waiter, "queued").await?;
        }
        Ok(())
    }

    /// Each has had its turn.
    async fn done(&mut self, waiters: &[usize]) -> Result<(), Trouble> {
        for waiter in waiters {
            self.hears(*waiter, "done").await?;
        }
        Ok(())
    }

    /// The holder gives it back, unless it has lost it meanwhile.
    async fn frees(&mut self, holder: usize) -> Result<(), Trouble> {
        self.crew.send(holder, &format!("free {}", self.name));
        let ends = ["freed", "lost", "gone"].map(|end| format!("{end} {}", self.name));
        let ends: Vec<_> = ends.iter().map(String::as_str).collect();
        self.crew.hear(holder, &ends, self.patience()).await.map(drop)
    }

    async fn loses(&mut self, holder: usize) -> Result<(), Trouble> {
        self.hears(holder, "lost").await
    }

    async fn hears(&mut self, worker: usize, word: &str) -> Result<(), Trouble> {
        let report = format!("{word} {}", self.name);
        let patience = self.patience();
        self.crew.hear(worker, &[&report], patience).await.map(drop)
    }
}

/// What two busy cores may cost besides.
const BUSY: Duration = Duration::from_secs(8);
