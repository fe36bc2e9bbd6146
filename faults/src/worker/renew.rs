//! A holder that renews by hand all the time, and looks on when it has lost the lock.

use std::cell::Cell;
use std::future::ready;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lockcore::{ErrorKind, LossCause};
use tokio::sync::Notify;
use tokio::time::{interval, sleep};

use super::Worker;
use super::kind::Kind;
use super::scenes::hold_and_look;
use super::witness::Hold;

/// Takes a lock, and has renewals under way at any time, that at its deadline too. Says what became of
/// those when it was lost.
pub(super) async fn run(worker: Rc<Worker>, name: String, kind: Kind, free: Rc<Notify>) {
    let stays = Notify::new();
    let Some(hold) = hold_and_look(&worker, &name, kind, &stays).await else { return };
    hold.writes().await.expect("the resource answers");
    worker.role.report(&format!("held {name}"));
    let is_lost = Cell::new(false);
    let loses = async {
        hold.lost().await;
        is_lost.set(true);
        worker.role.report(&format!("lost {name}"));
    };
    let renews = async {
        let is_late = renews_until(&hold, &is_lost).await;
        // Whoever is given back what it has lost says so here.
        hold.believes();
        let answer = if is_late { "late" } else { "never" };
        worker.role.report(&format!("answered {name} {answer}"));
    };
    let looks = async {
        loop {
            hold.believes();
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        () = free.notified() => {}
        ((), (), ()) = async { tokio::join!(loses, renews, looks) } => {}
    }
    let failure = hold.release().await;
    let how = failure.map_or("well".to_owned(), |kind| format!("{kind:?}"));
    worker.role.report(&format!("freed {name} {how}"));
    worker.keepers.borrow_mut().remove(&name);
}

/// Renews until the loss, and until all that is under way then has ended. Whether one of these was
/// confirmed: the library then says that the lock has expired, or, if it is wrong, that it is held.
async fn renews_until(hold: &Hold<'_>, is_lost: &Cell<bool>) -> bool {
    let (mut under_way, mut again) = (FuturesUnordered::new(), interval(AGAIN));
    let mut is_late = false;
    loop {
        tokio::select! {
            _ = again.tick(), if !is_lost.get() => under_way.push(renewal(hold)),
            Some(is_confirmed) = under_way.next() => is_late |= is_lost.get() && is_confirmed,
            else => return is_late,
        }
    }
}

async fn renewal(hold: &Hold<'_>) -> bool {
    let mut renewal = pin!(hold.renew());
    let failure = tokio::select! {
        biased;
        // Nobody was asked.
        _ = &mut renewal => return false,
        () = ready(()) => renewal.await,
    };
    failure.is_none_or(|error| {
        error.kind() == ErrorKind::Lost && error.loss_cause() == Some(LossCause::Expired)
    })
}

/// Less than a renewal is waited for.
const AGAIN: Duration = Duration::from_millis(40);
const LOOK: Duration = Duration::from_millis(50);
