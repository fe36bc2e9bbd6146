//! What the examples share.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use leasehold::Locks;

/// Where the locks live.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Backend {
    /// Where the locks live; `local:` is this process
    ///
    /// `local:` needs no server and keeps the tasks of this one process apart. The URL of a store
    /// does the same for all processes and machines that use the store. A scheme that this build
    /// does not know is answered with the list of those that it knows.
    #[arg(long, value_name = "URL", default_value = "local:", verbatim_doc_comment)]
    url: String,
}

impl Backend {
    pub(crate) async fn connect(&self) -> anyhow::Result<Locks> {
        leasehold::connect(&self.url).await.context("cannot connect to the backend of --url")
    }
}

/// The end of `main`: an error is one line on stderr and exit code 1.
pub(crate) fn exit(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    eprintln!("error: {line}");
    ExitCode::FAILURE
}

/// A bar on stderr for `steps` steps. It is not drawn when stderr is no terminal.
pub(crate) fn progress(steps: u64, what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("  {msg} [{bar:40}] {human_pos}/{human_len} {elapsed}")
            .expect("BUG: the template above is valid")
            .progress_chars("=> ");
    // An error on the way clears it as well.
    let finish = ProgressFinish::AndClear;
    let bar = ProgressBar::new(steps).with_style(style).with_message(what).with_finish(finish);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A word that no other run has, for names that runs must not share.
pub(crate) fn run_id() -> String {
    format!("{:x}-{:08x}", std::process::id(), fastrand::u32(..))
}
