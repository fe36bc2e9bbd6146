//! What is being measured, how long it will take, and whether somebody has had enough.

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
    /// For what takes about so long.
    pub(crate) fn new(expected: Duration) -> Result<Self> {
        let style = ProgressStyle::with_template(TEMPLATE).context("BUG: the template is bad")?;
        let bar = ProgressBar::new(millis(expected)).with_style(style.progress_chars("=> "));
        Ok(Self { bar, is_interrupted: Arc::default() })
    }

    /// Has a Ctrl-C, or a SIGTERM, end the run after what is under way, with what it has measured so far; a second one
    /// is not waited for.
    pub(crate) fn end_on_interrupt(&self, runtime: &Runtime) {
        let is_interrupted = self.is_interrupted.clone();
        let terminated = {
            let _context = runtime.enter();
            signal(SignalKind::terminate())
        };
        runtime.spawn(async move {
            let Ok(mut terminated) = terminated else { return };
            loop {
                tokio::select! {
                    Ok(()) = ctrl_c() => {}
                    Some(()) = terminated.recv() => {}
                    else => return,
                }
                if is_interrupted.swap(true, Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
                eprintln!("interrupted: the report comes once this round is over");
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

/// As a shell tells of it.
const INTERRUPTED: i32 = 130;
const TEMPLATE: &str = "[{bar:24}] {percent} %, {eta} left  {wide_msg}";
