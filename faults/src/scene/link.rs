//! Faults of the way between a worker and the store.

use super::{Duration, Landed, Scene, Step, Trouble, missed, sleep};

impl Scene<'_, '_> {
    /// A release is on its way when the link breaks.
    pub(super) async fn release_cut(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        self.crew.send(holder, &format!("free {}", self.name));
        self.crew.way(holder).cut();
        sleep(self.stand.ttl().mul_f64(self.rng.f64())).await;
        self.crew.way(holder).restore();
        let ends = ["freed", "lost", "gone"].map(|end| format!("{end} {}", self.name));
        let ends: Vec<_> = ends.iter().map(String::as_str).collect();
        let patience = self.patience();
        let end = self.crew.hear(holder, &ends, patience).await?;
        self.done(&waiters).await?;
        Ok(end)
    }

    /// Nobody hears of the other: the lock goes on, and its holder knows before that.
    pub(super) async fn silent_link(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        let (requests, replies) = match self.form {
            "requests" => (true, false),
            "replies" => (false, true),
            _ => (true, true),
        };
        self.crew.way(holder).black_hole(requests, replies);
        let outcome = self.is_lost_in_silence(holder, &waiters).await;
        self.crew.way(holder).black_hole(false, false);
        // What was passed on before is out of step now.
        self.crew.way(holder).reset();
        outcome?;
        Ok("the holder has lost it".to_owned())
    }

    async fn is_lost_in_silence(
        &mut self,
        holder: usize,
        waiters: &[usize],
    ) -> Result<(), Trouble> {
        self.loses(holder).await?;
        // Where only replies vanish, what the holder still asks for is done.
        self.done(waiters).await
    }

    pub(super) async fn reply_swallowed(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        let step = match self.form {
            "acquire" => Step::Acquire,
            "release" => Step::Release,
            _ => Step::Renew,
        };
        self.keeps(holder).await?;
        // It has more than one lock: any reply of this kind will do.
        let swallowed = self.stand.swallow(self.crew.way(holder), step);
        self.queue(&waiters).await?;
        let end = lockcore::BootInstant::now().saturating_add(self.patience());
        while !swallowed.has_landed() && lockcore::BootInstant::now() < end {
            sleep(Duration::from_millis(5)).await;
        }
        let has_landed = swallowed.has_landed();
        swallowed.disarm();
        self.frees(holder).await?;
        self.done(&waiters).await?;
        if has_landed { Ok("swallowed".to_owned()) } else { Err(missed("there was no such reply")) }
    }

    pub(super) async fn slow_link(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        self.queue(&waiters).await?;
        if self.crew.way(holder).connections() == 0 {
            return Err(missed("no connection"));
        }
        let ttl = self.stand.ttl();
        let some = Duration::from_millis(10) + (ttl / 8).mul_f64(self.rng.f64());
        let way = self.crew.way(holder);
        let told = match self.form {
            "delay" => {
                way.delay(some, some);
                format!("{some:?} each way")
            }
            "jitter" => {
                way.jitter(some);
                format!("up to {some:?}")
            }
            "single bytes" => {
                way.one_byte_chunks(true);
                "byte by byte".to_owned()
            }
            "reset" => {
                for _ in 0..RESETS {
                    self.crew.way(holder).reset();
                    sleep(ttl / 8).await;
                }
                format!("{RESETS} resets")
            }
            _ => {
                way.delay(ttl, ttl);
                format!("{ttl:?} each way")
            }
        };
        sleep(ttl * 2).await;
        let way = self.crew.way(holder);
        way.delay(Duration::ZERO, Duration::ZERO);
        way.jitter(Duration::ZERO);
        way.one_byte_chunks(false);
        self.frees(holder).await?;
        self.done(&waiters).await?;
        Ok(told)
    }

    /// A holder hears nothing of its renewals until it has lost the lock: what is confirmed then
    /// gives it back to nobody.
    pub(super) async fn renewal_late(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        // Who renews by hand alone has an end of its own, beside that of its session.
        let kind = if self.form == "by hand" { "unrenewed" } else { "mutex" };
        self.crew.send(holder, &format!("renew {} {kind}", self.name));
        self.hears(holder, "held").await?;
        self.queue(&waiters).await?;
        let held = self.stand.hold_renewals(self.crew.way(holder));
        let lost = self.loses(holder).await;
        let count = held.count();
        held.release();
        lost?;
        let (answered, patience) = (format!("answered {}", self.name), self.patience());
        let answer = self.crew.hear(holder, &[&answered], patience).await?;
        self.frees(holder).await?;
        self.done(&waiters).await?;
        if count == 0 || !answer.ends_with(" late") {
            return Err(missed(format!("{count} answers were held; the holder: {answer}")));
        }
        Ok("a renewal from before the loss was confirmed after it".to_owned())
    }

    /// The waiters hear nothing, and are granted all the same.
    pub(super) async fn notifications_lost(&mut self) -> Landed {
        let (holder, waiters) = self.cast();
        self.keeps(holder).await?;
        let before = self.hear_again();
        self.deafen();
        let served = async {
            self.queue(&waiters).await?;
            self.frees(holder).await?;
            self.done(&waiters).await
        }
        .await;
        let lost = self.hear_again() - before;
        served?;
        if lost == 0 {
            return Err(missed("there was nothing to be heard"));
        }
        Ok(format!("{lost} lost"))
    }

    fn deafen(&mut self) {
        for worker in 0..self.crew.len() {
            self.stand.deafen(self.crew.way(worker));
        }
    }

    fn hear_again(&mut self) -> u64 {
        (0..self.crew.len()).map(|worker| self.stand.hear(self.crew.way(worker))).sum()
    }
}

const RESETS: usize = 5;
