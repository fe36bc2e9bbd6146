//! Schedules, explored: with `--cfg shuttle` every use of a lock, an atomic or a signal is a point
//! where another task may go on, and time is a thing of the schedule.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockcore::{BootInstant, rt};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, Runner};

thread_local! {
    /// In how many of a thousand steps the time goes on though something else could.
    static HASTE: Cell<u32> = const { Cell::new(0) };
}

/// Explores as many schedules of `scenario` as `SHUTTLE_ITERATIONS` says, or `schedules`: half of them
/// by chance, half with few but well-placed switches. `SHUTTLE_TRACE_FILE` replays one instead.
///
/// # Panics
///
/// When a schedule fails; what is printed tells how to replay it.
pub fn explore(schedules: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(move || {
        rt::begin();
        HASTE.set(0);
        scenario();
    });
    if let Some(file) = replayed() {
        let schedule = ReplayScheduler::new_from_file(file).expect("a schedule that was printed");
        return run(schedule, scenario);
    }
    let schedules = std::env::var("SHUTTLE_ITERATIONS")
        .map_or(schedules, |text| text.parse().expect("a number"));
    run(Timed(RandomScheduler::new(schedules / 2)), scenario.clone());
    run(Timed(PctScheduler::new(3, schedules / 2)), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: Arc<impl Fn() + Send + Sync + 'static>) {
    let runner = Runner::new(scheduler, Config::new());
    let explored = catch_unwind(AssertUnwindSafe(|| runner.run(move || scenario())));
    if let Err(panic) = explored {
        eprintln!(
            "to replay it, write the schedule above to a file and name that in SHUTTLE_TRACE_FILE"
        );
        resume_unwind(panic);
    }
}

fn replayed() -> Option<PathBuf> {
    std::env::var_os("SHUTTLE_TRACE_FILE").map(PathBuf::from)
}

/// Prints `what` happens, if a schedule is replayed.
pub fn note(what: impl FnOnce() -> String) {
    if replayed().is_some() {
        eprintln!("{:?} {}", BootInstant::now(), what());
    }
}

/// One of these, by chance.
pub fn pick<T>(choices: &[T]) -> &T {
    &choices[thread_rng().gen_range(0..choices.len())]
}

/// Lets the time go on, from here on, in so many of a thousand steps in which something else could:
/// then that takes long. An execution begins with none.
pub fn haste(thousandths: u32) {
    HASTE.set(thousandths);
}

/// Waits until `condition` says yes, without [`haste`] from here on.
///
/// # Panics
///
/// When it does not within `limit`; the message is `what`.
pub async fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    haste(0);
    let end = BootInstant::now().saturating_add(limit);
    let mut pause = Duration::from_millis(1);
    while !condition() {
        assert!(BootInstant::now() < end, "not within {limit:?}: {what}");
        rt::sleep(pause).await;
        pause *= 2;
    }
}

/// Chooses when the time goes on, and lets another scheduler choose the rest.
#[derive(Debug)]
struct Timed<S>(S);

impl<S: Scheduler> Scheduler for Timed<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let clock = rt::clock_task();
        let others: Vec<_> =
            runnable.iter().copied().filter(|task| Some(task.id()) != clock).collect();
        if others.is_empty() {
            return clock;
        }
        if others.len() < runnable.len() && fastrand::u32(0..1000) < HASTE.get() {
            return clock;
        }
        self.0.next_task(&others, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
