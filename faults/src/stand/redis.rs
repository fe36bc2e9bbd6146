//! One Redis, which answers a write when it is on the disk.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use fastrand::Rng;
use lock_testkit::{Flavour, Proxy, Redis as Server, Swallow};
use tokio::time::sleep;

use super::{Stand, Step, Terms};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::way::{Held, Swallowed, Way};

pub(crate) struct Redis {
    server: Server,
    clock: Clock,
}

impl Redis {
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        let clock = Clock::new(dir.join("server.clock"))?;
        let mut options = Server::options(Flavour::Redis).append_only().user(&rights("+@all"));
        for (name, value) in clock.variables() {
            options = options.variable(name, &value);
        }
        Ok(Self { server: options.start().await, clock })
    }

    async fn command(&self, words: &[&str]) -> lock_testkit::Value {
        self.server.resp().await.command(words).await
    }

    /// How often the server has answered with this error.
    async fn errors(&self, code: &str) -> u64 {
        let info = self.command(&["INFO", "errorstats"]).await;
        let start = format!("errorstat_{code}:count=");
        let lines = info.as_str().unwrap_or_default().lines();
        lines.filter_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok()).sum()
    }

    /// Does `begin`, lets the workers meet the errors of this code, and does `end`.
    async fn refuses(&self, code: &str, begin: &[&[&str]], end: &[&[&str]]) -> Result<String> {
        let before = self.errors(code).await;
        for words in begin {
            self.command(words).await;
        }
        sleep(self.ttl().mul_f64(1.5)).await;
        for words in end {
            self.command(words).await;
        }
        let met = self.errors(code).await - before;
        ensure!(met > 0, "nobody met {code}");
        Ok(format!("{met} times {code}"))
    }

    /// The clock of the server, against ours, in seconds.
    async fn offset(&self) -> Result<i64> {
        let time = self.command(&["TIME"]).await;
        let seconds = time.as_slice().and_then(|parts| parts.first()?.as_str());
        let seconds: i64 = seconds.context("TIME has seconds")?.parse()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(seconds - i64::try_from(now)?)
    }

    async fn steps_its_clock(&self) -> Result<String> {
        let mut seen = Vec::new();
        for hours in [1, -1, 0] {
            self.clock.step(hours)?;
            sleep(CLOCK_IS_READ).await;
            seen.push(self.offset().await?);
        }
        let hour = 3_500..3_700;
        ensure!(hour.contains(&seen[0]) && hour.contains(&-seen[1]), "it was off by {seen:?} s");
        Ok(format!("off by {} s and {} s", seen[0], seen[1]))
    }
}

#[async_trait]
impl Stand for Redis {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    async fn way(&self) -> Way {
        let bytes = vec![Proxy::resp(self.server.addr()).await];
        Way { bytes, ..Way::none() }
    }

    fn url(&self, way: &Way) -> String {
        format!("redis://{USER}:{PASSWORD}@{}?request_timeout=400ms&recheck=300ms", way.hosts())
    }

    fn swallow(&self, way: &Way, step: Step) -> Swallowed {
        let swallow = |proxy: &Proxy| {
            proxy.swallow_reply_then(Swallow::ThenReset, move |words: &[Bytes]| is(step, words))
        };
        Swallowed::Frames(way.bytes.iter().map(swallow).collect())
    }

    fn hold_renewals(&self, way: &Way) -> Held {
        let hold = |proxy: &Proxy| proxy.hold_replies(|words: &[Bytes]| is(Step::Renew, words));
        Held::Frames(way.bytes.iter().map(hold).collect())
    }

