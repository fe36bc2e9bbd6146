//! The one renewal loop.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use metrics::counter;

use crate::audit;
use crate::clock::sleep_until;
use crate::driver::{Driver, Renewed, Sessions};
use crate::engine::Shared;
use crate::rt::{AtomicBool, AtomicU64, Handle, JoinSet, Mutex, MutexGuard, Notify, timeout};
use crate::{BootInstant, Error, LossCause, Result, Term, Ttl, term};

/// A session with the time that it is valid for: what is renewed, and lost, as one.
#[derive(Debug)]
pub(crate) struct Tenure<S> {
    pub(crate) session: Arc<S>,
    pub(crate) ttl: Ttl,
    pub(crate) term: Term,
    renews: AtomicBool,
    /// Its number in the schedule, and when it is due there.
    number: AtomicU64,
    due: AtomicU64,
}

impl<S> Tenure<S> {
    /// The tenure of a session whose TTL began after `sent`.
    pub(crate) fn new(session: Arc<S>, ttl: Ttl, sent: BootInstant) -> Self {
        let term = Term::new(term::deadline(sent, ttl));
        let (number, due) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { session, ttl, term, renews: AtomicBool::new(true), number, due }
    }

    /// Takes in what the store answered to a renewal that was sent at `sent`.
    pub(crate) fn renewed(&self, sent: BootInstant, answer: Renewed) -> Result<(), LossCause> {
        match answer {
            Renewed::Kept => self.term.extend(term::deadline(sent, self.ttl), BootInstant::now()),
            Renewed::KeptSince(at) => {
                let at = at.min(sent);
                self.term.extend(term::deadline(at, self.ttl), BootInstant::now())
            }
            Renewed::Gone(cause) => {
                self.term.end(cause);
                Err(cause)
            }
        }
    }

    fn is_kept(&self) -> bool {
        self.renews.load(SeqCst) && self.term.is_valid_at(BootInstant::now())
    }
}

/// Renews tenures for as long as somebody has them.
#[derive(Debug)]
pub(crate) struct Keeper<S> {
    schedule: Arc<Schedule<S>>,
}

/// What is due when. Whoever takes and gives back locks in quick succession touches this alone; the
/// loop sleeps meanwhile.
#[derive(Debug)]
struct Schedule<S> {
    due: Mutex<Due<S>>,
    numbers: AtomicU64,
    /// When the loop wakes up by itself, in nanoseconds.
    alarm: AtomicU64,
    /// Something is due earlier than that, or the keeper is gone.
    changed: Notify,
    /// The keeper is gone, or the runtime that its loop was on.
    is_over: AtomicBool,
}

/// What [`Schedule::take_due`] has taken out.
struct Taken<S> {
    batch: Vec<Arc<Tenure<S>>>,
    lost: Vec<Arc<Tenure<S>>>,
    next: BootInstant,
}

/// By when it is due, and by its number.
type Due<S> = BTreeMap<(BootInstant, u64), Weak<Tenure<S>>>;

impl<S: Send + Sync + 'static> Keeper<S> {
    /// A keeper whose loop ends when it is dropped.
    pub(crate) fn start<D: Driver<Session = S>>(
        driver: Arc<D>,
        runtime: &Handle,
        client: Weak<Shared<D>>,
    ) -> Self {
        let schedule = Arc::new(Schedule {
            due: Mutex::default(),
            numbers: AtomicU64::new(1),
            alarm: AtomicU64::new(BootInstant::FAR.as_nanos()),
            changed: Notify::new(),
            is_over: AtomicBool::new(false),
        });
        // Also when the runtime ends before the loop has begun.
        let end = End(schedule.clone());
        runtime.spawn(run(driver, end, client));
        Self { schedule }
    }

    /// Renews `tenure` from now on, every third of its TTL, until it ends, is stopped, or nobody
    /// has it any more.
    pub(crate) fn keep(&self, tenure: &Arc<Tenure<S>>) {
        tenure.number.store(self.schedule.numbers.fetch_add(1, SeqCst), SeqCst);
        // Not a period from now: the grant may be known late.
        let lead = tenure.ttl.belief().saturating_sub(tenure.ttl.renewal_period());
        self.schedule.put(tenure, tenure.term.deadline().saturating_sub(lead));
    }
}

