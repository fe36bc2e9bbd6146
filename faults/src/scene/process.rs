//! Faults of the workers themselves.

use std::time::Instant;

use super::{Duration, Landed, Scene, broken, missed, sleep};
use crate::trouble::Trouble;

impl Scene<'_, '_> {
    /// Its lock goes to the next one while it stands still; when it goes on it knows.
    pub(super) async fn holder_paused(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        self.crew.pause(holder);
        sleep(self.stand.ttl() * 2).await;
        let done = self.done(&waiters).await;
        self.crew.resume(holder);
        done?;
        self.loses(holder).await?;
        Ok("it lost the lock meanwhile".to_owned())
    }

    pub(super) async fn holder_killed(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        let ttl = u64::try_from(self.stand.ttl().as_millis()).unwrap_or(u64::MAX);
        sleep(Duration::from_millis(self.rng.u64(..ttl))).await;
        self.crew.kill(holder);
        let done = self.done(&waiters).await;
        self.crew.replace(holder).await?;
        done?;
        Ok("it is gone".to_owned())
    }

    pub(super) async fn acquisitions_dropped(&mut self) -> Landed {
        let before = self.crew.sum().await?.dropped;
        self.crew.send_all("chaos on");
        sleep(self.stand.ttl() * 2).await;
        self.crew.send_all("chaos off");
        match self.crew.sum().await?.dropped - before {
            0 => Err(missed("all were granted in time")),
            dropped => Ok(format!("{dropped} dropped")),
        }
    }

    pub(super) async fn releases_dropped(&mut self) -> Landed {
        let before = self.crew.sum().await?;
        self.crew.send_all("careless on");
        sleep(self.stand.ttl() * 2).await;
        self.crew.send_all("careless off");
        let after = self.crew.sum().await?;
        match after.careless - before.careless {
            0 => Err(missed("all were done in time")),
            dropped => Ok(format!("{dropped} of {} dropped", after.grants - before.grants)),
        }
    }

    /// The wall clock jumps under a holder. Nothing may come of that.
    pub(super) async fn client_clock(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        let mut seen = Vec::new();
        for hours in [1, -1] {
            let before = self.wall_clock(holder).await?;
            let step = self.crew.clock(holder).step(hours);
            step.map_err(|error| missed(format!("{error:#}")))?;
            sleep(self.stand.ttl().max(CLOCK_IS_READ)).await;
            seen.push(self.wall_clock(holder).await? - before);
        }
        let back = self.crew.clock(holder).step(0);
        back.map_err(|error| missed(format!("{error:#}")))?;
        self.frees_held(holder).await?;
        self.done(&waiters).await?;
        if seen[0] < HALF_AN_HOUR || seen[1] > -HALF_AN_HOUR {
            return Err(missed(format!("its clock went by {seen:?} s")));
        }
        Ok(format!("its clock went by {} s and {} s", seen[0], seen[1]))
    }

    /// The holder gives it back, and had not lost it.
    async fn frees_held(&mut self, holder: usize) -> Result<(), Trouble> {
        self.crew.send(holder, &format!("free {}", self.name));
        let freed = format!("freed {}", self.name);
        let patience = self.patience();
        let report = self.crew.hear(holder, &[&freed], patience).await?;
        if report.ends_with(" well") { Ok(()) } else { Err(broken(report)) }
    }

    async fn wall_clock(&mut self, worker: usize) -> Result<i64, Trouble> {
        self.crew.send(worker, "clock");
        let patience = self.patience();
        let report = self.crew.hear(worker, &["clock"], patience).await?;
        let seconds = report.split(' ').next_back().and_then(|word| word.parse().ok());
        seconds.ok_or_else(|| broken(report))
    }

    /// The head of the queue dies, and perhaps another one; the last one is served.
    pub(super) async fn waiters_killed(&mut self) -> Landed {
        let count = self.crew.len();
        let holder = self.rng.usize(..count);
        if count == 1 {
            self.keeps(holder).await?;
            self.queue(&[holder, holder]).await?;
            self.crew.send(holder, &format!("leave {}", self.name));
            self.queue(&[holder]).await?;
            self.frees(holder).await?;
            self.done(&[holder]).await?;
            return Ok("two were dropped".to_owned());
        }
        let [head, second, last] = [1, 2, 3].map(|next| (holder + next) % count);
        self.keeps(holder).await?;
        self.queue(&[head, second, last]).await?;
        let dead = if self.form == "the head" { &[head][..] } else { &[head, second] };
        dead.iter().for_each(|waiter| self.crew.kill(*waiter));
        self.frees(holder).await?;
        let alive = if dead.len() == 1 { &[second, last][..] } else { &[last] };
        let done = self.done(alive).await;
        for waiter in dead {
            self.crew.replace(*waiter).await?;
        }
        done?;
        Ok(format!("{} of 3 killed", dead.len()))
    }