    async fn strike(&self, fault: Fault, form: &str, name: &str, _: &mut Rng) -> Result<String> {
        let key = format!("leasehold:{name}");
        match fault {
            Fault::ServerPaused => {
                self.server.pause();
                let short = form == "less than a TTL";
                sleep(self.ttl().mul_f64(if short { 0.4 } else { 2.0 })).await;
                self.server.resume();
                Ok("the process stood still".to_owned())
            }
            Fault::ServerKilled => {
                let old = self.server.pid();
                self.server.kill();
                self.server.restart().await;
                Ok(format!("process {old} is now {}", self.server.pid()))
            }
            Fault::DataLost if form == "restart" => {
                self.server.kill();
                self.server.restart_empty().await;
                Ok("it came back empty".to_owned())
            }
            Fault::DataLost => {
                self.command(&["FLUSHALL"]).await;
                Ok("FLUSHALL".to_owned())
            }
            Fault::RecordRemoved => {
                let words: &[&str] =
                    if form == "delete" { &["DEL", &key] } else { &["PEXPIRE", &key, "1"] };
                let removed = self.command(words).await.as_int();
                ensure!(removed == Some(1), "no {key} was there");
                Ok(words[0].to_owned())
            }
            Fault::ServerClock => self.steps_its_clock().await,
            Fault::Housekeeping if form == "script flush" => {
                self.command(&["SCRIPT", "FLUSH"]).await;
                Ok("SCRIPT FLUSH".to_owned())
            }
            Fault::Housekeeping => {
                self.command(&["CLIENT", "PAUSE", "300", "ALL"]).await;
                sleep(Duration::from_millis(400)).await;
                Ok("CLIENT PAUSE 300".to_owned())
            }
            Fault::ServerFull => {
                let full: &[&[&str]] = &[
                    &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
                    &["CONFIG", "SET", "maxmemory", "1mb"],
                ];
                self.refuses("OOM", full, &[&["CONFIG", "SET", "maxmemory", "0"]]).await
            }
            Fault::AuthRevoked => {
                let no = &["ACL", "SETUSER", USER, "-@all"];
                self.refuses("NOPERM", &[no], &[&["ACL", "SETUSER", USER, "+@all"]]).await
            }
            _ => anyhow::bail!("BUG: {fault} is not of the server"),
        }
    }

    fn deafen(&self, way: &mut Way) {
        way.bytes.iter().for_each(|proxy| proxy.drop_notifications(true));
    }

    fn hear(&self, way: &mut Way) -> u64 {
        way.bytes.iter().for_each(|proxy| proxy.drop_notifications(false));
        way.bytes.iter().map(Proxy::notifications_lost).sum()
    }

    async fn left(&self) -> Vec<String> {
        let keys = self.command(&["KEYS", "leasehold*"]).await;
        let keys = keys.as_slice().unwrap_or_default().iter().filter_map(|key| key.as_str());
        // Fences outlive their locks, so that tokens go on, and have a TTL.
        let mut left: Vec<_> = keys.filter(|key| !key.ends_with(":f")).map(str::to_owned).collect();
        let channels = self.command(&["PUBSUB", "CHANNELS", "*"]).await;
        let channels = channels.as_slice().unwrap_or_default().iter();
        left.extend(channels.filter_map(|channel| channel.as_str().map(str::to_owned)));
        left
    }
}

/// What a command is, by the number of its words, as in the scripts of the driver.
fn is(step: Step, words: &[Bytes]) -> bool {
    let word = |place: usize| words.get(place).map_or(&b""[..], Bytes::as_ref);
    match word(0).to_ascii_uppercase().as_slice() {
        b"DELIFEQ" | b"DELEX" => step == Step::Release,
        b"EVALSHA" | b"EVAL" => match (word(2), words.len()) {
            (b"5", 12) => step == Step::Acquire,
            (b"5", 9) => step == Step::Release,
            (b"5", 10) => step == Step::Renew,
            // Several at once, each with a key and two words more.
            (keys, len) => {
                step == Step::Renew && count(keys).is_some_and(|keys| len == 3 + 3 * keys)
            }
        },
        _ => false,
    }
}

fn count(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn rights(commands: &str) -> String {
    format!("{USER} on >{PASSWORD} ~* &* {commands}")
}

const TERMS: Terms =
    Terms { ttl: Duration::from_millis(1_000), slack: Duration::from_millis(500), floor: 200.0 };
/// How long libfaketime may go on with what it read before, and some more.
const CLOCK_IS_READ: Duration = Duration::from_millis(2_500);
const USER: &str = "worker";
const PASSWORD: &str = "of-this-run-only";