impl<S> Keeper<S> {
    /// Whether renewals are sent: not after the end of the client's runtime.
    pub(crate) fn is_alive(&self) -> bool {
        !self.schedule.is_over.load(SeqCst)
    }

    /// Begins no renewal of `tenure` from here on.
    pub(crate) fn stop(&self, tenure: &Tenure<S>) {
        let mut due = self.schedule.due();
        // Under the mutex: a batch that comes back puts it in again only if it is kept.
        tenure.renews.store(false, SeqCst);
        let at = BootInstant::from_nanos(tenure.due.load(SeqCst));
        due.remove(&(at, tenure.number.load(SeqCst)));
    }
}

impl<S> Drop for Keeper<S> {
    fn drop(&mut self) {
        self.schedule.end();
    }
}

impl<S> Schedule<S> {
    fn end(&self) {
        self.is_over.store(true, SeqCst);
        self.changed.notify_one();
    }

    fn put(&self, tenure: &Arc<Tenure<S>>, at: BootInstant) {
        let mut due = self.due();
        if !tenure.renews.load(SeqCst) {
            return;
        }
        tenure.due.store(at.as_nanos(), SeqCst);
        due.insert((at, tenure.number.load(SeqCst)), Arc::downgrade(tenure));
        if at.as_nanos() < self.alarm.fetch_min(at.as_nanos(), SeqCst) {
            drop(due);
            self.changed.notify_one();
        }
    }

    /// Takes out what is due, together with what will be shortly; what was given up meanwhile; and
    /// when the next one is due.
    fn take_due(&self, now: BootInstant) -> Taken<S> {
        let mut due = self.due();
        let (mut batch, mut lost, mut horizon) = (Vec::new(), Vec::new(), now);
        while let Some(first) = due.first_entry() {
            let at = first.key().0;
            if at > horizon {
                break;
            }
            let Some(tenure) = first.remove().upgrade() else { continue };
            if !tenure.is_kept() {
                lost.push(tenure);
                continue;
            }
            horizon = horizon.max(now.saturating_add(tenure.ttl.renewal_period() / COALESCE));
            batch.push(tenure);
        }
        let mut next = due.first_key_value().map_or(BootInstant::FAR, |((at, _), _)| *at);
        // Of one that is still to come nothing may be left that is due then. It stays: whoever takes
        // and gives back locks in quick succession would set it anew, and wake us, each time.
        let alarm = BootInstant::from_nanos(self.alarm.load(SeqCst));
        if alarm > now {
            next = next.min(alarm);
        }
        // Under the mutex: whoever puts in something earlier sees this alarm, or we see it.
        self.alarm.store(next.as_nanos(), SeqCst);
        Taken { batch, lost, next }
    }

    fn due(&self) -> MutexGuard<'_, Due<S>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<D: Driver>(driver: Arc<D>, end: End<D::Session>, client: Weak<Shared<D>>) {
    let schedule = &end.0;
    let mut batches = JoinSet::new();
    while !schedule.is_over.load(SeqCst) {
        let Taken { batch, lost, next } = schedule.take_due(BootInstant::now());
        if !batch.is_empty() {
            batches.spawn(renew(driver.clone(), schedule.clone(), client.clone(), batch));
        }
        if !lost.is_empty() {
            batches.spawn(give_up(driver.clone(), lost));
        }
        tokio::select! {
            biased;
            // A driver that panicked takes its batch along: those deadlines will pass.
            Some(_) = batches.join_next(), if !batches.is_empty() => {}
            () = schedule.changed.notified() => {}
            () = sleep_until(next), if next != BootInstant::FAR => {}
        }
    }
}

/// Ends what was lost, if the store's client would go on with it.
async fn give_up<D: Driver>(driver: Arc<D>, lost: Vec<Arc<Tenure<D::Session>>>) {
    if driver.sessions() == Sessions::Connection {
        for tenure in lost {
            // What cannot be ended now ends with its TTL.
            let _ = driver.end(&tenure.session).await;
        }
    }
}

