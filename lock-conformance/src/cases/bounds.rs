//! R14: names are apart. R15: everything is back at base. R16: nothing is swallowed or blurted out.

use lockcore::{BootInstant, ErrorKind, LockName, Locks, LossCause, Mode, Renewal};

use crate::stage::{Stage, permit};
use crate::time::{block, eventually, soon};

/// Names that some store somewhere would mix up, all held at once.
pub async fn r14_odd_names_are_apart(stage: &Stage) {
    let client = stage.client().await;
    let long = "x".repeat(LockName::MAX_LEN);
    let almost = format!("{}y", &long[1..]);
    let names = [
        "a",
        "A",
        "a/",
        "/a",
        "a/b",
        "a//b",
        "a/b/",
        "a/../a",
        "..",
        ".",
        "/",
        "//",
        "\\",
        "a:b",
        "a b",
        " a",
        "a ",
        "\0",
        "a\0",
        "a\0b",
        "\n",
        "a\nb",
        "a\r\nb",
        "\t",
        "*",
        "a*",
        "?",
        "[a]",
        "{a}",
        "a{b}c",
        "%",
        "%61",
        "%2F",
        "a%2Fb",
        "a,b",
        "a=b",
        "a&b",
        "#",
        "$",
        "\u{7f}",
        "🔒",
        "🔒🔒",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "İ",
        "i",
        "\u{202e}a",
        "\u{feff}a",
        "\u{fffd}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{f8ff}",
        "\u{fff0}",
        "\u{10ffff}",
        "zookeeper",
        "_c_",
        "lock-0000000000",
        "0",
        "-1",
        "null",
        "none",
        &long,
        &almost,
    ];
    let mut leases = Vec::new();
    for name in names {
        let name = LockName::new(name).expect("a name");
        let request = stage.request_for(&name, Mode::Exclusive);
        let lease = stage.take(&client, &request).await;
        assert_eq!(lease.name(), &name);
        leases.push((request, lease));
    }
    for (request, lease) in &leases {
        assert!(stage.is_busy(&client, request).await, "{:?} is not held", request.name());
        let picture = client.lock.inspect(request.name()).await.expect("inspect");
        let [holder] = picture.holders() else { panic!("{:?}: {picture:?}", request.name()) };
        assert_eq!(holder.token(), Some(lease.token()), "{:?} shows another", request.name());
    }
    for (_, lease) in leases {
        stage.give_back(lease).await;
    }
}

/// Three hundred random names, all held at once.
pub async fn r14_random_names_are_apart(stage: &Stage) {
    let client = stage.client().await;
    let alphabet: Vec<char> = "ab/.:%*\0\n é🔒{}[]".chars().collect();
    let mut names = std::collections::BTreeSet::new();
    while names.len() < 300 {
        let len = fastrand::usize(1..=4);
        names.insert(
            (0..len).map(|_| *fastrand::choice(&alphabet).expect("some")).collect::<String>(),
        );
    }
    let mut leases = Vec::new();
    for name in &names {
        let name = LockName::new(name).expect("a name");
        leases.push(stage.take(&client, &stage.request_for(&name, Mode::Exclusive)).await);
    }
    for lease in leases {
        stage.give_back(lease).await;
    }
}

/// What is no name says why.
pub async fn r14_what_is_no_name_is_refused(stage: &Stage) {
    let locks = Locks::from_arc(stage.client().await.lock);
    for bad in [String::new(), "x".repeat(513), "é".repeat(257)] {
        let error = locks.mutex(&bad).expect_err("no name");
        assert_eq!(error.kind(), ErrorKind::InvalidName);
        assert!(error.to_string().contains("1 to 512 bytes"), "{error}");
        assert_eq!(locks.inspect(&bad).await.expect_err("no name").kind(), ErrorKind::InvalidName);
    }
}

/// After a thousand cycles of all kinds the store is empty.
pub async fn r15_cycles_leave_nothing(stage: &Stage) {
    let client = stage.client().await;
    let modes = [Mode::Exclusive, Mode::Shared, permit(2)];
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..10 {
        let name = LockName::new(format!("{}/{}", stage.name(), task % 4)).expect("a name");
        // One kind for each name.
        let mode = if task % 4 == 3 { modes[2] } else { modes[task % 2] };
        let (lock, request) = (client.lock.clone(), stage.request_for(&name, mode));
        tasks.spawn(async move {
            for round in 0..100 {
                match round % 4 {
                    0 => drop(lock.try_lock(&request).await.expect("try_lock")),
                    1 => drop(lock.lock(&request).await.expect("lock")),
                    2 => drop(
                        tokio::time::timeout(std::time::Duration::ZERO, lock.lock(&request)).await,
                    ),
                    _ => {
                        let lease = lock.lock(&request).await.expect("lock");
                        lease.release().await.expect("held");
                    }
                }
            }
        });
    }
    while let Some(done) = soon("all cycles end", tasks.join_next()).await {
        done.expect("no panic");
    }
    stage.nothing_is_left().await;
}

