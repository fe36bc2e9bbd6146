//! What is being measured, how long it will take, and whether somebody has had enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

/// A line on stderr, if that is a terminal. It is drawn between rounds only, never during one.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    is_interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// A bar of `steps` rounds.
    pub(crate) fn new(steps: u64) -> Result<Self> {
        let style = ProgressStyle::with_template(TEMPLATE).context("BUG: the template is bad")?;
        let bar = ProgressBar::new(steps).with_style(style.progress_chars("=> "));
        Ok(Self { bar, is_interrupted: Arc::default() })
    }

    /// Has a Ctrl-C end the run after what is under way, with what it has measured so far; a second one
    /// is not waited for.
    pub(crate) fn end_on_interrupt(&self, runtime: &Runtime) {
        let is_interrupted = self.is_interrupted.clone();
        runtime.spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
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

    /// A round has ended.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// So many rounds have to be repeated.
    pub(crate) fn back(&self, steps: usize) {
        self.bar.dec(steps as u64);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// As a shell tells of it.
const INTERRUPTED: i32 = 130;
const TEMPLATE: &str = "[{bar:24}] {pos}/{len}, {eta} left  {wide_msg}";
