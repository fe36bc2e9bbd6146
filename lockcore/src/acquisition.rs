//! The course of one acquisition.

mod look;

use std::sync::Arc;
use std::time::Duration;

use self::look::Reason;
use crate::detached::Departure;
use crate::driver::{Driver, Entry, Standing};
use crate::engine::Shared;
use crate::engine_lease::{EngineLease, Grant};
use crate::keeper::Tenure;
use crate::pace::Pace;
use crate::rt::sleep;
use crate::tally::Job;
use crate::withdrawal::Withdrawal;
use crate::{BootInstant, Error, ErrorKind, FencingToken, LossCause, Renewal, Result, Ttl};

/// One acquisition, from its first request to its grant or its end.
pub(crate) struct Acquisition<D: Driver> {
    shared: Arc<Shared<D>>,
    entry: Arc<Entry>,
    /// Happens when nobody waits for the outcome any more.
    departure: Arc<Departure>,
    _job: Job,
}

/// The session that an acquisition runs in.
pub(crate) struct Seat<D: Driver> {
    session: Arc<D::Session>,
    /// The session's time, if it began with the session; otherwise it begins with the grant.
    tenure: Option<Arc<Tenure<D::Session>>>,
    /// Whether the session was opened for this acquisition alone.
    is_private: bool,
    /// The place may be the second one: what became of the first request was unknown, and by the time
    /// of the next it may have been granted and taken away.
    was_asked_again: bool,
}

/// An answer of the store, with an instant before the TTL began that it speaks of.
struct Answer {
    standing: Standing,
    sent: BootInstant,
}

/// Why the task stopped waiting.
enum Stop {
    Abandoned,
    Closing,
    SessionLost(LossCause),
    Failed(Error),
}

impl<D: Driver> Acquisition<D> {
    pub(crate) fn new(
        shared: Arc<Shared<D>>,
        entry: Arc<Entry>,
        departure: Arc<Departure>,
        job: Job,
    ) -> Self {
        Self { shared, entry, departure, _job: job }
    }

    /// Takes its course. If the caller has gone, the lease that comes of it is dropped, and so
    /// given back.
    pub(crate) async fn run(self) -> Result<Option<EngineLease<D>>> {
        let outcome = self.acquire().await;
        if !matches!(outcome, Ok(Some(_))) {
            self.shared.asked(self.entry.id());
        }
        // Not after a grant was noted, which is what such an end looks for.
        if self.departure.is_given_up() {
            return Err(place_lost(LossCause::Expired));
        }
        outcome
    }

    async fn acquire(&self) -> Result<Option<EngineLease<D>>> {
        let Some((seat, mut answer)) = self.sit_down().await? else { return Ok(None) };
        let mut pace = Pace::new(self.entry.id());
        loop {
            let recheck = match answer.standing {
                Standing::Granted(token) => {
                    return self.grant(seat, token, answer.sent).await.map(Some);
                }
                Standing::Busy => {
                    self.leave(&seat);
                    return Ok(None);
                }
                Standing::Queued { recheck } => recheck,
            };
            let pause = pace.jitter(self.recheck_after(recheck));
            let waited = tokio::select! {
                biased;
                stop = self.stops(&seat) => Err(stop),
                wake = self.shared.driver.wake(&seat.session, &self.entry) => {
                    Ok(Reason::Woken(wake))
                }
                turn = self.slow_turn(pause) => Ok(Reason::Slow(turn)),
            };
            let looked = match waited {
                Ok(reason) => self.look(&seat, reason, answer.sent, &mut pace).await,
                Err(stop) => Err(stop),
            };
            answer = match looked {
                Ok(answer) => answer,
                Err(stop) => {
                    self.withdraw(&seat);
                    return match stop {
                        Stop::Abandoned => Ok(None),
                        Stop::Closing => Err(Error::closed()),
                        Stop::SessionLost(cause) => Err(place_lost(cause)),
                        Stop::Failed(error) => Err(error),
                    };
                }
            };
        }
    }

