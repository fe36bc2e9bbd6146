//! Links that break at each step of the work.

use futures_util::future::join_all;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{HoldHandle, Proxy, Zk, zk_request};
use lockcore::{Error, ErrorKind, Guard, Locks};
use tokio::task::JoinHandle;

use crate::stage::{
    PATIENCE, children, config, connect, is_idle, ms, nothing_left, sessions, take, ttl,
    until_watched, via,
};

/// The request at which it happens.
const STEPS: [&str; 7] =
    ["create", "getChildren", "exists", "delete", "multi", "sync", "getEphemerals"];

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Way {
    Closed,
    Reset,
    Silent,
    Late,
}

const WAYS: [Way; 4] = [Way::Closed, Way::Reset, Way::Silent, Way::Late];

impl Way {
    async fn comes(self, proxy: &Proxy, kept: HoldHandle) {
        match self {
            Self::Closed => kept.close(),
            Self::Reset => kept.reset(),
            Self::Late => {
                pause(ms(100)).await;
                kept.release();
            }
            Self::Silent => {
                proxy.cut();
                // Longer than a client waits for a member.
                pause(ms(500)).await;
                kept.release();
                proxy.restore();
            }
        }
    }
}

/// A victim that holds one lock, waits for another, and takes and gives back a third.
struct Stage<'s> {
    server: &'s Zk,
    proxy: Proxy,
    victim: Locks,
    other: Locks,
    way: Way,
}

impl Stage<'_> {
    fn name(&self, what: &str) -> String {
        format!("{what}-{:?}", self.way)
    }

    fn waits(&self, what: &str) -> JoinHandle<lockcore::Result<Guard>> {
        let lock = self.victim.mutex(self.name(what)).unwrap();
        tokio::spawn(async move { lock.lock().await })
    }

    /// Everything that a client does, once; what it may be told is known.
    async fn works(&self, step: &str) {
        let lock = self.victim.mutex(self.name("own")).unwrap();
        let fine = |error: &Error| {
            let kind = error.kind();
            let known = error.is_transient() || kind == ErrorKind::Lost;
            assert!(known, "{:?} at {step}: {error}", self.way);
        };
        for tries in [false, true] {
            let guard = match tries {
                true => soon("an answer", lock.try_lock()).await,
                false => soon("an answer", lock.lock()).await.map(Some),
            };
            match guard {
                Ok(Some(guard)) => match soon("an answer", guard.release()).await {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::NotHeld => {}
                    Err(error) => fine(&error),
                },
                // What a failed one has left is on its way out.
                Ok(None) => assert!(tries),
                Err(error) => fine(&error),
            }
        }
    }
}

#[tokio::test]
async fn a_link_that_breaks_at_any_step_is_made_good() {
    let server = Zk::start().await;
    let server = &server;
    join_all(WAYS.map(async |way| {
        let proxy = Proxy::zk(server.addr()).await;
        let victim = connect(via(&proxy), ttl(2_400)).await;
        let other = connect(config(server.port()), ttl(2_400)).await;
        let stage = Stage { server, proxy, victim, other, way };
        for step in STEPS {
            breaks(&stage, step).await;
        }
    }))
    .await;
    nothing_left(server).await;
    until_watched(server, 0).await;
    let of_clients = 2 * WAYS.len();
    eventually("one session a client", || async { sessions(server).await <= of_clients }).await;
}

async fn breaks(stage: &Stage<'_>, step: &str) {
    let way = stage.way;
    let held = soon("a free lock", take(&stage.victim.mutex(stage.name("held")).unwrap())).await;
    let busy = soon("a free lock", take(&stage.other.mutex(stage.name("busy")).unwrap())).await;
    let kept = stage.proxy.hold_requests(zk_request(step, ""));
    let waits = stage.waits("busy");
    // All of these steps are done by somebody within a period of renewal.
    let works = stage.works(step);
    let broken = async {
        kept.held(PATIENCE).await;
        way.comes(&stage.proxy, kept).await;
    };
    tokio::join!(works, broken);
    // Its place may be lost with its session, or it may never have had one.
    eventually("it waits, or has failed", || async {
        waits.is_finished() || children(stage.server, &stage.name("busy")).await.len() == 2
    })
    .await;
    let next = if waits.is_finished() {
        let error = waits.await.unwrap().unwrap_err();
        let known = error.is_transient() || error.kind() == ErrorKind::Lost;
        assert!(known, "{way:?} at {step}: {error}");
        println!("{way:?} at {step}: {error}");
        None
    } else {
        Some(waits)
    };
    if !held.is_held() {
        println!("{way:?} at {step}: lost by {:?}", held.lost().await);
    }
    busy.release().await.unwrap();
    if let Some(next) = next {
        match soon("granted", next).await.unwrap() {
            Ok(next) => next.release().await.map(drop).unwrap(),
            Err(error) => {
                let known = error.is_transient() || error.kind() == ErrorKind::Lost;
                assert!(known, "{way:?} at {step}: {error}");
                println!("{way:?} at {step}: {error}");
            }
        }
    }
    let was_held = held.is_held();
    match soon("the release", held.release()).await {
        Ok(_) => {}
        Err(error) => assert!(
            error.kind() == ErrorKind::Indeterminate
                || (!was_held && error.kind() == ErrorKind::NotHeld),
            "{way:?} at {step}: {error}"
        ),
    }
    is_idle(&stage.victim).await;
    for what in ["held", "busy", "own"] {
        let lock = stage.other.mutex(stage.name(what)).unwrap();
        let guard = lock.try_lock().await.unwrap();
        guard
            .unwrap_or_else(|| panic!("{way:?} at {step}: {what} is not free"))
            .release()
            .await
            .unwrap();
    }
}