    pub(super) async fn storm(&mut self) -> Landed {
        let time = self.stand.ttl() * 2;
        let count = self.crew.len();
        for worker in 0..count {
            let readers = READERS / count;
            let writers = if count == 1 { WRITERS } else { usize::from(worker < WRITERS) };
            let millis = time.as_millis();
            self.crew.send(worker, &format!("storm {} {readers} {writers} {millis}", self.name));
        }
        let (mut reads, mut writes) = (0, 0);
        for worker in 0..count {
            let patience = time + self.patience();
            let report = self.crew.hear(worker, &["stormed"], patience).await?;
            let mut counts = report.split(' ').skip(1).map(|count| count.parse().unwrap_or(0));
            reads += counts.next().unwrap_or(0_u64);
            writes += counts.next().unwrap_or(0_u64);
        }
        if reads == 0 {
            return Err(broken("no reader was let in"));
        }
        if writes == 0 {
            return Err(broken(format!("no writer was let in beside {reads} readers")));
        }
        Ok(format!("{reads} reads, {writes} writes"))
    }

    pub(super) async fn crowd(&mut self) -> Landed {
        let count = self.crew.len();
        let holder = self.rng.usize(..count);
        self.keeps(holder).await?;
        for worker in 0..count {
            self.crew.send(worker, &format!("crowd {} {}", self.name, self.waiters / count));
        }
        let (all, begun) = (self.waiters / count * count, Instant::now());
        self.crew.send(holder, &format!("count {} {all}", self.name));
        let [counting, counted, lost] =
            ["counting", "counted", "lost"].map(|word| format!("{word} {}", self.name));
        let ends = [counting.as_str(), &counted, &lost];
        // As long as there come more, nothing is wrong.
        let queued = loop {
            let report = self.crew.hear(holder, &ends, CROWD).await?;
            if report.starts_with(&counted) {
                let queued = begun.elapsed().as_secs_f64();
                self.frees(holder).await?;
                break format!("all queued after {queued:.1} s");
            }
            if report.starts_with(&lost) {
                break "the holder lost the lock to them".to_owned();
            }
        };
        self.all_are_served(all).await?;
        let took = begun.elapsed().as_secs_f64();
        Ok(format!("{all} waited, {queued}, and were served after {took:.1} s"))
    }

    /// Each of the crowd has its turn, and never is it long until the next one.
    async fn all_are_served(&mut self, all: usize) -> Result<(), Trouble> {
        let (mut served, mut last) = (0, Instant::now());
        let report = format!("served {}", self.name);
        while served < all {
            let before = served;
            for worker in 0..self.crew.len() {
                while self.crew.heard(worker, &[&report]).is_some() {
                    served += 1;
                }
            }
            if served > before {
                last = Instant::now();
            }
            if last.elapsed() >= CROWD {
                return Err(broken(format!("{served} of {all} were served, and nobody since")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Nothing in the holder's process goes on, and the store hears nothing of it.
    pub(super) async fn runtime_blocked(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        let is_alone = self.crew.len() == 1;
        if !is_alone {
            self.queue(&waiters).await?;
        }
        self.crew.note_block(holder);
        self.crew.send(holder, &format!("block {}", (self.stand.ttl() * 2).as_millis()));
        let patience = self.patience();
        self.crew.hear(holder, &["blocked"], patience).await?;
        self.crew.note_run(holder);
        if is_alone {
            // The store is blocked with it: nobody could be granted beside it.
            self.frees(holder).await?;
            return Ok("the store stood still too".to_owned());
        }
        self.done(&waiters).await?;
        self.loses(holder).await?;
        Ok("it lost the lock meanwhile".to_owned())
    }
}

const READERS: usize = 32;
const WRITERS: usize = 2;
/// How long nobody of a crowd may get any further.
const CROWD: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const HALF_AN_HOUR: i64 = 1_800;
/// How long libfaketime may go on with what it read before, and some more.
const CLOCK_IS_READ: Duration = Duration::from_millis(2_500);
