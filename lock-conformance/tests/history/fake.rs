//! The fake store, judged by nothing but the logs of those who use it: sound as it is, caught when it
//! is broken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lock_conformance::fake::{FakeClient, FakeStore, Flaw};
use lock_conformance::history::{Ask, Attempt, Fact, Journal, Patience, Tolerance, Verdict, judge};
use lock_conformance::permit;
use lock_conformance::time::{pause, scaled, soon};
use lockcore::{
    BootInstant, EngineConfig, Gate, Lease, Lock as _, LockName, Mode, Renewal, Request, Result,
    Rule, Sessions, TryLock as _, Ttl,
};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// A store, and what is asked of it.
#[derive(Clone, Copy)]
struct Run {
    sessions: Sessions,
    flaw: Option<Flaw>,
    /// The mode that a worker asks for, by its number.
    mode: fn(usize) -> Mode,
    renewal: Renewal,
    /// For how long a worker holds what it has got, if it is not lost before.
    hold: Duration,
    workers: usize,
    /// How many locks each worker wants.
    rounds: usize,
}

const MUTEX: Run = Run {
    sessions: Sessions::PerGrant,
    flaw: None,
    mode: |_| Mode::Exclusive,
    renewal: Renewal::Auto,
    hold: Duration::from_millis(5),
    workers: 6,
    rounds: 5,
};
const READERS: Run =
    Run { mode: |worker| if worker % 3 == 0 { Mode::Exclusive } else { Mode::Shared }, ..MUTEX };
const PERMITS: Run = Run { mode: |_| permit(2), ..MUTEX };
const ONCE: Run = Run { workers: 2, rounds: 1, ..MUTEX };
const EXPIRY: Run = Run { renewal: Renewal::Never, hold: Duration::from_secs(60), ..ONCE };

impl Run {
    fn with(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// Workers with a client and a log each, and somebody who looks at the queue all the while.
    async fn verdict(self) -> Verdict {
        let (store, dir) =
            (FakeStore::flawed(self.sessions, self.flaw), tempfile::tempdir().unwrap());
        let resource = Arc::new(Mutex::new((Gate::new(), 0)));
        let mut workers = JoinSet::new();
        for number in 0..self.workers {
            let journal = journal(dir.path(), &format!("w{number}"));
            let request = Request::new(LockName::new("name").unwrap(), (self.mode)(number));
            let request = request.with_ttl(Ttl::new(scaled(TTL)).unwrap()).unwrap();
            let request = request.with_renewal(self.renewal).unwrap();
            let (client, resource) = (client(&store), resource.clone());
            workers.spawn(Worker { journal, client, resource, request, run: self }.work());
        }
        let (watch, eye) = (journal(dir.path(), "watch"), client(&store));
        let look = async {
            loop {
                watch.saw(&eye.engine.inspect(&LockName::new("name").unwrap()).await.unwrap());
                pause(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = soon("the workers end", workers.join_all()) => {}
            () = look => {}
        }
        let tolerance = Tolerance { signal: scaled(TTL), recovery: scaled(RECOVERY) };
        judge(dir.path(), tolerance).unwrap()
    }
}

struct Worker {
    journal: Journal,
    client: FakeClient,
    resource: Arc<Mutex<(Gate, u64)>>,
    request: Request,
    run: Run,
}

impl Worker {
    async fn work(self) {
        let long = Patience::For(scaled(RECOVERY * 3));
        let short = Patience::For(Duration::from_millis(2));
        for round in 0..self.run.rounds {
            let patience = [long, Patience::None, short, long, long][round % 5];
            let attempt = self.journal.attempt();
            match self.ask(&attempt, patience).await.unwrap() {
                Some(lease) => self.hold(&attempt, lease).await,
                // Nobody gets it any more.
                None if patience == long => return,
                None => {}
            }
        }
    }

    async fn ask(&self, attempt: &Attempt, patience: Patience) -> Result<Option<Box<dyn Lease>>> {
        let request = self.request.clone().with_owner(Some(attempt.label()?));
        let lock = &self.client.engine;
        attempt.asks(Ask::of(&request, patience));
        let outcome = match patience {
            Patience::For(time) => match tokio::time::timeout(time, lock.lock(&request)).await {
                Ok(outcome) => outcome.map(Some),
                Err(_) => Ok(None),
            },
            Patience::None => lock.try_lock(&request).await,
            Patience::Forever => lock.lock(&request).await.map(Some),
        };
        attempt.answered(patience, &outcome);
        outcome
    }

    async fn hold(&self, attempt: &Attempt, lease: Box<dyn Lease>) {
        let until = BootInstant::now().saturating_add(self.run.hold);
        while BootInstant::now() < until && attempt.look(&lease) {
            self.write(attempt, &*lease).await;
            pause(Duration::from_millis(1)).await;
        }
        let _ = attempt.release(lease).await;
    }

    /// Writes to what the lock protects.
    async fn write(&self, attempt: &Attempt, lease: &dyn Lease) {
        let mut resource = self.resource.lock().await;
        let (gate, writes) = &mut *resource;
        let token = lease.token();
        match gate.admit("resource", token) {
            Ok(()) => {
                *writes += 1;
                attempt.log(Fact::Wrote { token: Some(token), place: *writes });
            }
            Err(stale) => attempt.log(Fact::Refused { token, newest: stale.newest() }),
        }
    }
}

fn journal(dir: &Path, process: &str) -> Journal {
    let file = dir.join(process).with_extension(Journal::EXTENSION);
    Journal::create(file, process).unwrap()
}

fn client(store: &FakeStore) -> FakeClient {
    let limit = scaled(Duration::from_millis(250));
    store.client(EngineConfig::new().request_timeout(limit).recheck(limit), None)
}

#[tokio::test]
async fn the_store_is_sound() {
    for sessions in [Sessions::PerGrant, Sessions::Shared, Sessions::Connection] {
        for run in [MUTEX, READERS, PERMITS] {
            let verdict = Run { sessions, ..run }.verdict().await;
            assert!(verdict.is_sound(), "{sessions:?}: {verdict}");
            assert_eq!((verdict.expected.len(), verdict.unknown), (0, 0), "{verdict}");
            assert!(verdict.grants.len() >= run.workers * 3, "{verdict}");
            assert!(verdict.outcomes["wrote"] >= verdict.grants.len() / 2, "{verdict}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_broken_is_caught() {
    for (run, flaw, rule) in [
        (MUTEX, Flaw::GrantsOnWake, Rule::R1),
        (EXPIRY, Flaw::ExpiresEarly, Rule::R1),
        (PERMITS, Flaw::OnePermitMore, Rule::R1),
        (MUTEX, Flaw::ReusesTokens, Rule::R2),
        (ONCE, Flaw::LosesWakeUps, Rule::R8),
        (MUTEX, Flaw::LastComeFirstServed, Rule::R9),
        (READERS, Flaw::ReaderOvertakesWriter, Rule::R10),
    ] {
        let verdict = run.with(flaw).verdict().await;
        let caught = verdict.contradictions.iter().find(|finding| finding.rule == rule);
        let caught =
            caught.unwrap_or_else(|| panic!("{flaw:?} is not caught by {rule}\n{verdict}"));
        println!("{flaw:?} is caught by {caught}");
    }
}

const TTL: Duration = Duration::from_millis(600);
const RECOVERY: Duration = Duration::from_millis(600);
