//! The algorithm, on typed commands.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lockcore::record::ModeWord;
use lockcore::{
    Driver, Entry, EntryId, Error, ErrorKind, FencingToken, Guarantees, Inspection, LockName,
    LossCause, Mode, Renewed, Result, Rule, Sessions, Standing, Wake, Withdrawn,
};

use crate::client::{Client, Reply};
use crate::config::{BACKEND, RedisConfig};
use crate::inbox::Inbox;
use crate::keys::{Keys, claim, sole_holder};
use crate::script::Script;
use crate::seat::Seat;

/// The commands of a Redis store.
#[derive(Debug)]
pub(crate) struct RedisDriver {
    client: Arc<Client>,
    inbox: Arc<Inbox>,
    prefix: String,
    cap: String,
    /// The channel, and whether its listeners can be counted, as `acquire.lua` reads them.
    channel: String,
    guarantees: Guarantees,
}

impl RedisDriver {
    pub(crate) async fn connect(client: Client, config: &RedisConfig) -> Result<Self> {
        let client = Arc::new(client);
        client.connect().await?;
        let mut channel = config.prefix.clone();
        if !channel.is_empty() {
            channel.push(':');
        }
        // Not secret, only its own.
        let id = EntryId::random()?.as_u128() as u64;
        write!(channel, "wake:{id:016x}").expect("BUG: a string takes all");
        let unused = Keys::new(&config.prefix, &LockName::new(format!("probe/{id:016x}"))?);
        client.probe(&unused, &channel).await?;
        let counted = u8::from(client.counts_listeners());
        let inbox = Inbox::open(&client, channel.clone()).await?;
        Ok(Self {
            channel: format!(" {channel} {counted}"),
            guarantees: guarantees(&client),
            client,
            inbox,
            prefix: config.prefix.clone(),
            cap: config.limits.max_waiters.to_string(),
        })
    }

    /// Asks for the lock; `wait` is `try`, `check`, or how many may wait.
    async fn acquire(&self, seat: &Seat, wait: &str) -> Result<Standing> {
        let ttl = seat.ttl_ms.to_string();
        let is_plain = seat.mode == Mode::Exclusive && wait != CHECK;
        let mut rest = String::with_capacity(16 + wait.len() + self.channel.len());
        write!(rest, "{} {wait}{}", ModeWord(seat.mode), self.channel)
            .expect("BUG: a string takes all");
        let args = [seat.value(), &ttl, if is_plain { "x" } else { "" }, &rest];
        match self.client.run(Script::Acquire, &seat.keys, &args, seat.ttl_ms).await? {
            Reply::Number(0) => Ok(Standing::Busy),
            Reply::Number(number) if number < 0 => {
                let recheck = (number < -1).then(|| Duration::from_millis(number.unsigned_abs()));
                Ok(Standing::Queued { recheck })
            }
            Reply::Number(number) => {
                let token = FencingToken::new(number.unsigned_abs()).ok_or_else(unexpected)?;
                Ok(Standing::Granted(token))
            }
            Reply::Text(word) => Err(refusal(&word, seat)),
            _ => Err(unexpected()),
        }
    }

    /// Asks for the first time. A script that met a key of another type, or a command that the user
    /// may not run, has stopped where it was: what it had written is taken out again.
    async fn ask(&self, seat: &Seat, wait: &str) -> Result<Standing> {
        let answer = self.acquire(seat, wait).await;
        if let Err(error) = &answer
            && matches!(error.kind(), ErrorKind::Backend | ErrorKind::Unauthorized)
            && self.client.is_connected()
        {
            // It stops at the same place, after the entry is gone.
            let args = [seat.value()];
            let _ = self.client.run(Script::Release, &seat.keys, &args, seat.ttl_ms).await;
        }
        answer
    }

    async fn renew_alone(&self, seats: &[&Seat]) -> Vec<Result<Renewed>> {
        let locks: Vec<_> =
            seats.iter().map(|seat| (seat.keys.lock(), seat.owner(), seat.ttl_ms)).collect();
        let renewed = match self.client.renew(&locks).await {
            Ok(Reply::List(renewed)) if renewed.len() == seats.len() => renewed,
            Ok(_) => return seats.iter().map(|_| Err(unexpected())).collect(),
            Err(error) => return seats.iter().map(|_| Err(again(&error))).collect(),
        };
        renewed.into_iter().map(|reply| Ok(outcome(&reply))).collect()
    }

    async fn renew_shared(&self, seat: &Seat) -> Result<Renewed> {
        let args = [seat.id(), &seat.ttl_ms.to_string()];
        let reply = self.client.run(Script::RenewShared, &seat.keys, &args, seat.ttl_ms).await?;
        Ok(outcome(&reply))
    }
}

#[async_trait]
impl Driver for RedisDriver {
    type Session = Seat;

    fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    fn sessions(&self) -> Sessions {
        Sessions::PerGrant
    }

    async fn open(&self, entry: &Entry) -> Result<Seat> {
        Ok(Seat::new(&self.prefix, entry, &self.inbox))
    }

    async fn enqueue(&self, seat: &Seat, entry: &Entry) -> Result<Standing> {
        if !entry.waits() {
            let standing = self.ask(seat, TRY).await?;
            seat.was_free.store(true, SeqCst);
            return Ok(standing);
        }
        // Before the place in the queue: whom the store cannot reach keeps others waiting.
        self.inbox.ready().await?;
        let standing = self.ask(seat, &self.cap).await?;
        seat.was_free.store(matches!(standing, Standing::Granted(_)), SeqCst);
        Ok(standing)
    }

    async fn wake(&self, seat: &Seat, _entry: &Entry) -> Result<Wake> {
        Ok(seat.wake().await)
    }

