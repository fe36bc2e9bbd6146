//! A secret, and all that is said while it is known: events and spans, records of `log`, metrics,
//! panics.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use leasehold::Error;
use lock_conformance::error_text;
use lock_testkit::Panics;
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A password that nothing may show.
pub(crate) struct Canary {
    secret: String,
    panics: Panics,
}

impl Canary {
    /// One of its own. From now on everything is heard.
    pub(crate) fn new() -> Self {
        LazyLock::force(&METRICS);
        let secret = format!("canary-{:032x}", fastrand::u128(..));
        heard().leaks.insert(secret.clone(), Vec::new());
        Self { secret, panics: Panics::watch() }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    #[track_caller]
    pub(crate) fn is_not_in(&self, text: &str) {
        assert!(!shows(text, &self.secret), "the password is shown: {text}");
    }

    #[track_caller]
    pub(crate) fn is_not_in_error(&self, error: &Error) {
        self.is_not_in(&error_text(error));
    }

    /// Neither it nor any part of this was said, and these libraries were heard at all.
    pub(crate) fn was_kept(&self, libraries: &[&str]) {
        let heard = heard();
        println!("events: {:?}", heard.libraries);
        assert_eq!(heard.leaks[&self.secret], [""; 0], "the password was traced or logged");
        for library in libraries {
            assert!(heard.libraries.contains_key(*library), "nothing was heard of {library}");
        }
        let metrics = METRICS.snapshot().into_vec();
        assert!(!metrics.is_empty());
        for (key, ..) in metrics {
            self.is_not_in(&format!("{key:?}"));
        }
        self.is_not_in(&std::fs::read_to_string("/proc/self/cmdline").unwrap());
        assert!(self.panics.seen().is_empty(), "{:?}", self.panics.seen());
    }
}

/// As it is, as a list of bytes, or as hexadecimal digits.
fn shows(text: &str, secret: &str) -> bool {
    let bytes = format!("{:?}", secret.as_bytes());
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    [secret, bytes.trim_matches(['[', ']']), &hex].iter().any(|form| text.contains(form))
}

#[derive(Default)]
struct Heard {
    /// What was said that shows a secret, by that.
    leaks: BTreeMap<String, Vec<String>>,
    /// How much was said, by whom.
    libraries: BTreeMap<String, usize>,
}

fn heard() -> MutexGuard<'static, Heard> {
    static HEARD: Mutex<Heard> =
        Mutex::new(Heard { leaks: BTreeMap::new(), libraries: BTreeMap::new() });
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hear(target: &str, text: &str) {
    let library = target.split("::").next().unwrap_or_default();
    let mut heard = heard();
    *heard.libraries.entry(library.to_owned()).or_default() += 1;
    for (secret, leaks) in &mut heard.leaks {
        if shows(text, secret) {
            leaks.push(format!("{target}: {text}"));
        }
    }
}

/// Set up with the rest, once for all.
static METRICS: LazyLock<Snapshotter> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Traced).unwrap();
    log::set_logger(&Logged).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    recorder.install().unwrap();
    metrics
});

struct Traced;

impl Subscriber for Traced {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut words = Words(span.metadata().name().to_owned());
        span.record(&mut words);
        hear(span.metadata().target(), &words.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut words = Words(String::new());
        values.record(&mut words);
        hear("", &words.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(event.metadata().name().to_owned());
        event.record(&mut words);
        hear(event.metadata().target(), &words.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

struct Logged;

impl log::Log for Logged {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        hear(record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn what_is_said_is_heard() {
    let canary = Canary::new();
    let secret = canary.secret();
    tracing::trace!(bytes = ?secret.as_bytes(), "an event");
    tracing::trace_span!("a span", password = secret).in_scope(|| log::trace!("{secret}"));
    let leaks = heard().leaks[secret].clone();
    assert!(leaks.len() == 3 && leaks[0].contains("an event"), "{leaks:?}");
}
