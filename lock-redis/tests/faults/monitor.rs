//! What the server is asked.

use lock_testkit::{Flavour, Redis, RedisOptions};

use crate::stage::{FLAVOURS, config, connect, ms};

#[tokio::test]
async fn a_free_lock_costs_two_commands() {
    for flavour in FLAVOURS {
        let server = RedisOptions::new(flavour).start().await;
        let locks = connect(config(server.addr()), ms(60_000)).await;
        let lock = locks.mutex("name").unwrap();
        let release = if flavour == Flavour::Redis { "EVALSHA" } else { "DELIFEQ" };
        // Also the first time: whatever is to be known was asked when it connected.
        for _ in 0..2 {
            let commands = commands(&server, async {
                lock.lock().await.unwrap().release().await.unwrap();
            });
            assert_eq!(commands.await, ["EVALSHA", release], "{flavour:?}");
            let commands = commands_of_try(&server, &lock).await;
            assert_eq!(commands, ["EVALSHA", release], "{flavour:?}");
        }
    }
}

async fn commands_of_try(server: &Redis, lock: &lockcore::Mutex) -> Vec<String> {
    commands(server, async {
        lock.try_lock().await.unwrap().unwrap().release().await.unwrap();
    })
    .await
}

/// The names of all commands that the server gets from clients during `work`.
async fn commands(server: &Redis, work: impl Future<Output = ()>) -> Vec<String> {
    let mut monitor = server.resp().await;
    assert_eq!(monitor.command(&["MONITOR"]).await.as_str(), Some("OK"));
    work.await;
    server.resp().await.command(&["ECHO", END]).await;
    let mut commands = Vec::new();
    loop {
        let line = monitor.read().await.unwrap();
        // As `1700000000.123456 [0 127.0.0.1:5555] "GET" "key"`, with `lua` for the address of what
        // a script does.
        let line = line.as_str().unwrap();
        let (head, words) = line.split_once("] ").unwrap();
        if words.contains(END) {
            return commands;
        }
        if !head.ends_with(" lua") {
            let name = words.split('"').nth(1).unwrap();
            commands.push(name.to_ascii_uppercase());
        }
    }
}

const END: &str = "the-end-of-the-work";
