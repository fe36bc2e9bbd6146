//! Requests that reach the server late or never, when nobody may wait for their outcome any more.

use futures_util::future::join_all;
use lock_conformance::time::{eventually, pause, soon};
use lock_testkit::{HoldHandle, Proxy, Zk, zk_request};
use lockcore::{ErrorKind, Locks};
use tokio::time::timeout;

use crate::stage::{
    KINDS, LONG, NAME, PATIENCE, config, connect, is_idle, left, ms, nodes, nothing_left, sessions,
    via,
};

struct Stage {
    server: Zk,
    proxy: Proxy,
    locks: Locks,
    other: Locks,
}

impl Stage {
    async fn new() -> Self {
        let server = Zk::start().await;
        let proxy = Proxy::zk(server.addr()).await;
        let locks = connect(via(&proxy), LONG).await;
        let other = connect(config(server.port()), LONG).await;
        for locks in [&locks, &other] {
            locks.mutex("first").unwrap().lock().await.unwrap().release().await.unwrap();
        }
        Self { server, proxy, locks, other }
    }

    /// The request for a node is kept on the way of the client's connection.
    fn keeps(&self) -> HoldHandle {
        self.proxy.hold_requests(zk_request("create", NAME))
    }

    /// Anybody may have it at once.
    async fn is_free(&self) {
        assert_eq!(left(&self.server).await, [""; 0]);
        let guard = self.other.mutex(NAME).unwrap().try_lock().await.unwrap();
        guard.expect("nobody has it").release().await.unwrap();
    }

    /// Waits until the client has one connection, and the old one is through.
    async fn has_one_connection(&self) {
        eventually("the old connection is over", || async { self.proxy.connections() == 1 }).await;
        assert_eq!(sessions(&self.server).await, 2);
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Reset,
}

impl End {
    fn comes(self, kept: HoldHandle) {
        match self {
            Self::Closed => kept.close(),
            Self::Reset => kept.reset(),
        }
    }
}

#[tokio::test]
async fn a_request_that_never_came_is_made_again() {
    let stage = Stage::new().await;
    for end in [End::Closed, End::Reset] {
        for kind in KINDS {
            let kept = stage.keeps();
            let takes = tokio::spawn(kind.takes(stage.locks.clone(), NAME));
            kept.held(PATIENCE).await;
            end.comes(kept);
            let guard = soon("granted", takes).await.unwrap().unwrap();
            let all = nodes(&stage.server, NAME).await;
            assert_eq!(all.len(), 1, "{end:?}, {kind:?}: {all:?}");
            assert_eq!(all[0].token, guard.token().as_u64(), "{end:?}, {kind:?}");
            guard.release().await.unwrap();
            stage.is_free().await;
        }
    }
    stage.has_one_connection().await;
}

#[tokio::test]
async fn a_request_that_never_came_and_that_nobody_waits_for_leaves_nothing() {
    let stage = Stage::new().await;
    for end in [End::Closed, End::Reset] {
        for kind in KINDS {
            let kept = stage.keeps();
            let takes = timeout(ms(50), kind.takes(stage.locks.clone(), NAME)).await;
            assert!(takes.is_err(), "{end:?}, {kind:?}: answered though nothing was asked");
            kept.held(PATIENCE).await;
            end.comes(kept);
            is_idle(&stage.locks).await;
            stage.is_free().await;
        }
    }
    stage.has_one_connection().await;
}

/// The client has connected again meanwhile, so the server takes nothing from the old connection.
#[tokio::test]
async fn a_request_that_comes_after_its_caller_has_gone_leaves_nothing() {
    let stage = Stage::new().await;
    for kind in KINDS {
        let kept = stage.keeps();
        let takes = timeout(ms(50), kind.takes(stage.locks.clone(), NAME)).await;
        assert!(takes.is_err(), "{kind:?}: answered though nothing was asked");
        kept.held(PATIENCE).await;
        is_idle(&stage.locks).await;
        assert_eq!(left(&stage.server).await, [""; 0], "{kind:?}");
        assert_eq!(kept.holding(), 1, "{kind:?}: it came before");
        kept.release();
        stage.has_one_connection().await;
        stage.is_free().await;
    }
}

/// Its own second request has made a node, and there is none beside it.
#[tokio::test]
async fn a_request_that_comes_while_its_lock_is_held_changes_nothing() {
    let stage = Stage::new().await;
    for kind in KINDS {
        // That which the client makes on its new connection passes.
        let is_first = std::sync::atomic::AtomicBool::new(true);
        let create = zk_request("create", NAME);
        let kept = stage.proxy.hold_requests(move |words| {
            create(words) && is_first.swap(false, std::sync::atomic::Ordering::SeqCst)
        });
        let takes = tokio::spawn(kind.takes(stage.locks.clone(), NAME));
        kept.held(PATIENCE).await;
        let guard = soon("granted by the repetition", takes).await.unwrap().unwrap();
        let before = nodes(&stage.server, NAME).await;
        assert_eq!(kept.holding(), 1, "{kind:?}: it came before");
        kept.release();
        stage.has_one_connection().await;
        assert_eq!(nodes(&stage.server, NAME).await, before, "{kind:?}");
        assert_eq!(before.len(), 1, "{kind:?}: {before:?}");
        assert!(guard.is_held(), "{kind:?}");
        guard.release().await.unwrap();
        stage.is_free().await;
    }
}

/// How a way is broken and healed.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Connections end, and there are no new ones.
    Refused,
    /// Nothing passes, and what was sent meanwhile comes later.
    Silent,
}