    /// Takes a seat and queues; `None` when nobody waits for the outcome any more.
    async fn sit_down(&self) -> Result<Option<(Seat<D>, Answer)>> {
        let mut is_first_seat = true;
        loop {
            let mut seat = self.take_seat().await?;
            if self.departure.has_happened() {
                self.leave(&seat);
                return Ok(None);
            }
            // Known from before the store hears of it, so that a shutdown finds it.
            if !self.shared.asks(self.entry.id(), &self.departure, self.withdrawal(&seat)) {
                self.leave(&seat);
                return Err(Error::closed());
            }
            let error = match self.enqueue(&mut seat).await {
                Ok(Some(answer)) => return Ok(Some((seat, answer))),
                Ok(None) => {
                    self.leave(&seat);
                    return Ok(None);
                }
                Err(error) => error,
            };
            match (&seat.tenure, error.kind()) {
                // The store ended the session before we knew. A new one will do.
                (Some(tenure), ErrorKind::Lost) if is_first_seat => {
                    tenure.term.end(error.loss_cause().unwrap_or(LossCause::SessionEnded));
                    is_first_seat = false;
                }
                (_, ErrorKind::Indeterminate) => {
                    self.withdraw(&seat);
                    return Err(error);
                }
                _ => {
                    self.leave(&seat);
                    return Err(error);
                }
            }
        }
    }

    async fn take_seat(&self) -> Result<Seat<D>> {
        let (shared, entry) = (&self.shared, &self.entry);
        if !shared.sessions_are_shared() {
            let session = shared.harmless(shared.driver.open(entry)).await?;
            return Ok(Seat {
                session: Arc::new(session),
                tenure: None,
                is_private: false,
                was_asked_again: false,
            });
        }
        // A hold that is to end by itself cannot live in a session that is renewed for others.
        let is_private = entry.request().renewal() != Renewal::Auto && !shared.ends_holds();
        let tenure = if is_private {
            shared.open_tenure(entry).await?
        } else {
            shared.shared_tenure(entry).await?
        };
        Ok(Seat {
            session: tenure.session.clone(),
            tenure: Some(tenure),
            is_private,
            was_asked_again: false,
        })
    }

    /// Enqueues, and repeats that while the outcome is unknown and somebody wants to know; `None` when
    /// nobody does before anything was sent.
    async fn enqueue(&self, seat: &mut Seat<D>) -> Result<Option<Answer>> {
        let mut pace = Pace::new(self.entry.id());
        let mut unknown = false;
        let mut asked = None;
        for attempt in 1.. {
            let turn = match self.turn_unless_stopped(seat).await {
                Ok(turn) => turn,
                Err(_) if unknown => return Err(self.unknown_outcome()),
                Err(Stop::Abandoned) => return Ok(None),
                Err(Stop::Closing) => return Err(Error::closed()),
                Err(Stop::SessionLost(cause)) => return Err(Error::lost(cause)),
                Err(Stop::Failed(error)) => return Err(error),
            };
            let sent = BootInstant::now();
            let command = self.shared.driver.enqueue(&seat.session, &self.entry);
            let first = *asked.get_or_insert(sent);
            let error = match self
                .shared
                .at_its_turn(turn, BootInstant::FAR, command, self.ttl())
                .await
            {
                // The first place, if there was one, may have ended: whoever waits at another one has
                // to know that others went before.
                Ok(_) if unknown && self.may_have_ended(seat, first) => {
                    let until = BootInstant::now().saturating_add(self.ttl().as_duration());
                    let message = "the store did not answer for a TTL, in which the place in the queue \
                                   may have ended: call again";
                    return Err(Error::indeterminate(until, message));
                }
                Ok(standing) => {
                    seat.was_asked_again = unknown;
                    return Ok(Some(Answer { standing, sent }));
                }
                Err(error) => error,
            };
            unknown |= error.kind() == ErrorKind::Indeterminate;
            if !unknown {
                return Err(error);
            }
            if attempt >= ENQUEUE_ATTEMPTS
                || self.departure.has_happened()
                || self.shared.is_closing()
            {
                return Err(self.unknown_outcome().with_source(error));
            }
            sleep(pace.backoff()).await;
        }
        Err(Error::new(ErrorKind::Backend, "no attempt was made"))
    }

