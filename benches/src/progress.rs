//! What is being measured, how long it will take, and whether somebody has had enough.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

/// A line on stderr, if that is a terminal. It is drawn between rounds only, never during one.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    is_interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Nothing is expected yet.
    pub(crate) fn new() -> Result<Self> {
        let style = ProgressStyle::with_template(TEMPLATE).context("BUG: the template is bad")?;
        let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
        Ok(Self { bar, is_interrupted: Arc::default() })
    }

    /// All of it takes about so long.
    pub(crate) fn expect(&self, expected: Duration) {
        self.bar.set_length(millis(expected));
    }

    /// Has a Ctrl-C, or a SIGTERM, end the run after what is under way, with what it has measured so far. A
    /// second one changes nothing. A third one is not waited for: it ends the process, and what servers
    /// have written to `scratch` goes with it.
    pub(crate) fn end_on_interrupt(&self, runtime: &Runtime, scratch: &Path) {
        let (is_interrupted, scratch) = (self.is_interrupted.clone(), scratch.to_owned());
        let terminated = {
            let _context = runtime.enter();
            signal(SignalKind::terminate())
        };
        runtime.spawn(async move {
            let Ok(mut terminated) = terminated else { return };
            for told in TOLD.into_iter().map(Some).chain([None]) {
                tokio::select! {
                    Ok(()) = ctrl_c() => {}
                    Some(()) = terminated.recv() => {}
                    else => return,
                }
                is_interrupted.store(true, Relaxed);
                match told {
                    Some(told) => eprintln!("{told}"),
                    None => end(&scratch),
                }
            }
        });
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Relaxed)
    }

    /// Shows what runs next.
    pub(crate) fn running(&self, backend: &str, question: &str, subject: &str) {
        self.bar.set_message(format!("{backend}: {question}: {subject}"));
    }

    /// Something has ended that was to take so long.
    pub(crate) fn step(&self, expected: Duration) {
        self.bar.inc(millis(expected));
    }

    /// As much has to be repeated.
    pub(crate) fn back(&self, expected: Duration) {
        self.bar.dec(millis(expected));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Without what is under way. The kernel ends the servers with this process; until then one of them may
/// write another file while its directory goes.
fn end(scratch: &Path) -> ! {
    let _ = (0..ATTEMPTS).try_for_each(|_| match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        gone => Err(gone),
    });
    std::process::exit(INTERRUPTED);
}

/// What the first says, and the second.
const TOLD: [&str; 2] = [
    "interrupted: the report comes once this round is over",
    "interrupted again: the round is still under way; a third time ends it, without a report",
];
const ATTEMPTS: usize = 100;
/// As a shell tells of it.
const INTERRUPTED: i32 = 130;
const TEMPLATE: &str = "[{bar:24}] {percent} %, {eta} left  {wide_msg}";