impl Outage {
    fn begins(self, proxy: &Proxy) {
        match self {
            Self::Refused => {
                proxy.refuse(true);
                proxy.reset();
            }
            Self::Silent => proxy.cut(),
        }
    }

    fn ends(self, proxy: &Proxy) {
        proxy.refuse(false);
        proxy.restore();
    }
}

/// What is asked for without a connection is never asked for behind everybody's back.
#[tokio::test]
async fn what_was_asked_for_in_an_outage_leaves_no_ghost() {
    join_all([Outage::Refused, Outage::Silent].map(async |outage| {
        let stage = Stage::new().await;
        // Shorter than the client waits for a member, and longer.
        for lasts in [ms(200), ms(1_000)] {
            let held = stage.locks.mutex("held").unwrap().lock().await.unwrap();
            outage.begins(&stage.proxy);
            let mut asks = Vec::new();
            for number in 0..4 {
                for kind in KINDS {
                    let (locks, name) = (stage.locks.clone(), format!("{NAME}-{kind:?}"));
                    let limit = ms(30 * (number + 1));
                    asks.push(tokio::spawn(async move {
                        let tries = async {
                            if number % 2 == 0 {
                                return kind.tries(locks, &name).await;
                            }
                            kind.takes(locks, &name).await.map(Some)
                        };
                        timeout(limit, tries).await.map(|outcome| outcome.map(drop))
                    }));
                }
            }
            for ask in asks {
                match soon("it gives up", ask).await.unwrap() {
                    Err(_) => {}
                    Ok(Err(error)) => assert!(error.is_transient(), "{outage:?}: {error}"),
                    Ok(Ok(())) => panic!("{outage:?}: nobody can have answered"),
                }
            }
            pause(lasts).await;
            outage.ends(&stage.proxy);
            is_idle(&stage.locks).await;
            // What comes late is served with what the server answers now.
            assert!(held.is_held(), "{outage:?}");
            held.release().await.unwrap();
            nothing_left(&stage.server).await;
            stage.has_one_connection().await;
            assert_eq!(left(&stage.server).await, [""; 0], "{outage:?}");
            for kind in KINDS {
                let name = format!("{NAME}-{kind:?}");
                let guard = kind.tries(stage.other.clone(), &name).await.unwrap();
                guard.expect("nobody has it").release().await.unwrap();
            }
        }
    }))
    .await;
}

/// What waits for an answer until the client says that none comes is told so.
#[tokio::test]
async fn an_acquisition_in_an_outage_fails_and_leaves_nothing() {
    let stage = Stage::new().await;
    for outage in [Outage::Refused, Outage::Silent] {
        outage.begins(&stage.proxy);
        for kind in KINDS {
            let outcome = soon("an answer", kind.takes(stage.locks.clone(), NAME)).await;
            let kind = outcome.unwrap_err().kind();
            assert!(
                matches!(kind, ErrorKind::Unavailable | ErrorKind::Indeterminate),
                "{outage:?}: {kind:?}"
            );
        }
        outage.ends(&stage.proxy);
        is_idle(&stage.locks).await;
        stage.has_one_connection().await;
        stage.is_free().await;
        let lock = stage.locks.mutex(NAME).unwrap();
        soon("a free lock", lock.lock()).await.unwrap().release().await.unwrap();
    }
}
