//! What a process of its own does.

use std::sync::Arc;

use lock_testkit::child::{Child, Commands, Role, role};
use lockcore::{BootInstant, ErrorKind, Guard, Locks, Result};

use crate::stage::{PATIENCE, config, connect, ttl};

/// A process that does `task` on the lock `name`.
pub(crate) fn spawn(task: &str, port: u16, name: &str, millis: u64) -> Child {
    let (port, millis) = (port.to_string(), millis.to_string());
    let variables = [("TASK", task), ("PORT", &port), ("NAME", name), ("TTL", &millis)];
    Child::spawn("children::entry", &variables)
}

/// The next report of a child, as words.
pub(crate) async fn report(child: &mut Child) -> Vec<String> {
    child.next_report(PATIENCE * 3).await.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn entry() {
    let Some(role) = role() else { return };
    let port: u16 = role.var("PORT").parse().unwrap();
    let ttl = ttl(role.var("TTL").parse().unwrap());
    let locks = connect(config(port), ttl).await;
    let commands = role.commands();
    match role.var("TASK").as_str() {
        "holder" => hold(&role, &locks, commands).await,
        "crowd" => crowd(&Arc::new(role), &locks, commands).await,
        other => panic!("no task {other:?}"),
    }
}

/// Takes the lock, says its token, and does what it is told.
async fn hold(role: &Role, locks: &Locks, mut commands: Commands) {
    let lock = locks.mutex(role.var("NAME")).unwrap();
    role.report("ready");
    let mut guard = match lock.lock().await {
        Ok(guard) => {
            role.report(&format!("granted {}", guard.token()));
            Some(guard)
        }
        Err(error) => return role.report(&format!("failed {:?}", error.kind())),
    };
    while let Some(command) = commands.recv().await {
        let held = |guard: &Guard| guard.is_held();
        match command.as_str() {
            "is_held" => role.report(&guard.as_ref().is_some_and(held).to_string()),
            "release" => role.report(kind(&guard.take().unwrap().release().await)),
            other => panic!("no command {other:?}"),
        }
    }
}

/// Sends one task into the queue for each number that it hears; each says its number, its token and
/// when it was granted, and gives the lock back.
async fn crowd(role: &Arc<Role>, locks: &Locks, mut commands: Commands) {
    let lock = locks.mutex(role.var("NAME")).unwrap();
    role.report("ready");
    while let Some(number) = commands.recv().await {
        let (role, lock) = (role.clone(), lock.clone());
        tokio::spawn(async move {
            match lock.lock().await {
                Ok(guard) => {
                    let granted = BootInstant::now().as_nanos();
                    role.report(&format!("{number} {} {granted}", guard.token()));
                    guard.release().await.unwrap();
                }
                Err(error) => role.report(&format!("{number} failed: {error}")),
            }
        });
    }
}

fn kind<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) if error.kind() == ErrorKind::NotHeld => "not_held",
        Err(_) => "failed",
    }
}
