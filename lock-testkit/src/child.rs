//! The test binary once more, as a process that can be killed or frozen.
//!
//! An entry is a test like any other, which returns at once unless it was started by
//! [`Child::spawn`]:
//!
//! ```no_run
//! #[test]
//! fn holder() {
//!     let Some(role) = lock_testkit::child::role() else { return };
//!     role.report(&format!("holding {}", role.var("NAME")));
//!     for command in role.commands() {
//!         role.report(&format!("heard {command}"));
//!     }
//! }
//! ```

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::process::Process;
use crate::wait::{eventually, scaled};

/// A process that runs one test of this test binary, killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: Process,
    stdin: ChildStdin,
    reports: mpsc::UnboundedReceiver<String>,
    // Goes after the process.
    _dir: TempDir,
}

impl Child {
    /// Starts this test binary again, with the test `entry` (its whole path, `module::name`) alone
    /// and with these variables besides its own environment. Its temporary files go when this is
    /// dropped, also those of servers that it could not clean up after.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn spawn(entry: &str, variables: &[(&str, &str)]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.args([entry, "--exact", "--nocapture", "--include-ignored"]);
        Self::run(entry, command, variables)
    }

    /// Starts any program with these variables last. One that asks for its [`role`] is told that it
    /// is `name`; another prints lines as [`Role::report`] does.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run(name: &str, mut command: Command, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        command.env(ENTRY, name).env("TMPDIR", dir.path()).envs(variables.iter().copied());
        let log = dir.path().join("log");
        let (process, stdin, stdout) = Process::start_piped(name, &command, &log);
        let reports = listen(stdout, log);
        Self { process, stdin, reports, _dir: dir }
    }

    /// The next line that it has [reported](Role::report).
    ///
    /// # Panics
    ///
    /// When there is none within `deadline`, or when it ends before.
    ///
    /// # Cancel safety
    ///
    /// No report is lost.
    pub async fn next_report(&mut self, deadline: Duration) -> String {
        self.report_within(deadline).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`next_report`](Child::next_report), for one that goes on without it.
    ///
    /// # Errors
    ///
    /// When there is none within `deadline`, or when it ends before: with the last of what it printed.
    ///
    /// # Cancel safety
    ///
    /// No report is lost.
    pub async fn report_within(&mut self, deadline: Duration) -> Result<String, String> {
        match timeout(scaled(deadline), self.reports.recv()).await {
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err(format!("the child ended without a report; {}", self.last_logs())),
            Err(_) => Err(format!("no report within {deadline:?}; {}", self.last_logs())),
        }
    }

    /// The next line that it has reported, if there is one already.
    pub fn try_next_report(&mut self) -> Option<String> {
        self.reports.try_recv().ok()
    }

    /// Sends it a line, for [`Role::commands`].
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn send(&mut self, line: &str) {
        self.try_send(line).unwrap_or_else(|why| panic!("{why}"));
    }

    /// As [`send`](Child::send), for one that goes on without it.
    ///
    /// # Errors
    ///
    /// When it has ended: with the last of what it printed.
    pub fn try_send(&mut self, line: &str) -> Result<(), String> {
        let sent = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
        sent.map_err(|_| format!("the child does not listen; {}", self.last_logs()))
    }

    /// Freezes it; its connections stay open.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on after [`pause`](Child::pause).
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills it with `SIGKILL`. What it reported before can still be read.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has printed besides its reports.
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    /// The end of it, for a message.
    fn last_logs(&self) -> String {
        self.process.last_logs()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it does not within `deadline`.
    pub async fn ended(&self, deadline: Duration) {
        eventually("the end of the child", deadline, || async {
            (!self.is_running()).then_some(())
        })
        .await;
    }
}

/// What a test is in a process that [`Child::spawn`] started.
#[derive(Debug)]
pub struct Role {
    entry: String,
}

