//! The load that goes on under all faults.

use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::Worker;
use super::kind::Kind;
use super::witness::Hold;

/// Locks shared names for moments, as long as the process lives.
pub(crate) async fn run(worker: Rc<Worker>, task: u64) {
    let mut rng = Rng::with_seed(task);
    loop {
        if !worker.load.get() {
            sleep(LOOK).await;
            continue;
        }
        let (name, kind) = match rng.u8(..EXPIRES) {
            0 => ("short", Kind::Unrenewed),
            _ => *rng.choice(&LOCKS).expect("BUG: there are locks"),
        };
        worker.busy.set(worker.busy.get() + 1);
        let name = format!("{}/{name}", worker.era.borrow());
        if rng.u8(..LOOKS) == 0
            && let Ok(queue) = worker.witness.locks().inspect(&name).await
        {
            worker.witness.journal().saw(&queue);
        }
        let attempt = worker.witness.attempt(&name, kind);
        let hold = if kind == Kind::Unrenewed {
            // It is kept for its TTL: who waited for that would do nothing else.
            attempt.try_lock().await
        } else if worker.chaos.get() {
            match rng.u8(..2) {
                0 => attempt.lock_unless(sleep(Duration::from_micros(rng.u64(..CUT_MICROS)))).await,
                _ => attempt.try_lock_for(Duration::from_micros(rng.u64(1..CUT_MICROS))).await,
            }
        } else {
            match rng.u8(..10) {
                0 => attempt.try_lock().await,
                1 => attempt.try_lock_for(Duration::from_millis(rng.u64(1..100))).await,
                _ => attempt.lock().await,
            }
        };
        match hold {
            Some(hold) if kind == Kind::Unrenewed => expires(hold, worker.witness.ttl()).await,
            Some(hold) => works(&worker, hold, &mut rng).await,
            // Also after a refusal, which comes at once.
            None => sleep(Duration::from_millis(rng.u64(1..20))).await,
        }
        worker.busy.set(worker.busy.get() - 1);
    }
}

async fn works(worker: &Worker, hold: Hold<'_>, rng: &mut Rng) {
    let time = Duration::from_micros(rng.u64(..HOLD_MICROS));
    hold.writes().await.expect("the resource answers");
    sleep(time).await;
    if hold.believes() && rng.u8(..20) == 0 {
        hold.renew().await;
    }
    match rng.u8(..10) {
        _ if worker.careless.get() => {
            hold.release_or_drop(Duration::from_micros(rng.u64(..CUT_MICROS / 10))).await;
        }
        0 => hold.drops(),
        _ => {
            hold.release().await;
        }
    }
}

/// Keeps it until its time is over, and looks on all the while: whoever believes longer than that
/// contradicts itself, and the next one.
async fn expires(hold: Hold<'_>, ttl: Duration) {
    hold.writes().await.expect("the resource answers");
    let looks = async {
        loop {
            hold.believes();
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = hold.lost() => {}
        () = looks => {}
        // It is not lost, and the log says so.
        () = sleep(ttl * 3) => {}
    }
    hold.believes();
    hold.release().await;
}

/// Few enough that they are fought for.
const LOCKS: [(&str, Kind); 8] = [
    ("a", Kind::Mutex),
    ("b", Kind::Mutex),
    ("c", Kind::Mutex),
    ("d", Kind::Mutex),
    ("table", Kind::Reader),
    ("table", Kind::Reader),
    ("table", Kind::Writer),
    ("slots", Kind::Permit),
];
/// One of so many rounds takes what ends by itself.
const EXPIRES: u8 = 64;
/// One of so many rounds looks who waits: that is what the order is judged by.
const LOOKS: u8 = 8;
const CUT_MICROS: u64 = 50_000;
const HOLD_MICROS: u64 = 5_000;
const LOOK: Duration = Duration::from_millis(10);
