//! Processes that are killed or frozen.

use std::time::{Duration, Instant};

use lock_conformance::time::{pause, soon};
use lockcore::{FencingToken, Gate};

use crate::children::{report, spawn};
use crate::stage::{
    config, connect, key, ms, only_fences, redis, until_listening, until_waiting, value, waiting,
};

#[tokio::test]
async fn a_holder_that_is_killed_is_replaced_after_its_ttl() {
    let server = redis().await;
    let mut holder = spawn("holder", server.port(), "name", 1_500);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let token = granted(&report(&mut holder).await);

    let locks = connect(config(server.addr()), ms(1_500)).await;
    let lock = locks.mutex("name").unwrap();
    let waiter = tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) });
    until_waiting(&server, "name", 1).await;
    // Past the first TTL: it lives on because its process renews it.
    pause(ms(1_600)).await;
    assert!(!waiter.is_finished(), "granted while the holder lived");

    holder.kill();
    let killed = Instant::now();
    let mut resp = server.resp().await;
    let asked = Instant::now();
    let left = resp.command(&["PTTL", &key("name")]).await.as_int().unwrap();
    let left = Duration::from_millis(left.try_into().unwrap());
    assert!(left <= ms(1_500), "{left:?}");

    let (guard, granted) = soon("the waiter is granted", waiter).await.unwrap();
    // The server rounds to milliseconds, and reads its clock before it runs a command.
    let earliest = asked + left - Duration::from_millis(2);
    assert!(granted >= earliest, "{:?} before the TTL was over", earliest - granted);
    let took = granted - killed;
    assert!(took <= ms(2_500), "granted {took:?} after the kill");
    assert!(guard.token() > token, "{} after {token}", guard.token());
    guard.release().await.unwrap();
    only_fences(&server, "name").await;
}

#[tokio::test]
async fn a_holder_that_was_frozen_knows_that_it_is_not_one_any_more() {
    let server = redis().await;
    let mut holder = spawn("holder", server.port(), "name", 1_000);
    assert_eq!(report(&mut holder).await, ["ready"]);
    let old = granted(&report(&mut holder).await);

    // Two counters that the lock protects, one of them behind a gate.
    let (mut fenced, mut unfenced) = (Counter::default(), Counter::default());
    let mut gate = Gate::new();
    assert!(gate.admit("counter", old).is_ok());
    let (old_fenced, old_unfenced) = (fenced.value, unfenced.value);
    holder.pause();
    let frozen = Instant::now();

    let locks = connect(config(server.addr()), ms(10_000)).await;
    let guard = soon("the next one", locks.mutex("name").unwrap().lock()).await.unwrap();
    assert!(guard.token() > old);
    assert!(gate.admit("counter", guard.token()).is_ok());
    fenced.write(fenced.value + 1);
    unfenced.write(unfenced.value + 1);
    pause(ms(2_200).saturating_sub(frozen.elapsed())).await;

    // It lies in the pipe before the process goes on, so it is the first that it does.
    holder.send("is_held");
    holder.send("release");
    holder.resume();
    assert_eq!(report(&mut holder).await, ["false"]);
    // It did not ask before it wrote, and finishes what it had begun.
    unfenced.write(old_unfenced + 1);
    if gate.admit("counter", old).is_ok() {
        fenced.write(old_fenced + 1);
    }
    assert_eq!(report(&mut holder).await, ["not_held"]);

    // Nobody freed the lock of the one who has it, who goes on.
    assert!(guard.is_held());
    assert!(value(&server, "name").await.is_some(), "the old holder freed the new one's lock");
    guard.release().await.unwrap();
    assert_eq!((fenced.value, fenced.writes), (1, 1), "the frozen holder wrote past the gate");
    assert_eq!((unfenced.value, unfenced.writes), (1, 2), "without a gate an update is lost");
    only_fences(&server, "name").await;
}

