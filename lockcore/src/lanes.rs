//! How much a client asks of its store at once.
//!
//! A store that is asked for more than it can do answers all of it late. What is late counts as
//! unknown, is asked again and withdrawn, and so there is more to do: once there, a store stays there.
//! So a client has only so many commands under way, fewer when they get no answer, more when they get
//! one quickly; the others wait here, where their time does not run. Renewals do not: they are few, and
//! may not be late.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::rt::{Mutex, MutexGuard, Notify, sleep};
use crate::{BootInstant, Error, ErrorKind, Result};

/// What a command is for. Who takes something out goes before who wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Takes something out, and so makes room.
    Withdrawal,
    /// Somebody goes on with the answer.
    Command,
    /// Makes sure of what most likely has not changed. However many wait, what the store does for
    /// these stands in the way of nobody else.
    Look,
}

/// Who may send a command, and who waits for that.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// How long a command may take.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Those who wait, in the order of their arrival.
    withdrawals: BTreeMap<u64, Arc<Notify>>,
    commands: BTreeMap<u64, Arc<Notify>>,
    looks: BTreeMap<u64, Arc<Notify>>,
    /// Since when those are under way who may go.
    busy: BTreeMap<u64, BootInstant>,
    looking: BTreeMap<u64, BootInstant>,
    pressure: Pressure,
}

/// How many commands the store bears, as far as is known. Pure.
#[derive(Debug)]
struct Pressure {
    limit: usize,
    /// What was sent before that says nothing about the limit of now.
    since: BootInstant,
    /// When the last answer came.
    answered: BootInstant,
    /// How many quick ones came since the limit rose.
    quick: usize,
}

/// The place of a command: it waits, and is under way from when it was let in until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'l> {
    lanes: &'l Lanes,
    lane: Lane,
    number: u64,
    sent: BootInstant,
    /// Whether the store has answered, once the command is over.
    has_answer: Option<bool>,
}

impl Lanes {
    /// Lanes for commands that may take so long.
    pub(crate) fn new(patience: Duration) -> Self {
        let now = BootInstant::now();
        let state = State {
            next: 0,
            withdrawals: BTreeMap::new(),
            commands: BTreeMap::new(),
            looks: BTreeMap::new(),
            busy: BTreeMap::new(),
            looking: BTreeMap::new(),
            pressure: Pressure { limit: FIRST, since: now, answered: now, quick: 0 },
        };
        Self { patience, state: Mutex::new(state) }
    }

