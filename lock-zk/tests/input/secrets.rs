//! What is printed and traced: no password.

use std::cell::RefCell;
use std::fmt::{Debug, Write};

use lock_conformance::time::soon;
use lock_testkit::Proxy;
use lock_zk::ZkConfig;
use lockcore::Locks;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{CANARY, Stage, queue, turn};

#[tokio::test]
async fn a_client_and_its_locks_do_not_print_its_password() {
    let stage = Stage::new().await;
    let lock = stage.config().login("worker", CANARY).connect().await.unwrap();
    let locks = Locks::new(lock.clone());
    let mutex = locks.mutex("printed").unwrap();
    let guard = mutex.lock().await.unwrap();
    let picture = locks.inspect("printed").await.unwrap();
    let node = lock.while_held(guard.token()).unwrap();
    let text = format!("{lock:#?} {locks:?} {mutex:?} {guard:#?} {picture:?} {node:?}");
    assert!(!text.contains(CANARY), "{text}");
    guard.release().await.unwrap();
}

/// Of this thread, in which all of the client is: its library too.
#[tokio::test]
async fn nothing_that_is_traced_has_the_password_of_a_user_or_of_a_session() {
    let stage = Stage::new().await;
    let proxy = Proxy::zk(stage.server.addr()).await;
    // For all: a callsite that another test comes to first would be silent otherwise.
    tracing::subscriber::set_global_default(Traced).unwrap();
    TEXT.set(Some(String::new()));
    let config = ZkConfig::new([("127.0.0.1", proxy.addr().port())]);
    let config = config.prefix(stage.prefix.as_str()).unwrap().login("worker", CANARY);
    let (one, other) = (config.clone().connect().await.unwrap(), config.connect().await.unwrap());
    let (one, other) = (Locks::new(one), Locks::new(other));
    let held = one.mutex("traced").unwrap().lock().await.unwrap();
    let queued = queue(&other, "traced").await;
    // It logs in again.
    let before = proxy.requests_seen()["auth"];
    proxy.reset();
    let renewed = async || held.renew().await.is_ok();
    lock_conformance::time::eventually("it is back", renewed).await;
    assert!(proxy.requests_seen()["auth"] > before);
    held.release().await.unwrap();
    turn("the waiter's turn", queued).await.release().await.unwrap();
    soon("its end", one.shutdown()).await.unwrap();
    let refused = stage.config().login("worker", format!("not-{CANARY}")).connect().await;
    refused.unwrap_err();

    let text = TEXT.take().unwrap();
    // The library was heard, with what it sends.
    assert!(text.contains("sending connect request") && text.contains("Auth"), "{text}");
    let in_bytes = format!("{:?}", CANARY.as_bytes());
    for secret in [CANARY, in_bytes.trim_matches(['[', ']'])] {
        assert!(!text.contains(secret), "a password is traced: {text}");
    }
}

thread_local! {
    /// All that this thread has traced, in words, if it is to be kept.
    static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
}

struct Traced;

impl Subscriber for Traced {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Words);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Words);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Words);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words;

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        TEXT.with_borrow_mut(|text| {
            if let Some(text) = text {
                writeln!(text, "{field}={value:?}").unwrap();
            }
        });
    }
}