/// As many may wait as configured; the next one is told so, and leaves nothing.
pub async fn r15_waiters_are_capped(stage: &Stage) {
    let client = stage.client_with_waiters(3).await;
    let holder = stage.take(&client, &stage.exclusive()).await;
    let mut waiters = Vec::new();
    for waiting in 1..=3 {
        waiters.push(stage.spawn_wait(&client, &stage.exclusive()));
        stage.queue_has(&client, waiting).await;
    }
    let error = soon("lock", client.lock.lock(&stage.exclusive())).await.expect_err("full");
    assert_eq!(error.kind(), ErrorKind::QueueFull, "{error}");
    assert!(stage.is_busy(&client, &stage.exclusive()).await, "a full queue is busy, not an error");
    stage.queue_has(&client, 3).await;
    waiters[0].abort();
    stage.queue_has(&client, 2).await;
    waiters.push(stage.spawn_wait(&client, &stage.exclusive()));
    stage.queue_has(&client, 3).await;
    stage.give_back(holder).await;
    for waiter in waiters.drain(1..) {
        let lease = soon("a turn", waiter).await.expect("no panic").expect("granted");
        stage.give_back(lease).await;
    }
}

/// A shutdown ends those who wait, takes back what is held, and leaves other clients alone.
pub async fn r15_a_shutdown_leaves_nothing(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    let held = stage.take(&client, &stage.exclusive()).await;
    let ours = stage.spawn_wait(&client, &stage.exclusive());
    stage.queue_has(&other, 1).await;
    let theirs = stage.spawn_wait(&other, &stage.exclusive());
    stage.queue_has(&other, 2).await;

    soon("shutdown", client.lock.shutdown()).await.expect("shutdown");
    assert!(!held.is_held(), "held after the shutdown");
    assert_eq!(soon("the loss", held.lost()).await, LossCause::Shutdown);
    assert!(held.deadline() <= BootInstant::now(), "a deadline to come");
    let error = held.release().await.expect_err("lost");
    assert_eq!((error.kind(), error.loss_cause()), (ErrorKind::NotHeld, Some(LossCause::Shutdown)));
    let error = soon("the waiter ends", ours).await.expect("no panic").expect_err("shut down");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let lease = soon("the other client goes on", theirs).await.expect("no panic").expect("granted");
    assert_eq!(stage.harness().records().await, 1);
    stage.give_back(lease).await;
}

/// Everything but another shutdown is refused after one.
pub async fn r15_use_after_shutdown_is_refused(stage: &Stage) {
    let client = stage.client().await;
    soon("shutdown", client.lock.shutdown()).await.expect("shutdown");
    soon("shutdown", client.lock.shutdown()).await.expect("a second shutdown is no error");
    for result in [
        soon("try_lock", client.lock.try_lock(&stage.exclusive())).await.map(|_| ()),
        soon("lock", client.lock.lock(&stage.exclusive())).await.map(|_| ()),
        soon("inspect", client.lock.inspect(stage.name())).await.map(|_| ()),
    ] {
        let error = result.expect_err("shut down");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(!error.backend().is_empty() && !error.operation().is_empty(), "{error:?}");
    }
}

/// What drops asked for has left when the shutdown returns.
pub async fn r15_a_shutdown_waits_for_drops(stage: &Stage) {
    let (client, other) = (stage.client().await, stage.client().await);
    for number in 0..50 {
        let name = LockName::new(format!("{}/{number}", stage.name())).expect("a name");
        drop(stage.take(&client, &stage.request_for(&name, Mode::Exclusive)).await);
    }
    let last = stage.take(&client, &stage.exclusive()).await;
    // What leaves slowly would be overtaken by a shutdown that does not wait.
    if let Some(link) = &client.link {
        link.delay(std::time::Duration::from_millis(20), std::time::Duration::ZERO).await;
    }
    drop(last);
    soon("shutdown", client.lock.shutdown()).await.expect("shutdown");
    assert_eq!(stage.harness().records().await, 0, "a dropped lock is still there");
    stage.give_back(stage.take(&other, &stage.exclusive()).await).await;
}