    /// Goes at once, however many are under way.
    pub(crate) fn pass(&self, lane: Lane) -> Turn<'_> {
        let sent = BootInstant::now();
        self.sets_out(&mut self.state(), lane, sent)
    }

    /// Goes, if nobody has to wait.
    pub(crate) fn at_once(&self, lane: Lane) -> Option<Turn<'_>> {
        let (sent, mut state) = (BootInstant::now(), self.state());
        state.is_open(lane).then(|| self.sets_out(&mut state, lane, sent))
    }

    /// Waits until the command may be sent. Whoever waits is polled once in a `tick`, so that it is not
    /// taken for one that nobody polls.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`]: nobody had an answer for as long as a command may take.
    pub(crate) async fn turn(&self, lane: Lane, tick: Duration) -> Result<Turn<'_>> {
        let begun = BootInstant::now();
        let (mut turn, signal) = {
            let mut state = self.state();
            if state.is_open(lane) {
                return Ok(self.sets_out(&mut state, lane, begun));
            }
            let (number, signal) = (state.number(), Arc::<Notify>::default());
            state.waiting(lane).insert(number, signal.clone());
            (Turn { lanes: self, lane, number, sent: begun, has_answer: None }, signal)
        };
        while !turn.may_go() {
            tokio::select! {
                () = signal.notified() => {}
                () = sleep(tick.min(self.patience)) => {}
            }
            turn.sent = BootInstant::now();
            let silent_since = turn.sent.saturating_sub(self.patience);
            let mut state = self.state();
            state.forget_unpolled(silent_since);
            state.let_in(turn.sent);
            if begun <= silent_since
                && state.pressure.answered <= silent_since
                && state.waiting(lane).contains_key(&turn.number)
            {
                let message = "the store has not answered for some time: nothing was sent";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
        Ok(turn)
    }

    /// A renewal had no answer in time, though nothing stands before it here: the store has too much
    /// to do.
    pub(crate) fn presses(&self, sent: BootInstant) {
        let mut state = self.state();
        let busy = state.busy.len();
        state.pressure.silent(sent, BootInstant::now(), busy);
    }

    fn sets_out(&self, state: &mut State, lane: Lane, sent: BootInstant) -> Turn<'_> {
        let number = state.number();
        state.under_way(lane).insert(number, sent);
        Turn { lanes: self, lane, number, sent, has_answer: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn waiting(&mut self, lane: Lane) -> &mut BTreeMap<u64, Arc<Notify>> {
        match lane {
            Lane::Withdrawal => &mut self.withdrawals,
            Lane::Command => &mut self.commands,
            Lane::Look => &mut self.looks,
        }
    }

    fn under_way(&mut self, lane: Lane) -> &mut BTreeMap<u64, BootInstant> {
        match lane {
            Lane::Withdrawal | Lane::Command => &mut self.busy,
            Lane::Look => &mut self.looking,
        }
    }

    fn has_room(&self, lane: Lane) -> bool {
        match lane {
            Lane::Withdrawal | Lane::Command => self.busy.len() < self.pressure.limit,
            Lane::Look => self.looking.len() < LOOKS.min(self.pressure.limit),
        }
    }

    /// Whether a command may be sent though nobody has let it in.
    fn is_open(&mut self, lane: Lane) -> bool {
        self.has_room(lane) && self.waiting(lane).is_empty()
    }

    fn let_in(&mut self, now: BootInstant) {
        for lane in [Lane::Withdrawal, Lane::Command, Lane::Look] {
            while self.has_room(lane) {
                let Some((number, signal)) = self.waiting(lane).pop_first() else { break };
                self.under_way(lane).insert(number, now);
                signal.notify_one();
            }
        }
    }

    /// Whoever had the time for a whole command and is still there is not polled by its caller, and
    /// must not stand in the way of others.
    fn forget_unpolled(&mut self, since: BootInstant) {
        self.busy.retain(|_, begun| *begun > since);
        self.looking.retain(|_, begun| *begun > since);
    }
}

impl Pressure {
    /// Takes in how a command ended that was sent at `sent`; whether there was an answer, and how
    /// many were under way.
    fn ended(
        &mut self,
        sent: BootInstant,
        now: BootInstant,
        has_answer: bool,
        patience: Duration,
        busy: usize,
    ) {
        let took = now.saturating_since(sent);
        if has_answer {
            self.answered = self.answered.max(now);
            if took <= patience / QUICK && busy >= self.limit {
                self.quick += 1;
            }
            // Not at once: that there are too many shows only in later answers.
            if self.quick >= self.limit / STEPS {
                (self.limit, self.quick) = ((self.limit + 1).min(MOST), 0);
            }
        } else if took >= patience * 9 / 10 {
            self.silent(sent, now, busy);
        }
    }

    fn silent(&mut self, sent: BootInstant, now: BootInstant, busy: usize) {
        // Those beside it that will not be answered either were sent before this.
        if sent >= self.since {
            self.limit = (self.limit.min(busy) / 2).max(LEAST);
            (self.since, self.quick) = (now, 0);
        }
    }
}

impl Turn<'_> {
    /// Also if it was forgotten since it was let in.
    fn may_go(&self) -> bool {
        !self.lanes.state().waiting(self.lane).contains_key(&self.number)
    }

    /// When it was let in.
    pub(crate) fn sent(&self) -> BootInstant {
        self.sent
    }

    /// The command is over: the store has answered it, or has not.
    pub(crate) fn ends(mut self, has_answer: bool) {
        self.has_answer = Some(has_answer);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (now, mut state) = (BootInstant::now(), self.lanes.state());
        if let Some(has_answer) = self.has_answer {
            let busy = state.busy.len();
            state.pressure.ended(self.sent, now, has_answer, self.lanes.patience, busy);
        }
        state.waiting(self.lane).remove(&self.number);
        state.under_way(self.lane).remove(&self.number);
        state.let_in(now);
    }
}

/// With how many commands a client begins, which most never come to.
const FIRST: usize = 16;
/// How many it has under way when the store does not answer.
const LEAST: usize = 4;
const MOST: usize = 4_096;
/// How many looks.
const LOOKS: usize = 2;
/// An answer within this part of the time that it may take is a quick one: more can be asked for.
const QUICK: u32 = 16;
/// In so many rounds of quick answers the limit doubles.
const STEPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(800);

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    fn pressure(limit: usize) -> Pressure {
        Pressure { limit, since: at(0), answered: at(0), quick: 0 }
    }

    #[test]
    fn more_is_asked_for_where_all_of_it_is_answered_quickly() {
        let mut pressure = pressure(16);
        let mut round = |took: u64, busy: usize| {
            for _ in 0..16 / STEPS {
                pressure.ended(at(1_000), at(1_000 + took), true, PATIENCE, busy);
            }
            pressure.limit
        };
        assert_eq!(round(50, 15), 16, "nobody waited");
        assert_eq!(round(51, 16), 16, "it was not quick");
        assert_eq!(round(50, 16), 17);
        for _ in 0..MOST * MOST {
            pressure.ended(at(1_000), at(1_050), true, PATIENCE, MOST);
        }
        assert_eq!(pressure.limit, MOST);
    }

    #[test]
    fn silence_counts_once_for_all_who_were_sent_before_it_was_known() {
        let mut pressure = pressure(64);
        for sent in 1_000..1_064 {
            pressure.ended(at(sent), at(1_800), false, PATIENCE, 64);
        }
        assert_eq!(pressure.limit, 32);
        pressure.ended(at(1_800), at(1_900), false, PATIENCE, 32);
        assert_eq!(pressure.limit, 32, "it was refused, not left without an answer");
        pressure.ended(at(1_800), at(2_600), false, PATIENCE, 20);
        assert_eq!(pressure.limit, 10, "half of what was under way");
        for sent in 3..10 {
            pressure.ended(at(sent * 1_000), at(sent * 1_000 + 800), false, PATIENCE, 10);
        }
        assert_eq!(pressure.limit, LEAST);
    }
}
