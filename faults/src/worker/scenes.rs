//! What the runner asks a worker for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lockcore::BootInstant;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::sleep;

use super::Worker;
use super::kind::Kind;
use super::witness::Hold;

/// Takes a lock, believes in it until it is to be freed or is lost, and does what holders should not
/// do: it writes, without a fence, what it had worked out while it held the lock.
pub(crate) async fn keep(worker: Rc<Worker>, name: String, kind: Kind, free: Rc<Notify>) {
    let stays = Notify::new();
    let Some(hold) = hold_and_look(&worker, &name, kind, &stays).await else { return };
    let resource = worker.witness.resource();
    let read = resource.read(&name).await.expect("the resource answers");
    hold.writes().await.expect("the resource answers");
    worker.role.report(&format!("held {name}"));
    let is_lost = loop {
        tokio::select! {
            biased;
            () = hold.lost() => break true,
            () = free.notified() => break false,
            () = sleep(BELIEVE) => if !hold.believes() { break true; },
        }
    };
    resource.put(&name, read + 1).await.expect("the resource answers");
    if !is_lost {
        let failure = hold.release().await;
        let how = failure.map_or("well".to_owned(), |kind| format!("{kind:?}"));
        worker.role.report(&format!("freed {name} {how}"));
        return;
    }
    // Whoever woke up late says no from the first question on.
    hold.believes();
    let taken = hold.writes().await.expect("the resource answers");
    worker.role.report(&format!("lost {name} {}", if taken { "wrote" } else { "refused" }));
    hold.release().await;
    worker.keepers.borrow_mut().remove(&name);
}

/// Takes a lock, works under it for a moment and gives it back, unless it is told to leave first.
pub(crate) async fn turn(worker: Rc<Worker>, name: String, kind: Kind, leaves: Rc<Notify>) {
    let Some(hold) = hold_and_look(&worker, &name, kind, &leaves).await else { return };
    let resource = worker.witness.resource();
    let read = resource.read(&name).await.expect("the resource answers");
    hold.writes().await.expect("the resource answers");
    sleep(MOMENT).await;
    if hold.believes() {
        resource.put(&name, read + 1).await.expect("the resource answers");
    }
    hold.release().await;
    worker.role.report(&format!("done {name}"));
}

/// Asks until it is granted, while somebody looks at the queue and writes down who waits there.
pub(super) async fn hold_and_look<'a>(
    worker: &'a Rc<Worker>,
    name: &str,
    kind: Kind,
    leaves: &Notify,
) -> Option<Hold<'a>> {
    let looks = async {
        let mut is_told = false;
        loop {
            sleep(LOOK).await;
            let Ok(queue) = worker.witness.locks().inspect(name).await else { continue };
            worker.witness.journal().saw(&queue);
            let ours = format!("{}.", worker.role.entry());
            let mut waiters = queue.waiters().iter().filter_map(|waiter| waiter.owner());
            if !is_told && waiters.any(|owner| owner.starts_with(&ours)) {
                is_told = true;
                worker.role.report(&format!("queued {name}"));
            }
        }
    };
    tokio::select! {
        hold = worker.witness.hold_unless(name, kind, leaves) => hold,
        () = looks => unreachable!("it looks for ever"),
    }
}

/// So many turns at once, which nobody looks at.
pub(crate) async fn crowd(worker: Rc<Worker>, name: String, count: usize) {
    let mut turns = JoinSet::new();
    for _ in 0..count {
        let (worker, name) = (worker.clone(), name.clone());
        turns.spawn_local(async move {
            let hold = worker.witness.hold_in_the_end(&name, Kind::Mutex).await;
            hold.writes().await.expect("the resource answers");
            hold.believes();
            hold.release().await;
            worker.role.report(&format!("served {name}"));
        });
    }
    turns.join_all().await;
}

/// Waits until so many wait for a lock that is kept here, and says how many do whenever there are more
/// than ever before.
pub(crate) async fn count(worker: Rc<Worker>, name: String, count: usize) {
    let mut most = 0;
    while worker.keepers.borrow().contains_key(&name) {
        let inspection = worker.witness.locks().inspect(&name).await;
        let waiters = inspection.map_or(0, |inspection| inspection.waiters().len());
        if waiters >= count {
            worker.role.report(&format!("counted {name}"));
            return;
        }
        if waiters > most {
            most = waiters;
            worker.role.report(&format!("counting {name} {most}"));
        }
        sleep(LOOK * 10).await;
    }
}

/// Readers and writers, each in a loop for so long.
pub(crate) async fn storm(
    worker: Rc<Worker>,
    name: String,
    (readers, writers): (usize, usize),
    time: Duration,
) {
    let end = BootInstant::now().saturating_add(time);
    let counts = Rc::new([Cell::new(0_u64), Cell::new(0_u64)]);
    let mut tasks = Vec::new();
    for number in 0..readers + writers {
        let (worker, name, counts) = (worker.clone(), name.clone(), counts.clone());
        let (kind, count) = if number < readers { (Kind::Reader, 0) } else { (Kind::Writer, 1) };
        tasks.push(spawn_local(async move {
            while BootInstant::now() < end {
                let hold = worker.witness.hold_in_the_end(&name, kind).await;
                hold.writes().await.expect("the resource answers");
                sleep(MOMENT / 4).await;
                hold.believes();
                hold.release().await;
                counts[count].set(counts[count].get() + 1);
            }
        }));
    }
    for task in tasks {
        task.await.expect("a storm does not panic");
    }
    worker.role.report(&format!("stormed {} {}", counts[0].get(), counts[1].get()));
}

const BELIEVE: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(20);
const MOMENT: Duration = Duration::from_millis(20);
