//! What a process of its own does.

use lock_conformance::lab;
use lock_testkit::child::{Child, role};

use crate::stage::{PATIENCE, config, connect, ttl};

/// A process that does `task` on the lock `name`.
pub(crate) fn spawn(task: &str, port: u16, name: &str, seconds: u64) -> Child {
    let (port, seconds) = (port.to_string(), seconds.to_string());
    let variables = [("TASK", task), ("PORT", &port), ("NAME", name), ("TTL", &seconds)];
    Child::spawn("children::entry", &variables)
}

/// The next report of a child, as words.
pub(crate) async fn report(child: &mut Child) -> Vec<String> {
    child.next_report(PATIENCE).await.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn entry() {
    let Some(role) = role() else { return };
    let port: u16 = role.var("PORT").parse().unwrap();
    let ttl = ttl(role.var("TTL").parse().unwrap());
    let locks = connect(config(port), ttl).await;
    let lock = locks.mutex(role.var("NAME")).unwrap();
    let mut commands = role.commands();
    let task = role.var("TASK");
    let report = move |line: &str| role.report(line);
    match task.as_str() {
        "holder" => lab::holder(&lock, report, async || commands.recv().await).await,
        "crowd" => lab::crowd(&lock, report, async || commands.recv().await).await,
        other => panic!("no task {other:?}"),
    }
}
