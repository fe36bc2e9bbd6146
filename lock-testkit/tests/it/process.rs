//! Processes that never outlive the test.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lock_testkit::{Flavour, Port, Process, Redis};

#[test]
fn pause_and_resume_are_seen_in_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sleep");
    command.arg("1000");
    let process = Process::start("sleep", &command, &dir.path().join("log"));
    process.pause();
    assert_eq!(state(process.pid()), Some('T'));
    assert!(process.is_running());
    process.resume();
    soon("it goes on", || state(process.pid()) != Some('T'));
    process.pause();
    process.kill();
    assert!(!process.is_running());
    assert_eq!(state(process.pid()), None);
    process.kill();
}

#[test]
fn what_it_prints_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo out; echo $WORD >&2; pwd"]).env("WORD", "err").current_dir("/");
    let process = Process::start("sh", &command, &dir.path().join("log"));
    soon("its end", || !process.is_running());
    assert_eq!(process.logs(), "out\nerr\n/\n");
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = Redis::options(Flavour::Redis).start().await;
    let (pid, addr) = (server.pid(), server.addr());
    assert!(state(pid).is_some() && std::net::TcpStream::connect(addr).is_ok());
    drop(server);
    assert_eq!(state(pid), None);
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_server_is_gone_after_a_panic() {
    let (sender, server) = std::sync::mpsc::channel();
    let panicking = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Redis::options(Flavour::Redis).start().await;
            server.pause();
            sender.send((server.pid(), server.addr())).unwrap();
            panic!("this panic belongs to the test");
        });
    });
    let (pid, addr) = server.recv().unwrap();
    assert!(panicking.join().is_err());
    assert_eq!(state(pid), None);
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn no_two_own_a_port() {
    let ports: Vec<_> = (0..200).map(|_| Port::claim()).collect();
    let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), ports.len());
}

#[tokio::test]
async fn servers_start_side_by_side() {
    let (one, two, three) = tokio::join!(
        Redis::options(Flavour::Redis).start(),
        Redis::options(Flavour::Redis).start(),
        Redis::options(Flavour::Redis).start(),
    );
    for server in [&one, &two, &three] {
        let mut resp = server.resp().await;
        let port = server.port().to_string();
        resp.command(&["SET", "port", &port]).await;
    }
    for server in [&one, &two, &three] {
        let value = server.resp().await.command(&["GET", "port"]).await;
        assert_eq!(value.as_str(), Some(server.port().to_string().as_str()));
    }
}

fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: not within 10 s");
        thread::yield_now();
    }
}

fn state(pid: u32) -> Option<char> {
    assert!(Path::new("/proc/self/stat").exists(), "these tests need /proc");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}
