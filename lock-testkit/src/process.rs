//! Processes that never outlive the test.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process of the test, killed when this is dropped, also when the test panics.
///
/// What it prints goes to a log file, whose end is shown when this is dropped in a panic. Should
/// the test process itself be killed, the kernel kills this one: it is started through
/// `/usr/bin/setpriv --pdeathsig KILL` of util-linux, where that exists. That signal comes when the
/// *thread* that forked ends, so all processes are forked by one thread that never does.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, whose output is added to the file `log`.
    ///
    /// The command's program, arguments, environment and directory count; its standard streams are
    /// set here.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(name: &str, command: &Command, log: &Path) -> Self {
        Self::start_with(name, command, log, Streams::Logged)
    }

    /// As [`start`](Process::start), with a pipe to its standard input and one from its output.
    pub(crate) fn start_piped(
        name: &str,
        command: &Command,
        log: &Path,
    ) -> (Self, ChildStdin, ChildStdout) {
        let process = Self::start_with(name, command, log, Streams::Piped);
        let mut child = process.child();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        drop(child);
        let missing = "BUG: both were asked for";
        (process, stdin.expect(missing), stdout.expect(missing))
    }

    fn start_with(name: &str, command: &Command, log: &Path, streams: Streams) -> Self {
        let mut command = tied_to_us(command);
        let output = open_log(log);
        match streams {
            Streams::Logged => {
                command.stdin(Stdio::null());
                command.stdout(output.try_clone().expect("the log can be opened twice"));
            }
            Streams::Piped => {
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
            }
        }
        command.stderr(output);
        let child = match spawn(command) {
            Ok(child) => child,
            Err(error) => panic!("{name} cannot be started: {error}"),
        };
        let pid = Pid::from_child(&child);
        Self { name: name.to_owned(), pid, child: Mutex::new(child), log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has not ended. A paused process has not.
    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Freezes it with `SIGSTOP`, and returns when it stands still. Its connections stay open and
    /// silent.
    ///
    /// # Panics
    ///
    /// When it has ended, or does not stop.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let start = Instant::now();
        // The signal is pending until each of its threads has been interrupted.
        while self.state() != Some('T') {
            assert!(start.elapsed() < PATIENCE, "{} does not stop", self.name);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on after [`pause`](Process::pause).
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it with `SIGKILL` and waits until it is gone. Killing it again does nothing.
    pub fn kill(&self) {
        let mut child = self.child();
        // Both fail only for a process that is gone, which is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// All that it has printed.
    pub fn logs(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of what it has printed, for a message.
    pub(crate) fn last_logs(&self) -> String {
        let logs = self.logs();
        let lines: Vec<_> = logs.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("the last lines of {} ({}):\n{}", self.name, self.pid(), shown.join("\n"))
    }

    fn signal(&self, signal: Signal) {
        // Under the lock nobody reaps the process, so its id cannot be another's.
        let mut child = self.child();
        let running = matches!(child.try_wait(), Ok(None));
        assert!(running, "{} has ended; {}", self.name, self.last_logs());
        kill_process(self.pid, signal).expect("a child can be signalled");
    }

    /// The letter of its state in `/proc`.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The name before it may itself hold parentheses and spaces.
        stat.rsplit(") ").next()?.chars().next()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.last_logs());
        }
    }
}

enum Streams {
    Logged,
    Piped,
}

/// The same command, to be killed when the thread that forked it ends.
fn tied_to_us(command: &Command) -> Command {
    let mut tied = if Path::new(SETPRIV).exists() {
        let mut tied = Command::new(SETPRIV);
        tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
        tied
    } else {
        Command::new(command.get_program())
    };
    tied.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        tied.current_dir(dir);
    }
    tied
}

fn open_log(log: &Path) -> File {
    match OpenOptions::new().create(true).append(true).open(log) {
        Ok(file) => file,
        Err(error) => panic!("the log {} cannot be opened: {error}", log.display()),
    }
}

/// Forks from the one thread that lives as long as this process.
fn spawn(command: Command) -> io::Result<Child> {
    let (reply, child) = mpsc::sync_channel(1);
    let gone = "BUG: the thread that starts processes never ends";
    SPAWNER.send((command, reply)).expect(gone);
    child.recv().expect(gone)
}

type Start = (Command, mpsc::SyncSender<io::Result<Child>>);

static SPAWNER: LazyLock<mpsc::Sender<Start>> = LazyLock::new(|| {
    let (sender, starts) = mpsc::channel::<Start>();
    let work = move || {
        while let Ok((mut command, reply)) = starts.recv() {
            // Whoever asked waits for the reply, and cannot be gone.
            let _ = reply.send(command.spawn());
        }
    };
    thread::Builder::new().name("spawner".to_owned()).spawn(work).expect("a thread starts");
    sender
});

const SETPRIV: &str = "/usr/bin/setpriv";
const SHOWN_LINES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(5);
