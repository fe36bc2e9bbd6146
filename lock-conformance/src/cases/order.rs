//! R8 and R10 where the queue is of any shape, and where somebody in it stands still.

use std::collections::VecDeque;
use std::task::Poll;

use lockcore::queue::{Turn, turn};
use lockcore::{BootInstant, Mode, Renewal};

use crate::cancel::ByHand;
use crate::stage::Stage;
use crate::time::{eventually, patience, soon};

/// Who stops polling, and would be renewed, keeps a grant that it does not see for its TTL and no
/// longer.
pub async fn r08_an_unpolled_waiter_is_not_renewed(stage: &Stage) {
    goes_with_its_ttl(stage, Renewal::Auto).await;
}

/// Who stops polling keeps a grant that it does not see for its TTL and no longer.
pub async fn r08_an_unpolled_waiter_goes_with_its_ttl(stage: &Stage) {
    goes_with_its_ttl(stage, Renewal::Never).await;
}

/// Two wait in one task, of whom either may be stuck, and one in another task.
async fn goes_with_its_ttl(stage: &Stage, renewal: Renewal) {
    let (client, other) = (stage.client().await, stage.client().await);
    let request = stage.brief(renewal);
    for stuck in 0..2 {
        let holder = stage.take(&other, &stage.exclusive()).await;
        let mut pair = Vec::new();
        for waiting in 1..=2 {
            let mut waiter = ByHand::new(client.lock.lock(&request));
            stage.queue_by_hand(&other, &mut waiter, waiting).await;
            pair.push(waiter);
        }
        let third = stage.spawn_wait(&other, &stage.exclusive());
        stage.queue_has(&other, 3).await;
        let _stuck = pair.remove(stuck);
        let mut polled = pair.remove(0);
        stage.give_back(holder).await;
        let released = BootInstant::now();
        eventually("the one that is polled has its turn", || {
            let turn = polled.poll();
            if let Poll::Ready(granted) = &turn {
                assert!(granted.is_ok(), "{granted:?}");
            }
            std::future::ready(turn.is_ready())
        })
        .await;
        let lease = soon("the third is granted", third).await.expect("no panic").expect("granted");
        // It is noticed with a renewal, and after a request could have been without an answer.
        let limit = stage.short_ttl().as_duration() * 2 + stage.slack() + patience() / 5;
        assert!(released.elapsed() <= limit, "granted after {:?}", released.elapsed());
        stage.give_back(lease).await;
    }
}

/// Readers and writers in any order of arrival go as the rule says: nobody waits for a later one.
pub async fn r10_any_queue_goes_as_the_rule_says(stage: &Stage) {
    let clients = [stage.client().await, stage.client().await];
    for _ in 0..QUEUES {
        let gate = stage.take(&clients[0], &stage.exclusive()).await;
        let mut waiting = VecDeque::new();
        for place in 0..PLACES {
            let mode = if fastrand::bool() { Mode::Shared } else { Mode::Exclusive };
            let waiter = stage.spawn_wait(&clients[place % 2], &stage.request(mode));
            waiting.push_back((mode, waiter));
            stage.queue_has(&clients[0], place + 1).await;
        }
        stage.give_back(gate).await;
        let mut held = Vec::new();
        while held.len() + waiting.len() > 0 {
            let modes = held.iter().map(|(mode, _)| *mode);
            let queue: Vec<_> = modes.chain(waiting.iter().map(|(mode, _)| *mode)).collect();
            let goes = |place: &usize| turn(&queue[..*place], queue[*place]) == Turn::Granted;
            let holders = (0..queue.len()).take_while(goes).count();
            while held.len() < holders {
                let (mode, waiter) = waiting.pop_front().expect("it stands there");
                let lease = soon("a turn", waiter).await.expect("no panic").expect("granted");
                held.push((mode, lease));
            }
            let picture = stage.inspect(&clients[0]).await;
            let seen = (picture.holders().len(), picture.waiters().len());
            assert_eq!(seen, (holders, waiting.len()), "holders and waiters of {queue:?}");
            let (_, leaves) = held.swap_remove(fastrand::usize(..held.len()));
            stage.give_back(leaves).await;
        }
    }
}

const QUEUES: usize = 5;
const PLACES: usize = 6;