    async fn check(&self, seat: &Seat, _entry: &Entry) -> Result<Standing> {
        self.acquire(seat, CHECK).await
    }

    async fn withdraw(&self, seat: &Seat, _entry: &Entry) -> Result<Withdrawn> {
        if seat.mode == Mode::Exclusive && seat.was_free.load(SeqCst) {
            let deleted =
                self.client.delete_if(seat.keys.lock(), seat.value(), seat.ttl_ms).await?;
            if deleted == Some(true) {
                return Ok(Withdrawn::Removed);
            }
        }
        let args = [seat.value()];
        match self.client.run(Script::Release, &seat.keys, &args, seat.ttl_ms).await? {
            Reply::Number(1) => Ok(Withdrawn::Removed),
            Reply::Number(0) => Ok(Withdrawn::Absent),
            _ => Err(unexpected()),
        }
    }

    async fn renew(&self, seats: &[Arc<Seat>]) -> Vec<Result<Renewed>> {
        let batch = if self.client.batches() { BATCH } else { 1 };
        let (alone, shared): (Vec<_>, Vec<_>) =
            seats.iter().enumerate().partition(|(_, seat)| seat.mode == Mode::Exclusive);
        let alone = alone.chunks(batch).map(|chunk| async move {
            let seats: Vec<&Seat> = chunk.iter().map(|(_, seat)| &***seat).collect();
            let answers = self.renew_alone(&seats).await;
            chunk.iter().map(|(place, _)| *place).zip(answers).collect::<Vec<_>>()
        });
        let shared = shared
            .into_iter()
            .map(|(place, seat)| async move { (place, self.renew_shared(seat).await) });
        let (alone, shared) = tokio::join!(join_all(alone), join_all(shared));
        let mut answers: Vec<_> = alone.into_iter().flatten().chain(shared).collect();
        answers.sort_unstable_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn end(&self, _seat: &Seat) -> Result<()> {
        Ok(())
    }

    async fn inspect(&self, name: &LockName) -> Result<Inspection> {
        let keys = Keys::new(&self.prefix, name);
        let reply = self.client.run(Script::Inspect, &keys, &[], 0).await?;
        picture(&reply).ok_or_else(unexpected)
    }

    async fn close(&self) {
        self.inbox.close();
        self.client.close();
    }
}

/// Reads what `inspect.lua` returns.
fn picture(reply: &Reply) -> Option<Inspection> {
    let Reply::List(parts) = reply else { return None };
    let texts = parts.iter().map(|part| match part {
        Reply::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect::<Option<_>>()?;
    let (value, last_token) = (texts.first()?, texts.get(1)?);
    let holder = value.strip_prefix('=').and_then(|value| sole_holder(value, last_token));
    let mut holders: Vec<_> = holder.into_iter().collect();
    let mut waiters = Vec::new();
    for pair in texts[2..].chunks_exact(2) {
        // One that was removed between two looks of the script has no record.
        let Some(claim) = claim(pair[1]) else { continue };
        if pair[0] == "holder" { holders.push(claim) } else { waiters.push(claim) }
    }
    holders.sort_by_key(|holder| holder.token());
    Some(Inspection::new(holders, waiters))
}

/// What the word of a script means.
fn refusal(word: &str, seat: &Seat) -> Error {
    match word.split_once(' ').unwrap_or((word, "")) {
        ("gone", _) => Error::lost(LossCause::Expired),
        ("full", _) => Error::new(
            ErrorKind::QueueFull,
            "as many wait for this name as `max_waiters` allows; nothing was queued",
        ),
        ("mixed", present) => {
            let wanted = seat.mode;
            let present = ModeWord::read(present)
                .map_or_else(|| "something else".to_owned(), |mode| mode.to_string());
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "this name is in use as {present} and cannot be taken as {wanted} meanwhile: \
                     all who use a name want the same kind of lock, and the same count of permits"
                ),
            )
        }
        _ => unexpected(),
    }
}

fn outcome(reply: &Reply) -> Renewed {
    match reply {
        Reply::Number(1) => Renewed::Kept,
        _ => Renewed::Gone(LossCause::Revoked),
    }
}

/// The same failure, for another one of its batch.
fn again(error: &Error) -> Error {
    let message = error.message().to_owned();
    match error.may_hold_until() {
        Some(until) => Error::indeterminate(until, message),
        None => Error::new(error.kind(), message),
    }
}

fn unexpected() -> Error {
    Error::new(
        ErrorKind::Backend,
        "the server answered something that it should not have: does another program write to the \
         keys of this prefix?",
    )
}

fn guarantees(client: &Client) -> Guarantees {
    let all = Guarantees::all(BACKEND)
        .except(
            Rule::R1,
            "a lock may be granted twice when the server loses the key: on a restart without \
             `appendonly yes` and `appendfsync always`, on FLUSHALL, on eviction under `maxmemory`, \
             on a failover to a replica that had not got the last writes yet, when its clock is \
             stepped forward, or when somebody deletes the key; the holder learns it with its next \
             renewal, and the fencing token rises all the same, so let the resource check it",
        )
        .except(
            Rule::R2,
            "tokens fall if the server loses the last one and its clock is set back behind it",
        )
        .except(
            Rule::R9,
            "the queue is lost where the lock is: those who waited are told, and may come again behind \
             others",
        );
    if client.counts_listeners() {
        return all;
    }
    all.except(
        Rule::R7,
        "in a cluster, a dead waiter whose turn comes before its TTL is over is granted the lock for \
         one TTL more",
    )
}

/// How to wait, in the words of `acquire.lua`.
const TRY: &str = "try";
const CHECK: &str = "check";
/// So many renewals go in one command: the server serves nobody else meanwhile, for less than a
/// millisecond.
const BATCH: usize = 200;