/// Dropped outside a runtime, and while a panic unwinds: given back all the same.
pub async fn r15_a_guard_is_given_back_wherever_it_drops(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    let thread = std::thread::spawn(move || drop(lease));
    tokio::task::spawn_blocking(|| thread.join().expect("no panic")).await.expect("joined");
    stage.is_free(&client).await;

    let lease = stage.take(&client, &stage.exclusive()).await;
    let task = tokio::spawn(async move {
        let _held = lease;
        // No message in the log of the tests.
        std::panic::resume_unwind(Box::new("with a lock in hand"));
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
    stage.is_free(&client).await;
    stage.give_back(stage.take(&client, &stage.exclusive()).await).await;
}

/// Work under a lock is dropped when the lock is lost, and its result is kept when it is not.
pub async fn r16_run_tells_what_became_of_the_work(stage: &Stage) {
    let locks = Locks::from_arc(stage.client().await.lock);
    let mutex = locks.mutex(stage.name()).expect("a name");
    let token = soon("run", mutex.run(async |held| held.token())).await.expect("not lost");
    let brief = mutex.clone().ttl(stage.short_ttl().as_duration()).renewal(Renewal::Never);
    let (sender, mut dropped) = tokio::sync::oneshot::channel::<()>();
    let lost = brief.run(async move |held| {
        assert!(held.is_held() && held.token() > token);
        let _sender = sender;
        std::future::pending::<()>().await;
    });
    let error = soon("the loss ends the work", lost).await.expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(error.loss_cause(), Some(LossCause::Expired));
    assert!(
        dropped
            .try_recv()
            .is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed)
    );
    // The work was dropped and the lock given back: the next one does not wait for the TTL.
    soon("run", mutex.run(async |_| ())).await.expect("free");
    // Work that could not be dropped in time is told how the lock was lost all the same.
    let ttl = stage.short_ttl().as_duration();
    let error = brief.run(async |_| block(ttl)).await.expect_err("lost");
    assert_eq!((error.kind(), error.loss_cause()), (ErrorKind::Lost, Some(LossCause::Expired)));
}

/// Busy is `None`; an error is an error with a kind, a place and a text.
pub async fn r16_busy_is_no_error(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    for mode in [Mode::Exclusive, Mode::Shared] {
        let answer = client.lock.try_lock(&stage.request(mode)).await;
        assert!(answer.expect("busy is no error").is_none());
    }
    let error = client.lock.try_lock(&stage.request(permit(2))).await.expect_err("another kind");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidConfig, "try_lock"));
    assert_eq!(error.backend(), client.lock.guarantees().backend());
    assert!(error.to_string().starts_with(error.backend()), "{error}");
    stage.give_back(lease).await;
}

/// A store that cannot be reached is never taken for a busy lock.
pub async fn r16_an_error_is_not_busy(stage: &Stage) {
    let (client, link) = stage.client_on_a_link().await;
    link.refuse(true).await;
    assert!(client.lock.try_lock(&stage.exclusive()).await.is_err(), "an error looks like busy");
    assert!(client.lock.inspect(stage.name()).await.is_err());
    link.refuse(false).await;
}

/// Nothing that is printed holds what ends a lock: the owner's id.
pub async fn r16_debug_shows_no_id(stage: &Stage) {
    let client = stage.client().await;
    let lease = stage.take(&client, &stage.exclusive()).await;
    let locks = Locks::from_arc(client.lock.clone());
    let mutex = locks.mutex("another").expect("a name");
    let guard = mutex.lock().await.expect("free");
    let printed = format!("{lease:?} {:?} {guard:?} {mutex:?} {locks:?}", client.lock);
    eventually("the store shows the holder", || async { !stage.inspect(&client).await.is_free() })
        .await;
    let printed = format!("{printed} {:?}", stage.inspect(&client).await);
    let hex = printed.split(|letter: char| !letter.is_ascii_hexdigit());
    // 128 bits: 32 hexadecimal or 39 decimal digits. The case's own name has 16.
    let longest = hex.map(str::len).max().unwrap_or(0);
    assert!(longest < 30, "this looks like an id: {printed}");
    guard.release().await.expect("held");
    stage.give_back(lease).await;
}
