//! Builds for the steps to come, while the tests of now wait for servers and clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use crate::sh::Sh;

/// Commands that run one after the other behind everything else; dropping this waits for the one that
/// runs, and begins no other.
///
/// They only save time: whether one fails, and what it says, shows when its step runs it again.
pub(crate) struct Ahead {
    is_over: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
}

impl Ahead {
    pub(crate) fn start(builds: Vec<Sh>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let seen = is_over.clone();
        let work = thread::spawn(move || {
            builds.into_iter().take_while(|_| !seen.load(SeqCst)).for_each(|build| {
                build.behind_others().succeeds();
            });
        });
        Self { is_over, work: Some(work) }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        // One that panicked has built nothing, and the steps build for themselves.
        let _ = self.work.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn the_one_that_runs_ends_and_no_other_begins() {
        let home = env::temp_dir().join(format!("xtask-ahead-{}", process::id()));
        fs::create_dir_all(&home).unwrap();
        let begun = home.join("begun");
        let touch = |file: &str| Sh::new("touch", [home.join(file)]);
        let wait = "echo >begun; while [ ! -e go ]; do sleep 0.01; done; echo >ended";
        let first = Sh::new("sh", ["-c", wait]).dir(&home);
        let ahead = Ahead::start(vec![Sh::new("false", ["x"]), first, touch("second")]);
        while !begun.exists() {
            thread::yield_now();
        }
        ahead.is_over.store(true, SeqCst);
        fs::write(home.join("go"), "").unwrap();
        drop(ahead);
        assert!(home.join("ended").exists() && !home.join("second").exists());
        fs::remove_dir_all(&home).unwrap();
    }
}