/// Says that the loop is over, when its runtime drops it.
struct End<S>(Arc<Schedule<S>>);

impl<S> Drop for End<S> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Renews a batch, and puts each of them in again for when it is due.
async fn renew<D: Driver>(
    driver: Arc<D>,
    schedule: Arc<Schedule<D::Session>>,
    client: Weak<Shared<D>>,
    mut batch: Vec<Arc<Tenure<D::Session>>>,
) {
    // The batch was taken out before this task began, and some of it may be given back since.
    batch.retain(|tenure| tenure.renews.load(SeqCst));
    if batch.is_empty() {
        return;
    }
    let backend = driver.guarantees().backend();
    let shortest = batch.iter().map(|tenure| tenure.ttl).min().unwrap_or_default();
    let sessions: Vec<_> = batch.iter().map(|tenure| tenure.session.clone()).collect();
    let sent = BootInstant::now();
    // A hung renewal must leave time for others before the deadline.
    let answers = timeout(shortest.renewal_period() / 2, driver.renew(&sessions)).await;
    let mut answers = answers.unwrap_or_default().into_iter();
    let (mut kept, mut lost) = (Vec::new(), Vec::new());

    for tenure in batch {
        let period = tenure.ttl.renewal_period();
        let (outcome, at) = match answers.next() {
            Some(Ok(answer)) => match tenure.renewed(sent, answer) {
                Ok(()) => {
                    kept.push(tenure.clone());
                    ("kept", Some(sent.saturating_add(period)))
                }
                Err(cause) => {
                    // One that was given back meanwhile is not lost.
                    if tenure.renews.load(SeqCst) {
                        tracing::warn!(backend, %cause, "a session was lost");
                        lost.push(tenure.clone());
                    }
                    ("lost", None)
                }
            },
            // One failure is no loss: there is time until the deadline.
            failed => {
                let error = failed.and_then(Result::err);
                let error = error.as_ref().map_or("no answer", Error::message);
                tracing::debug!(backend, error, "a renewal failed and is tried again");
                if let Some(client) = client.upgrade() {
                    client.lanes.presses(sent);
                }
                ("failed", Some(BootInstant::now().saturating_add(pause(period))))
            }
        };
        counter!("leasehold_renewals_total", "backend" => backend, "outcome" => outcome)
            .increment(1);
        if let Some(at) = at {
            schedule.put(&tenure, at);
        }
    }
    give_up(driver, lost).await;
    if let Some(client) = client.upgrade().filter(|client| client.sessions_are_shared()) {
        for tenure in kept {
            client.give_up_unpolled(&tenure);
            audit::run(&client, &tenure).await;
        }
    }
}

/// The pause after a failed renewal: several fit before the deadline.
fn pause(period: Duration) -> Duration {
    period / 8
}

/// What is due within this fraction of a period goes along.
const COALESCE: u32 = 8;

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_was_set_stays_until_it_is_over() {
        let schedule = Arc::new(Schedule {
            due: Mutex::default(),
            numbers: AtomicU64::new(1),
            alarm: AtomicU64::new(BootInstant::FAR.as_nanos()),
            changed: Notify::new(),
            is_over: AtomicBool::new(false),
        });
        let (keeper, now) = (Keeper { schedule: schedule.clone() }, BootInstant::now());
        let held = || Arc::new(Tenure::new(Arc::new(()), Ttl::DEFAULT, BootInstant::now()));
        let (first, second) = (held(), held());
        keeper.keep(&first);
        let due = BootInstant::from_nanos(first.due.load(SeqCst));
        keeper.stop(&first);
        assert_eq!(schedule.take_due(now).next, due, "though nothing is due then");
        keeper.keep(&second);
        assert_eq!(schedule.alarm.load(SeqCst), due.as_nanos(), "so the loop sleeps on");
        let later = schedule.take_due(due);
        assert_eq!(later.next.as_nanos(), second.due.load(SeqCst));
        keeper.stop(&second);
        assert_eq!(schedule.take_due(later.next).next, BootInstant::FAR);
    }
}