/// The role of this process, or `None` in a test binary that was started as usual.
pub fn role() -> Option<Role> {
    env::var(ENTRY).ok().map(|entry| Role { entry })
}

impl Role {
    /// The test that was to be run.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// A variable that the parent has set.
    ///
    /// # Panics
    ///
    /// When it has not.
    pub fn var(&self, name: &str) -> String {
        match env::var(name) {
            Ok(value) => value,
            Err(error) => panic!("{} needs the variable {name}: {error}", self.entry),
        }
    }

    /// Tells the parent, which reads one line of it. It is on its way when this returns.
    ///
    /// # Panics
    ///
    /// When `line` is more than a line, or when the parent is gone.
    pub fn report(&self, line: &str) {
        assert!(!line.contains('\n'), "a report is one line, not {line:?}");
        let mut stdout = stdout().lock();
        // The harness of the tests has begun a line of its own.
        let sent = writeln!(stdout, "\n{REPORT}{line}").and_then(|()| stdout.flush());
        assert!(sent.is_ok(), "the parent is gone");
    }

    /// The most memory that this process has had so far, in bytes: what it has asked for, and what
    /// of that it has used.
    fn peak_memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kilobytes.and_then(|text| text.parse::<u64>().ok()).expect("Linux says it") * 1024
        };
        (value("VmPeak:"), value("VmHWM:"))
    }

    /// Tells the parent what memory some work has taken at most: `modest` or `greedy`, what was asked for
    /// and what of that was used, in bytes.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`, or inside of a runtime.
    pub fn reports_memory(&self, work: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let before = self.peak_memory();
        runtime.block_on(work);
        let after = self.peak_memory();
        let (asked, used) = (after.0 - before.0, after.1 - before.1);
        let is_modest = asked < MODEST.0 && used < MODEST.1;
        self.report(&format!("{} {asked} {used}", if is_modest { "modest" } else { "greedy" }));
    }

    /// The lines that the parent sends, from now on until it is gone.
    pub fn commands(&self) -> Commands {
        let (sender, lines) = mpsc::unbounded_channel();
        let read = move || {
            for line in stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("commands".to_owned()).spawn(read).expect("a thread starts");
        Commands { lines }
    }
}

/// The lines that the parent sends; as an iterator it blocks.
#[derive(Debug)]
pub struct Commands {
    lines: mpsc::UnboundedReceiver<String>,
}

impl Commands {
    /// The next line, or `None` when the parent is gone.
    ///
    /// # Cancel safety
    ///
    /// No line is lost.
    pub async fn recv(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}

impl Iterator for Commands {
    type Item = String;

    /// # Panics
    ///
    /// In an asynchronous context, where [`recv`](Commands::recv) waits instead.
    fn next(&mut self) -> Option<String> {
        self.lines.blocking_recv()
    }
}

/// Tells reports from the rest of the output, which goes to the log.
fn listen(stdout: ChildStdout, log: PathBuf) -> mpsc::UnboundedReceiver<String> {
    let (sender, reports) = mpsc::unbounded_channel();
    let (opened, ready) = blocking::sync_channel(1);
    let read = move || {
        let mut log = File::options().append(true).open(log).expect("the log exists");
        // The directory may go with the child from now on.
        let _ = opened.send(());
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match line.split_once(REPORT) {
                // Nobody asks any more when the child is dropped, and then the pipe ends.
                Some((_, report)) => drop(sender.send(report.to_owned())),
                None => drop(writeln!(log, "{line}")),
            }
        }
    };
    thread::Builder::new().name("reports".to_owned()).spawn(read).expect("a thread starts");
    ready.recv().expect("the log is opened");
    reports
}

/// What a report begins with, for programs in other languages: the rest of the line is the report.
pub const REPORT: &str = "@leasehold-report ";
/// What a client may take without suspicion: asked for, and used.
const MODEST: (u64, u64) = (512 << 20, 64 << 20);
const ENTRY: &str = "LEASEHOLD_CHILD";
