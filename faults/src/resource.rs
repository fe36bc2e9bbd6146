//! What the locks protect: counters in the runner's process, which is never frozen or killed.
//!
//! Each name has two. One takes writes by token and refuses old ones, as a resource should. The
//! other has no fence: whoever read a value writes the next one, however long ago that was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use lockcore::{FencingToken, Gate};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync;
use tokio::task::JoinHandle;

/// The resource, for as long as this lives.
pub(crate) struct Resource {
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    gate: Gate,
    unfenced: BTreeMap<String, Counter>,
    /// How many writes each name has taken.
    places: BTreeMap<String, u64>,
    fenced: Tally,
}

#[derive(Default)]
struct Counter {
    value: u64,
    writes: u64,
}

/// How often the fence was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
}

impl Resource {
    pub(crate) fn serve(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path).context("the resource has no socket")?;
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            // A failing accept is a client that is gone already.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    // It ends with its client, which may be killed in the middle of a line.
                    tokio::spawn(answer(stream, shared.clone()));
                }
            }
        });
        Ok(Self { state, serving })
    }

    /// How often the fence let a write through, and how often it did not.
    pub(crate) fn fenced(&self) -> Tally {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fenced
    }

    /// How many writes without a fence there were, and how many of them another one undid.
    pub(crate) fn unfenced(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = state.unfenced.values().map(|counter| counter.writes).sum();
        let lost = state.unfenced.values().map(|counter| counter.writes - counter.value).sum();
        (writes, lost)
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(stream: UnixStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.reply(&line)
        };
        write.write_all(format!("{reply}\n").as_bytes()).await?;
    }
    Ok(())
}

impl State {
    fn reply(&mut self, line: &str) -> String {
        let words: Vec<_> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().ok();
        match words.as_slice() {
            ["write", name, token] => match number(token).and_then(FencingToken::new) {
                Some(token) => match self.gate.admit(name, token) {
                    Ok(()) => {
                        self.fenced.admitted += 1;
                        let place = self.places.entry((*name).to_owned()).or_default();
                        *place += 1;
                        format!("ok {place}")
                    }
                    Err(stale) => {
                        self.fenced.refused += 1;
                        format!("stale {}", stale.newest())
                    }
                },
                None => "bad".to_owned(),
            },
            ["read", name] => {
                self.unfenced.get(*name).map_or(0, |counter| counter.value).to_string()
            }
            ["put", name, value] => match number(value) {
                Some(value) => {
                    let counter = self.unfenced.entry((*name).to_owned()).or_default();
                    counter.value = value;
                    counter.writes += 1;
                    "ok".to_owned()
                }
                None => "bad".to_owned(),
            },
            _ => "bad".to_owned(),
        }
    }
}

/// A worker's connection to the resource.
pub(crate) struct Writer {
    stream: sync::Mutex<(BufReader<OwnedReadHalf>, OwnedWriteHalf)>,
}

/// What the fence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the how manieth of this name.
    Written(u64),
    /// Somebody with this token wrote before.
    Stale(FencingToken),
}

impl Writer {
    pub(crate) async fn connect(path: &str) -> Result<Self> {
        let stream = UnixStream::connect(path).await.context("the resource does not listen")?;
        let (read, write) = stream.into_split();
        Ok(Self { stream: sync::Mutex::new((BufReader::new(read), write)) })
    }

    /// Writes with a token.
    pub(crate) async fn write(&self, name: &str, token: FencingToken) -> Result<Verdict> {
        let reply = self.ask(&format!("write {name} {token}")).await?;
        match reply.split_once(' ') {
            Some(("ok", place)) => Ok(Verdict::Written(place.parse()?)),
            Some(("stale", newest)) => {
                let newest = newest.parse().ok().and_then(FencingToken::new);
                Ok(Verdict::Stale(newest.context("a token is a number")?))
            }
            _ => bail!("the resource answers {reply:?}"),
        }
    }

    /// Reads the counter without a fence.
    pub(crate) async fn read(&self, name: &str) -> Result<u64> {
        Ok(self.ask(&format!("read {name}")).await?.parse()?)
    }

    /// Writes the counter without a fence.
    pub(crate) async fn put(&self, name: &str, value: u64) -> Result<()> {
        self.ask(&format!("put {name} {value}")).await.map(drop)
    }

    /// Not to be dropped halfway: the next one would read this answer.
    async fn ask(&self, line: &str) -> Result<String> {
        let (read, write) = &mut *self.stream.lock().await;
        write.write_all(format!("{line}\n").as_bytes()).await?;
        let mut reply = String::new();
        read.read_line(&mut reply).await?;
        Ok(reply.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn old_tokens_are_refused_and_old_values_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resource");
        let resource = Resource::serve(&path).unwrap();
        let writer = Writer::connect(path.to_str().unwrap()).await.unwrap();
        let token = |number| FencingToken::new(number).unwrap();

        assert_eq!(writer.write("a", token(2)).await.unwrap(), Verdict::Written(1));
        assert_eq!(writer.write("a", token(1)).await.unwrap(), Verdict::Stale(token(2)));
        assert_eq!(writer.write("b", token(1)).await.unwrap(), Verdict::Written(1));
        let Tally { admitted, refused } = resource.fenced();
        assert_eq!((admitted, refused), (2, 1));

        let seen = writer.read("a").await.unwrap();
        for _ in 0..2 {
            writer.put("a", seen + 1).await.unwrap();
        }
        assert_eq!(resource.unfenced(), (2, 1));
    }
}
