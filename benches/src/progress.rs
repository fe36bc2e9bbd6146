//! What is being measured, and how long it will take.

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

/// A line on stderr, if that is a terminal. It is drawn between rounds only, never during one.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `steps` rounds.
    pub(crate) fn new(steps: u64) -> Result<Self> {
        let style = ProgressStyle::with_template(TEMPLATE).context("BUG: the template is bad")?;
        let bar = ProgressBar::new(steps).with_style(style.progress_chars("=> "));
        Ok(Self(bar))
    }

    /// Shows what runs next.
    pub(crate) fn running(&self, backend: &str, question: &str, subject: &str) {
        self.0.set_message(format!("{backend}: {question}: {subject}"));
    }

    /// A round has ended.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// So many rounds have to be repeated.
    pub(crate) fn back(&self, steps: usize) {
        self.0.dec(steps as u64);
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

const TEMPLATE: &str = "[{bar:24}] {pos}/{len}, {eta} left  {wide_msg}";
