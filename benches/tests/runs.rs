//! Runs of the whole program: what becomes of them when something fails, and when somebody has had
//! enough.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_store_that_does_not_start_is_reported_and_the_others_go_on() {
    let dir = TempDir::new().unwrap();
    let mut run = bench(&dir, &["--quick", "--only", "free lock: lock-", "local", "redis"]);
    let output = run.envs(NO_VALKEY).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(!output.status.success(), "{stdout}{stderr}");
    assert!(stderr.contains("1 could not answer: redis: the store did not start"), "{stderr}");
    assert!(stdout.contains("redis: the store did not start"), "{stdout}");
    let report = report(&dir);
    let failures = report["failures"].as_array().unwrap();
    assert!(failures[0].as_str().unwrap().starts_with("redis: the store did not start"));
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{report}");
    assert!(results.iter().all(|result| result["backend"] == "local"), "{report}");
    assert_eq!(left(&dir), Vec::<String>::new());
}

#[test]
fn a_process_of_rounds_that_ends_is_a_subject_that_fails() {
    let dir = TempDir::new().unwrap();
    let mut run = Run::start(&dir, &["--quick", "--only", "free lock: ", "local"]);
    let worker = eventually(|| run.worker());
    kill_process(worker, Signal::KILL).unwrap();
    let said = run.rest();
    assert!(!run.child.wait().unwrap().success(), "{said}");
    assert!(said.contains("1 could not answer: local: free lock: "), "{said}");
    let report = report(&dir);
    assert_eq!(report["results"].as_array().unwrap().len(), 3, "{report}");
    for result in report["results"].as_array().unwrap() {
        let ratio = &result["ratio"];
        assert!(ratio.is_null() || ratio["rounds"] == 3, "{report}");
    }
    assert_eq!(left(&dir), Vec::<String>::new());
}

#[test]
fn what_was_measured_before_a_signal_is_reported() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = TempDir::new().unwrap();
        let mut run = Run::start(&dir, &["--only", "free lock: ", "local"]);
        // The second process begins when the first has answered all.
        let first = eventually(|| run.worker());
        let second = eventually(|| run.worker().filter(|worker| *worker != first));
        kill_process(run.id(), signal).unwrap();
        let said = run.rest();
        assert!(!run.child.wait().unwrap().success() && said.contains("interrupted; the report"));
        let report = report(&dir);
        assert_eq!(report["interrupted"], true, "{report}");
        let results = report["results"].as_array().unwrap();
        assert!(results.len() == 4 && results[0]["noisy"] == true, "too few rounds: {report}");
        assert_eq!(report["failures"], Value::Array(Vec::new()));
        assert!(!is_running(second), "the process of the rounds lives on");
        assert_eq!(left(&dir), Vec::<String>::new());
    }
}

#[test]
fn a_third_signal_ends_it_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let mut run = Run::start(&dir, &["--only", "commands while one waits 10s: lock-", "redis"]);
    assert!(run.line().starts_with("this takes"));
    kill_process(run.id(), Signal::TERM).unwrap();
    assert!(run.line().starts_with("interrupted: the report comes"));
    kill_process(run.id(), Signal::INT).unwrap();
    assert!(run.line().starts_with("interrupted again"));
    assert!(run.child.try_wait().unwrap().is_none(), "the second is not the end of it");
    kill_process(run.id(), Signal::TERM).unwrap();
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
    assert_eq!(left(&dir), Vec::<String>::new());
}

/// A run that goes on by itself, killed when this is dropped.
struct Run {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Run {
    fn start(dir: &TempDir, arguments: &[&str]) -> Self {
        let mut command = bench(dir, arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The process that runs rounds now.
    fn worker(&self) -> Option<Pid> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let mut children = tasks.filter_map(|task| {
            let children = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
            Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
        });
        children.find(|child| is_running(*child))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn rest(&mut self) -> String {
        std::io::read_to_string(&mut self.said).unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail only for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(dir: &TempDir, arguments: &[&str]) -> Command {
    let temporary = dir.path().join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_benches"));
    command.arg("--output").arg(dir.path().join("report.json")).args(arguments);
    command.env("TMPDIR", temporary);
    command
}

fn report(dir: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(dir.path().join("report.json")).unwrap()).unwrap()
}

/// What a run has left behind among temporary files.
fn left(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn is_running(process: Pid) -> bool {
    Path::new("/proc").join(process.to_string()).join("exe").read_link().is_ok()
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Some(seen) => return seen,
            None => assert!(start.elapsed() < PATIENCE, "nothing is seen for {PATIENCE:?}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was not installed does not start.
const NO_VALKEY: [(&str, &str); 2] =
    [("LEASEHOLD_BENCH_REDIS_FLAVOUR", "valkey"), ("LEASEHOLD_TOOLS", "/nowhere")];
const PATIENCE: Duration = Duration::from_secs(60);
