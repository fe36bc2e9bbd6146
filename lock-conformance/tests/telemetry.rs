//! Metrics and spans have the names that are documented, and nothing in them ends a lock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_conformance::fake::FakeStore;
use lock_conformance::time::{eventually, soon};
use lockcore::{EngineConfig, Locks, Renewal, Sessions};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `name{label=value,…}` and what was recorded since the last call: a counter's or a gauge's value,
/// a histogram's number of values.
fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .map(|(key, _, _, value)| {
            let mut labels: Vec<_> = key
                .key()
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            labels.sort();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            (format!("{}{{{}}}", key.key().name(), labels.join(",")), value)
        })
        .filter(|(_, value)| *value != 0.0)
        .collect()
}

#[tokio::test]
async fn metrics_and_spans_tell_what_happened() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let store = FakeStore::new(Sessions::PerGrant);
    let client = store.client(EngineConfig::new(), None);
    let locks = Locks::new(client.engine.clone());
    let mutex = locks.mutex("a\nb").unwrap().owner("worker-7").ttl(Duration::from_millis(300));
    let guard = mutex.lock().await.unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());
    assert!(mutex.try_lock_for(Duration::from_millis(5)).await.unwrap().is_none());
    // Its clean-up goes on in the background.
    eventually("it went", || async { locks.inspect("a\nb").await.unwrap().waiters().is_empty() })
        .await;
    let waiting = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.lock().await.map(drop) }
    });
    eventually("it waits", || async { !locks.inspect("a\nb").await.unwrap().waiters().is_empty() })
        .await;
    let during = recorded(&snapshotter);
    let waiters = during.get("leasehold_waiters{backend=fake}");
    assert_eq!(waiters, Some(&1.0), "{during:?}");
    waiting.abort();
    eventually("it went", || async { locks.inspect("a\nb").await.unwrap().waiters().is_empty() })
        .await;
    guard.release().await.unwrap();
    let never = mutex.clone().renewal(Renewal::Never);
    let guard = never.lock().await.unwrap();
    soon("the loss", guard.lost()).await;
    drop(guard);
    let renewed = locks.mutex("c").unwrap().ttl(Duration::from_millis(300)).lock().await.unwrap();
    let token = renewed.token();
    soon("a renewal", async {
        let deadline = renewed.deadline();
        eventually("it is renewed", || async { renewed.deadline() > deadline }).await;
    })
    .await;
    client.link.refuse(true);
    assert!(mutex.try_lock().await.is_err());
    client.link.refuse(false);
    renewed.release().await.unwrap();

    let mut all = during;
    for (key, value) in recorded(&snapshotter) {
        *all.entry(key).or_default() += value;
    }
    let at = |key: &str| all.get(key).copied().unwrap_or_default();
    let acquires = |outcome: &str| {
        at(&format!("leasehold_acquires_total{{backend=fake,mode=exclusive,outcome={outcome}}}"))
    };
    let outcomes = ["granted", "busy", "timeout", "abandoned", "error"].map(acquires);
    assert_eq!(outcomes, [3.0, 1.0, 1.0, 1.0, 1.0], "{all:?}");
    assert_eq!(at("leasehold_wait_seconds{backend=fake,mode=exclusive}"), 3.0, "{all:?}");
    assert_eq!(at("leasehold_hold_seconds{backend=fake,mode=exclusive}"), 3.0, "{all:?}");
    assert_eq!(at("leasehold_losses_total{backend=fake,cause=expired}"), 1.0, "{all:?}");
    assert!(at("leasehold_renewals_total{backend=fake,outcome=kept}") >= 1.0, "{all:?}");
    assert!(all.keys().all(|key| !key.contains("worker-7") && !key.contains("a\nb")), "{all:?}");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let span =
        log.lines().find(|line| line.contains("leasehold{")).unwrap_or_else(|| panic!("{log}"));
    for field in
        ["operation=\"lock\"", "backend=\"fake\"", "name=a\\nb", "mode=\"exclusive\"", "worker-7"]
    {
        assert!(span.contains(field), "{field} is not in {span}");
    }
    let digits = log.split(|letter: char| !letter.is_ascii_hexdigit()).map(str::len).max();
    assert!(digits < Some(30), "this looks like an id: {log}");
    assert!(token.as_u64() > 0);
}
