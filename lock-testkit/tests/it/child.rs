//! The same binary as another process.

use std::path::Path;
use std::time::Duration;

use lock_testkit::child::{Child, role};
use lock_testkit::{Flavour, Redis, eventually};
use tokio::time::timeout;

/// What the children do.
#[test]
fn entry() {
    let Some(role) = role() else { return };
    match role.var("TASK").as_str() {
        "echo" => {
            println!("this is no report");
            role.report(&format!("I am {}", role.entry()));
            for command in role.commands() {
                role.report(&format!("heard {command}"));
            }
        }
        "panic" => panic!("this panic belongs to the test"),
        "server" => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let server = Redis::options(Flavour::Redis).start().await;
                role.report(&server.pid().to_string());
                assert_eq!(role.commands().recv().await, None);
            });
        }
        other => panic!("no task {other:?}"),
    }
}

#[tokio::test]
async fn it_reports_and_listens() {
    let mut child = Child::spawn("child::entry", &[("TASK", "echo")]);
    assert_eq!(child.next_report(PATIENCE).await, "I am child::entry");
    for word in ["one", "two words"] {
        child.send(word);
        assert_eq!(child.next_report(PATIENCE).await, format!("heard {word}"));
    }
    assert!(child.logs().contains("this is no report"), "{}", child.logs());
    assert_eq!(child.try_next_report(), None);
}

#[tokio::test]
async fn it_is_frozen_and_goes_on() {
    let mut child = Child::spawn("child::entry", &[("TASK", "echo")]);
    child.next_report(PATIENCE).await;
    child.pause();
    child.send("late");
    let silence = timeout(Duration::from_millis(200), child.next_report(PATIENCE)).await;
    assert!(silence.is_err(), "{silence:?}");
    child.resume();
    assert_eq!(child.next_report(PATIENCE).await, "heard late");
}

#[tokio::test]
async fn it_is_killed() {
    let mut child = Child::spawn("child::entry", &[("TASK", "echo")]);
    child.next_report(PATIENCE).await;
    child.kill();
    assert!(!child.is_running());

    let mut child = Child::spawn("child::entry", &[("TASK", "echo")]);
    child.next_report(PATIENCE).await;
    let pid = child.pid();
    drop(child);
    assert!(!exists(pid));
}

#[tokio::test]
#[should_panic(expected = "ended without a report")]
async fn one_that_panics_is_noticed() {
    Child::spawn("child::entry", &[("TASK", "panic")]).next_report(PATIENCE).await;
}

#[tokio::test]
async fn a_server_does_not_outlive_its_killed_owner() {
    let mut child = Child::spawn("child::entry", &[("TASK", "server")]);
    let server = child.next_report(PATIENCE).await.parse().unwrap();
    assert!(exists(server));
    child.kill();
    eventually("the end of the server", PATIENCE, || async { (!exists(server)).then_some(()) })
        .await;
}

/// Whether the process lives; one that nobody has reaped does not.
fn exists(pid: u32) -> bool {
    assert!(Path::new("/proc/self/stat").exists(), "these tests need /proc");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

const PATIENCE: Duration = Duration::from_secs(20);