/// The server cannot tell a client that has died from one that connects again.
#[tokio::test]
async fn a_waiter_that_is_killed_at_the_head_holds_others_up_until_its_place_is_over() {
    const PLACE_MS: u64 = 3_000;
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(20_000)).await;
    let holder = locks.mutex("name").unwrap().lock().await.unwrap();
    let mut head = spawn("holder", server.port(), "name", PLACE_MS);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_waiting(&server, "name", 1).await;

    let behind = connect(config(server.addr()), ms(20_000)).await;
    let mut waiters = Vec::new();
    for place in 2..4 {
        let lock = behind.mutex("name").unwrap();
        waiters.push(tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) }));
        until_waiting(&server, "name", place).await;
    }
    until_listening(&server, 3).await;
    head.kill();
    let killed = Instant::now();
    until_listening(&server, 2).await;
    // The dead one is still the first in the queue: nothing has served it or thrown it out.
    assert_eq!(waiting(&mut server.resp().await, "name").await, 3);

    let mut last = holder.token();
    holder.release().await.unwrap();
    assert!(locks.mutex("name").unwrap().try_lock().await.unwrap().is_none(), "its turn was given");
    let mut released = None;
    for waiter in waiters {
        let (guard, granted) = soon("the next one is granted", waiter).await.unwrap();
        // It looked for the last time a third of a TTL, and what pauses vary, before it was killed.
        // Those behind it look every five seconds, so somebody told the next one when that is.
        let (from, to) = match released {
            None => (killed + ms(PLACE_MS / 2), killed + ms(PLACE_MS + 1_000)),
            Some(released) => (released, released + ms(1_000)),
        };
        assert!(granted >= from, "granted {:?} too early", from - granted);
        assert!(granted <= to, "granted {:?} too late", granted - to);
        assert!(guard.token() > last);
        last = guard.token();
        released = Some(Instant::now());
        guard.release().await.unwrap();
    }
}

/// Its connections are open, so the server takes it for one that listens.
#[tokio::test]
async fn a_waiter_that_is_frozen_until_its_place_is_over_holds_nobody_up() {
    let server = redis().await;
    let locks = connect(config(server.addr()), ms(60_000)).await;
    let holder = locks.mutex("name").unwrap().lock().await.unwrap();
    let mut head = spawn("holder", server.port(), "name", 1_000);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_waiting(&server, "name", 1).await;
    let lock = locks.mutex("name").unwrap();
    let waiter = tokio::spawn(async move { (lock.lock().await.unwrap(), Instant::now()) });
    until_waiting(&server, "name", 2).await;
    head.pause();
    pause(ms(1_100)).await;

    let released = Instant::now();
    holder.release().await.unwrap();
    let (guard, granted) = soon("the next one is granted", waiter).await.unwrap();
    let took = granted - released;
    assert!(took < ms(800), "granted {took:?} after the release");
    head.resume();
    assert_eq!(report(&mut head).await, ["failed", "Lost"]);
    assert!(guard.is_held());
    guard.release().await.unwrap();
    only_fences(&server, "name").await;
}

/// The news of its grant lies in its socket until it is over.
#[tokio::test]
async fn a_waiter_that_was_frozen_when_its_turn_came_does_not_believe_in_it() {
    let server = redis().await;
    let config = config(server.addr()).recheck(ms(200)).unwrap();
    let locks = connect(config, ms(60_000)).await;
    let holder = locks.mutex("name").unwrap().lock().await.unwrap();
    let mut head = spawn("holder", server.port(), "name", 1_000);
    assert_eq!(report(&mut head).await, ["ready"]);
    until_waiting(&server, "name", 1).await;
    let lock = locks.mutex("name").unwrap();
    let waiter = tokio::spawn(async move { lock.lock().await.unwrap() });
    until_waiting(&server, "name", 2).await;
    head.pause();
    holder.release().await.unwrap();
    assert_eq!(waiting(&mut server.resp().await, "name").await, 1, "it was not its turn");
    assert!(value(&server, "name").await.is_some(), "it was not granted");

    // The other one gets it after one TTL, and has it when the first one goes on.
    let guard = soon("the next one is granted", waiter).await.unwrap();
    let owner = value(&server, "name").await;
    head.resume();
    assert_eq!(report(&mut head).await, ["failed", "Lost"]);
    assert!(guard.is_held());
    assert_eq!(value(&server, "name").await, owner, "it freed the lock of another");
    guard.release().await.unwrap();
    only_fences(&server, "name").await;
}

/// Something that is read, and written later.
#[derive(Default)]
struct Counter {
    value: u32,
    writes: u32,
}

impl Counter {
    fn write(&mut self, value: u32) {
        self.value = value;
        self.writes += 1;
    }
}

fn granted(report: &[String]) -> FencingToken {
    assert_eq!(report[0], "granted", "{report:?}");
    FencingToken::new(report[1].parse().unwrap()).unwrap()
}
