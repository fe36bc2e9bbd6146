//! A process with seats, which is told what to do by lines, and answers in lines.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use lock_testkit::child::Child;

use super::Foreign;

/// Killed when this is dropped, and by the kernel when this process is.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    /// What seats said before they were asked for it.
    said: VecDeque<String>,
}

impl Process {
    /// With connections that lock for `ttl`.
    pub(super) fn start(of: &Foreign, address: &str, ttl: Duration) -> Result<Self> {
        let source = of.source();
        if !source.is_file() {
            bail!("{} is not there", source.display());
        }
        let child = (of.start)(&source, &[address, &ttl.as_millis().to_string()]);
        Ok(Self { name: of.name, child, said: VecDeque::new() })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.pid()
    }

    pub(super) fn kill(&self) {
        self.child.kill();
    }

    /// Returns when it listens.
    pub(super) async fn ready(&mut self) -> Result<()> {
        loop {
            match self.hear().await? {
                line if line == "ready" => return Ok(()),
                line => self.said.push_back(line),
            }
        }
    }

    /// Has a seat do something.
    pub(super) fn ask(&mut self, seat: usize, what: &str) -> Result<()> {
        self.child
            .try_send(&format!("{seat} {what}"))
            .map_err(|why| anyhow!("{}: {why}", self.name))
    }

    /// What follows when that seat says this.
    pub(super) async fn answer(&mut self, seat: usize, word: &str) -> Result<String> {
        let (said, failed) = (format!("{seat} {word} "), format!("{seat} failed "));
        loop {
            let heard = self.said.iter().position(|line| line.starts_with(&said));
            if let Some(line) = heard.and_then(|at| self.said.remove(at)) {
                return Ok(line[said.len()..].to_owned());
            }
            let line = self.hear().await.with_context(|| format!("seat {seat}: {word}"))?;
            if let Some(why) = line.strip_prefix(&failed) {
                bail!("{}: {why}; it printed: {}", self.name, self.child.logs());
            }
            self.said.push_back(line);
        }
    }

    async fn hear(&mut self) -> Result<String> {
        let heard = self.child.report_within(PATIENCE).await;
        heard.map_err(|why| anyhow!("{}: {why}", self.name))
    }
}

/// Until it says something at all.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::subjects::foreign::KAZOO;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::run("a shell", command, &[])
    }

    async fn told(start: fn(&Path, &[&str]) -> Child) -> Result<String> {
        let mut process = Process::start(&Foreign { start, ..KAZOO }, "", Duration::ZERO)?;
        process.ready().await?;
        process.ask(1, "lock orders")?;
        process.answer(1, "granted").await
    }

    #[tokio::test]
    async fn answers_go_to_the_seat_that_asked() {
        assert_eq!(told(|_, _| shell(SAID)).await.unwrap(), "5");
    }

    #[tokio::test]
    async fn one_that_fails_or_ends_says_why() {
        let failed = told(|_, _| shell(FAILED)).await.unwrap_err();
        assert!(format!("{failed:#}").contains("no server"), "{failed:#}");
        let ended = told(|_, _| shell(ENDED)).await.unwrap_err();
        assert!(format!("{ended:#}").contains("a trace of it"), "{ended:#}");
    }

    const SAID: &str =
        "printf '@leasehold-report %s\n' ready '2 granted 7' '1 asks 3' '1 granted 5'; read line";
    const FAILED: &str = "printf '@leasehold-report %s\n' ready '1 failed no server'; read line";
    const ENDED: &str = "echo '@leasehold-report ready'; read line; echo a trace of it >&2";
}
