//! Servers that stand still.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lock_conformance::history::History;
use lock_conformance::time::{pause, soon};
use lock_testkit::Redis;
use lockcore::{BootInstant, ErrorKind, Locks, LossCause};

use crate::stage::{believe, connect, hasty, hold, ms, only_fences, redis, take, until_waiting};

const NAME: &str = "name";
const TTL_MS: u64 = 1_500;

/// What makes it stand still.
#[derive(Clone, Copy, Debug)]
enum Freeze {
    /// It reads no commands, but its clock and its connections go on.
    Commands,
    /// Its process is stopped.
    Process,
}

const FREEZES: [Freeze; 2] = [Freeze::Commands, Freeze::Process];

impl Freeze {
    /// Returns when it is over.
    async fn happens(self, server: &Redis, time: Duration) {
        match self {
            Self::Commands => {
                let millis = time.as_millis().to_string();
                let pause = ["CLIENT", "PAUSE", &millis, "ALL"];
                assert_eq!(server.resp().await.command(&pause).await.as_str(), Some("OK"));
                // The next command is answered when it is over.
                server.resp().await.command(&["PING"]).await;
            }
            Self::Process => {
                server.pause();
                pause(time).await;
                server.resume();
            }
        }
    }
}

/// A holder, one that waits for it, and what both believed.
struct Stage {
    server: Redis,
    holder: Locks,
    waiter: Locks,
    history: Arc<History>,
}

impl Stage {
    async fn new() -> Self {
        let server = redis().await;
        let holder = connect(hasty(server.addr()), ms(TTL_MS)).await;
        let waiter = connect(hasty(server.addr()), ms(TTL_MS)).await;
        Self { server, holder, waiter, history: Arc::default() }
    }

    async fn ends(self) {
        for locks in [&self.holder, &self.waiter] {
            let guard = soon("both get it again", take(&locks.mutex(NAME).unwrap())).await;
            hold(guard, &self.history, ms(10)).await.unwrap();
        }
        self.history.assert_sound();
        only_fences(&self.server, NAME).await;
    }
}

#[tokio::test]
async fn a_holder_outlives_a_freeze_that_is_shorter_than_its_ttl() {
    let outlives = FREEZES.map(async |freeze| {
        let stage = Stage::new().await;
        let guard = stage.holder.mutex(NAME).unwrap().lock().await.unwrap();
        let lock = stage.waiter.mutex(NAME).unwrap();
        let waits = tokio::spawn(async move { take(&lock).await });
        until_waiting(&stage.server, NAME, 1).await;
        let time = async {
            freeze.happens(&stage.server, ms(500)).await;
            pause(ms(TTL_MS)).await;
        };
        let lost = believe(&guard, &stage.history, time).await;
        assert_eq!(lost, None, "{freeze:?}");
        assert!(!waits.is_finished(), "{freeze:?}: granted beside the holder");
        let token = guard.token();
        guard.release().await.unwrap();
        let next = soon("the waiter is granted", waits).await.unwrap();
        assert!(next.token() > token);
        hold(next, &stage.history, ms(10)).await.unwrap();
        stage.ends().await;
    });
    join_all(outlives).await;
}

#[tokio::test]
async fn a_holder_knows_of_its_loss_while_the_server_stands_still() {
    let knows = FREEZES.map(async |freeze| {
        let stage = Stage::new().await;
        let guard = stage.holder.mutex(NAME).unwrap().lock().await.unwrap();
        let lock = stage.waiter.mutex(NAME).unwrap();
        let history = stage.history.clone();
        let waits = tokio::spawn(async move {
            let guard = take(&lock).await;
            let (token, granted) = (guard.token(), BootInstant::now());
            hold(guard, &history, ms(50)).await.unwrap();
            (token, granted)
        });
        until_waiting(&stage.server, NAME, 1).await;
        let begins = BootInstant::now();
        let happens = async {
            freeze.happens(&stage.server, ms(2 * TTL_MS)).await;
            BootInstant::now()
        };
        let knows = async {
            let lost = believe(&guard, &stage.history, std::future::pending()).await;
            (lost, BootInstant::now())
        };
        let (over, (lost, known)) = tokio::join!(happens, knows);
        assert_eq!(lost, Some(LossCause::Expired), "{freeze:?}");
        // From its own clock: nobody could have told it.
        assert!(known < over, "{freeze:?}: it learnt it from the server");
        let took = known.saturating_since(begins);
        assert!(took < ms(TTL_MS), "{freeze:?}: it believed {took:?} without a renewal");

        let (token, granted) = soon("the waiter is granted", waits).await.unwrap();
        assert!(token > guard.token(), "{freeze:?}");
        assert!(granted > known, "{freeze:?}");
        assert_eq!(guard.release().await.unwrap_err().kind(), ErrorKind::NotHeld, "{freeze:?}");
        stage.ends().await;
    });
    join_all(knows).await;
}

/// An acquisition during a freeze ends in an error that says so, or in the lock.
#[tokio::test]
async fn an_acquisition_during_a_freeze_leaves_no_ghost() {
    let leaves = FREEZES.map(async |freeze| {
        let stage = Stage::new().await;
        let lock = stage.holder.mutex(NAME).unwrap();
        let freezes = freeze.happens(&stage.server, ms(2_000));
        let asks = async {
            pause(ms(100)).await;
            let mut errors = 0;
            let until = BootInstant::now().saturating_add(ms(1_500));
            while BootInstant::now() < until {
                match lock.try_lock().await {
                    Ok(_) => panic!("{freeze:?}: nobody can have answered"),
                    Err(error) => assert!(error.is_transient(), "{freeze:?}: {error}"),
                }
                errors += 1;
            }
            errors
        };
        let ((), errors) = tokio::join!(freezes, asks);
        assert!(errors > 0, "{freeze:?}");
        stage.ends().await;
    });
    join_all(leaves).await;
}
