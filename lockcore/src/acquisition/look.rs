//! Waiting, and looking where one stands.

use std::sync::Arc;
use std::time::Duration;

use super::{Acquisition, Answer, Seat, Stop, place_lost, session_end};
use crate::driver::{Driver, Standing, Wake};
use crate::keeper::Tenure;
use crate::lanes::{Lane, Turn};
use crate::pace::Pace;
use crate::rt::sleep;
use crate::{BootInstant, ErrorKind, FencingToken, LossCause, Result, term};

/// Why the task looks where it stands.
pub(super) enum Reason<'l> {
    Woken(Result<Wake>),
    /// Nothing woke it for a while, and now it may ask.
    Slow(Result<Turn<'l>>),
}

impl<D: Driver> Acquisition<D> {
    /// Looks where the entry stands after a wake-up, or after a pause without one. `found_waiting`
    /// is when it was asked for the last time and found in the queue.
    pub(super) async fn look(
        &self,
        seat: &Seat<D>,
        reason: Reason<'_>,
        found_waiting: BootInstant,
        pace: &mut Pace,
    ) -> Result<Answer, Stop> {
        let turn = match reason {
            Reason::Slow(turn) => turn,
            Reason::Woken(wake) => {
                match wake {
                    // That may have been told of the first place.
                    Ok(Wake::Granted(_)) if seat.was_asked_again => {}
                    Ok(Wake::Granted(token)) => {
                        if let Some(answer) = self.granted_by_wake(seat, token, found_waiting) {
                            return Ok(answer);
                        }
                    }
                    Ok(Wake::Check) => {}
                    // The way of notifications is broken: look, but not in a frenzy.
                    Err(_) => sleep(pace.backoff()).await,
                }
                match self.turn_unless_stopped(seat).await {
                    Ok(turn) => Ok(turn),
                    Err(Stop::Failed(error)) => Err(error),
                    Err(stop) => return Err(stop),
                }
            }
        };
        let sent = BootInstant::now();
        let outcome = match turn {
            Ok(turn) => {
                let command = self.shared.driver.check(&seat.session, &self.entry);
                self.shared.at_its_turn(turn, BootInstant::FAR, command, self.ttl()).await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(standing) => {
                pace.reset();
                Ok(Answer { standing, sent })
            }
            Err(error) if error.is_transient() => {
                // The place lives on in the store for one TTL after it last heard of us.
                let is_over = found_waiting.elapsed() >= self.ttl().as_duration();
                if seat.tenure.is_none() && is_over {
                    return Err(Stop::Failed(place_lost(LossCause::Expired).with_source(error)));
                }
                sleep(pace.backoff()).await;
                let standing = Standing::Queued { recheck: Some(Duration::ZERO) };
                Ok(Answer { standing, sent: found_waiting })
            }
            Err(error) if error.kind() == ErrorKind::Lost => {
                let lost = place_lost(error.loss_cause().unwrap_or(LossCause::Revoked));
                Err(Stop::Failed(lost.with_source(error)))
            }
            Err(error) => Err(Stop::Failed(error)),
        }
    }

    /// What a notification of the grant is good for. The TTL began after the entry was last found
    /// waiting. If that was long ago, a check restarts it.
    fn granted_by_wake(
        &self,
        seat: &Seat<D>,
        token: FencingToken,
        found_waiting: BootInstant,
    ) -> Option<Answer> {
        // Where the engine ends holds, the TTL is the engine's own, and begins now.
        let granted = if self.shared.ends_holds() { BootInstant::now() } else { found_waiting };
        let deadline = term::deadline(granted, self.ttl());
        let is_long = seat.tenure.is_some() || deadline.remaining() > self.ttl().renewal_period();
        is_long.then_some(Answer { standing: Standing::Granted(token), sent: granted })
    }

    /// Waits until a command may be sent, unless that is pointless.
    pub(super) async fn turn_unless_stopped(&self, seat: &Seat<D>) -> Result<Turn<'_>, Stop> {
        // Mostly nobody has to wait, and to listen for all that may stop it costs more than the turn.
        if !self.is_stopped(seat)
            && let Some(turn) = self.shared.lanes.at_once(Lane::Command)
        {
            return Ok(turn);
        }
        tokio::select! {
            biased;
            stop = self.stops(seat) => Err(stop),
            turn = self.turn(Lane::Command) => turn.map_err(Stop::Failed),
        }
    }

    /// Whether [`stops`](Self::stops) has something to say.
    fn is_stopped(&self, seat: &Seat<D>) -> bool {
        let is_over =
            |tenure: &Arc<Tenure<D::Session>>| !tenure.term.is_valid_at(BootInstant::now());
        self.departure.has_happened()
            || self.shared.is_closing()
            || seat.tenure.as_ref().is_some_and(is_over)
    }

    /// Waits for whatever makes waiting pointless.
    pub(super) async fn stops(&self, seat: &Seat<D>) -> Stop {
        tokio::select! {
            biased;
            () = self.departure.happens() => Stop::Abandoned,
            () = self.shared.closing() => Stop::Closing,
            cause = session_end(seat) => Stop::SessionLost(cause),
        }
    }

    pub(super) async fn turn(&self, lane: Lane) -> Result<Turn<'_>> {
        self.shared.lanes.turn(lane, self.ttl().renewal_period()).await
    }

    /// Waits until it is time to look though nothing was heard, and then until that may be sent.
    pub(super) async fn slow_turn(&self, pause: Duration) -> Result<Turn<'_>> {
        sleep(pause).await;
        // Where each grant has a session of its own, these keep the places.
        let lane = if self.shared.sessions_are_shared() { Lane::Look } else { Lane::Command };
        self.turn(lane).await
    }
}