    fn unknown_outcome(&self) -> Error {
        let until = BootInstant::now().saturating_add(self.ttl().as_duration());
        let message = "the store did not say whether it queued the request; what it may have left \
                       is being withdrawn";
        Error::indeterminate(until, message)
    }

    /// Whether a place that was asked for at `asked`, and of which nothing was heard, may have ended.
    fn may_have_ended(&self, seat: &Seat<D>, asked: BootInstant) -> bool {
        self.entry.waits() && seat.tenure.is_none() && asked.elapsed() >= self.ttl().as_duration()
    }

    async fn grant(
        &self,
        seat: Seat<D>,
        token: FencingToken,
        sent: BootInstant,
    ) -> Result<EngineLease<D>> {
        let request = self.entry.request();
        let tenure = match &seat.tenure {
            Some(tenure) => {
                if request.renewal() == Renewal::Never && seat.is_private {
                    self.start_ttl(tenure).await;
                }
                tenure.clone()
            }
            None => {
                let tenure = Arc::new(Tenure::new(seat.session.clone(), self.ttl(), sent));
                if request.renewal() != Renewal::Never {
                    self.shared.keeper.keep(&tenure);
                }
                tenure
            }
        };
        let grant = Grant::new(&self.shared, &self.entry, token, sent, tenure, seat.is_private);
        let lease = EngineLease::new(grant);
        match lease.loss() {
            // The answer came when its time was over: nobody may believe in it. Dropping it
            // withdraws.
            Some(LossCause::Shutdown) => Err(Error::closed()),
            Some(cause) => Err(Error::lost(cause)),
            None => Ok(lease),
        }
    }

    /// Lets the TTL of a hold that nobody renews begin with the grant, as far as the store answers.
    async fn start_ttl(&self, tenure: &Tenure<D::Session>) {
        let sent = BootInstant::now();
        self.shared.keeper.stop(tenure);
        let command = self.shared.driver.renew(std::slice::from_ref(&tenure.session));
        let answer = self.shared.limited(async { Ok(command.await) }, self.ttl()).await;
        if let Some(Ok(answer)) = answer.ok().and_then(|mut answers| answers.pop()) {
            // A loss is in the term, where the lease finds it.
            let _: Result<(), LossCause> = tenure.renewed(sent, answer);
        }
    }

    /// Gives up a seat that nothing of ours is queued in: a session of its own is to be ended.
    fn leave(&self, seat: &Seat<D>) {
        if seat.is_private {
            self.withdraw(seat);
        }
    }

    fn withdraw(&self, seat: &Seat<D>) {
        if seat.is_private
            && let Some(tenure) = &seat.tenure
        {
            self.shared.keeper.stop(tenure);
        }
        self.shared.withdraw(self.withdrawal(seat));
    }

    fn withdrawal(&self, seat: &Seat<D>) -> Withdrawal<D> {
        Withdrawal::new(
            self.entry.clone(),
            seat.session.clone(),
            seat.tenure.clone().filter(|_| !seat.is_private),
            seat.is_private,
        )
    }

    fn recheck_after(&self, hint: Option<Duration>) -> Duration {
        let slowest = self.shared.recheck().min(self.ttl().renewal_period());
        hint.unwrap_or(slowest).clamp(FASTEST_RECHECK, slowest.max(FASTEST_RECHECK))
    }

    fn ttl(&self) -> Ttl {
        self.entry.request().ttl()
    }
}

fn place_lost(cause: LossCause) -> Error {
    let message = format!("the place in the queue was lost, call again: {cause}");
    Error::new(ErrorKind::Lost, message).with_loss(cause).worth_repeating()
}

/// Waits for the end of the session, if the waiter has one that can end.
async fn session_end<D: Driver>(seat: &Seat<D>) -> LossCause {
    match &seat.tenure {
        Some(tenure) => tenure.term.ended().await,
        None => std::future::pending().await,
    }
}

const ENQUEUE_ATTEMPTS: u32 = 3;
const FASTEST_RECHECK: Duration = Duration::from_millis(10);
