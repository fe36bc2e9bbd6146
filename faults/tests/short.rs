//! The short form of a run, one backend after the other: two cores are few for three members and four
//! workers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

static MACHINE: Mutex<()> = Mutex::new(());

/// Runs it for so long, and returns the report of this backend. The logs of a run that fails stay.
fn faults(name: &str, backend: &str, minutes: &str, more: &[&str]) -> Value {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_faults"));
    command.args(["--backend", backend, "--minutes", minutes, "--waiters", "200", "--output"]);
    command.arg(&output).args(more);
    let run = command.output().unwrap();
    let printed = String::from_utf8_lossy(&run.stdout).into_owned();
    let errors = String::from_utf8_lossy(&run.stderr);
    print!("{printed}");
    assert!(run.status.success(), "{printed}\n{errors}");
    let report = fs::read_to_string(output.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    report[0].clone()
}

fn landed(report: &Value) -> usize {
    let rows = report["faults"].as_array().unwrap();
    rows.iter().filter(|row| row["landed"].as_u64().unwrap() > 0).count()
}

#[test]
fn local_survives() {
    assert_eq!(landed(&faults("short", "local", "0.2", &[])), 6);
}

#[test]
fn redis_survives() {
    assert!(landed(&faults("short", "redis", "0.5", &[])) > 5);
}

#[test]
fn etcd_survives() {
    assert!(landed(&faults("short", "etcd", "0.35", &[])) > 2);
}

#[test]
fn zk_survives() {
    assert!(landed(&faults("short", "zk", "0.35", &[])) > 2);
}

/// What the fence is for: the same pauses that undo writes without one.
#[test]
fn without_a_fence_writes_are_undone() {
    let report = faults("control", "redis", "0.1", &["--only", "holder-paused"]);
    assert!(report["unfenced"]["lost"].as_u64().unwrap() > 0, "{report:#}");
    assert!(report["fenced"]["refused"].as_u64().unwrap() > 0, "{report:#}");
}
