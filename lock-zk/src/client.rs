//! Requests to ZooKeeper. Here and in the folder beside it, nobody else, the client library is known.
//!
//! A request is sent when its method is called, in the order of the calls, and one session's requests
//! are served in that order. So requests that are made before the first of them is awaited cost one
//! trip, and each sees what those before it did.

mod dial;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt, join_all, join3};
use lockcore::{BootInstant, Error, ErrorKind, Result};
use tokio::time::timeout;
use zookeeper_client::{
    Acls, Client, CreateMode, Error as ZkError, EventType, MultiWriteError, OneshotWatcher,
    SessionInfo, SessionState, StateWatcher,
};

pub(crate) use self::dial::{Cluster, range};
use crate::error::{self, Effect, session_gone};

/// A session of ZooKeeper, with the connection that it has at the time.
pub(crate) struct Connection {
    client: Client,
    state: Mutex<StateWatcher>,
    has_login: bool,
    limit: Duration,
}

/// A node that was found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its path.
    pub(crate) path: String,
    /// The number of the transaction that made it.
    pub(crate) created: i64,
    /// The session that it ends with; 0 if with none.
    pub(crate) owner: i64,
}

/// What came of lining up: our node, and who stands in the directory with it, if we may know.
pub(crate) enum LinedUp {
    Done(Node, Result<Vec<String>>),
    /// There is no such directory.
    Nowhere,
}

/// A node that is watched, until this is dropped.
pub(crate) struct Watched {
    pub(crate) owner: i64,
    watcher: OneshotWatcher,
}

/// What a probe has shown.
pub(crate) enum Probed {
    /// A quorum has agreed to it.
    Answered,
    /// The connection broke by which it was sent.
    Broke,
    /// The session is over.
    Ended,
    /// Nothing.
    Silent,
}

impl Connection {
    fn new(client: Client, has_login: bool, limit: Duration) -> Self {
        let state = Mutex::new(client.state_watcher());
        Self { client, state, has_login, limit }
    }

    /// What another connection goes on with.
    fn session(&self) -> SessionInfo {
        self.client.session().clone()
    }

    /// Whether requests would be sent at once.
    fn is_connected(&self) -> bool {
        self.client.state() == SessionState::SyncConnected
    }

    /// The number of the session.
    pub(crate) fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// The timeout that the server gave the session.
    pub(crate) fn session_timeout(&self) -> Duration {
        self.client.session_timeout()
    }

    /// Whether the session is over, as far as is known here.
    pub(crate) fn is_over(&self) -> bool {
        self.client.state().is_terminated()
    }

    /// Waits until there is a connection, so that nothing is queued for one that comes later.
    pub(crate) async fn ready(&self) -> Result<()> {
        if self.is_connected() {
            return Ok(());
        }
        let mut states = self.state().clone();
        let connected = async {
            let mut state = states.state();
            loop {
                match state {
                    SessionState::SyncConnected => return Ok(()),
                    SessionState::AuthFailed => {
                        return Err(error::of(ZkError::AuthFailed, Effect::None));
                    }
                    state if state.is_terminated() => return Err(session_gone()),
                    _ => state = states.changed().await,
                }
            }
        };
        timeout(self.limit, connected).await.unwrap_or_else(|_| {
            let message = "no member of the cluster can be reached at the moment: nothing was sent";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    /// Makes a node in the directory, with a number of the store behind its name, and lists who
    /// stands there then; with `parents`, makes the directory first.
    pub(crate) async fn line_up(
        &self,
        directory: &str,
        stem: &str,
        value: &str,
        parents: bool,
        until: BootInstant,
    ) -> Result<LinedUp> {
        let effect = Effect::Until(until);
        let parents = if parents { ways_to(directory) } else { Vec::new() };
        let container = CreateMode::Container.with_acls(self.acls());
        let making: Vec<_> =
            parents.iter().map(|path| guarded(self.client.create(path, &[], &container))).collect();
        let options = CreateMode::EphemeralSequential.with_acls(self.acls());
        let created = guarded(self.client.create(stem, value.as_bytes(), &options));
        let listed = guarded(self.client.list_children(directory));
        let all = timeout(self.limit, join3(join_all(making), created, listed)).await;
        let (made, created, listed) = all.map_err(|_| silent(effect))?;
        let (stat, number) = match created {
            Ok(created) => created,
            Err(ZkError::NoNode) => return not_made(made).map(|()| LinedUp::Nowhere),
            Err(error) => return Err(error::of(error, effect)),
        };
        let path = format!("{stem}{number}");
        let node = Node { path, created: stat.czxid, owner: stat.ephemeral_owner };
        // That it has no answer is no answer to the whole: it is asked for again, and the node found.
        let listed = listed.map_err(|error| error::of(error, effect));
        Ok(LinedUp::Done(node, listed))
    }

    /// Who stands in a directory; nobody in one that is not there. With `flush`, all that was agreed
    /// to before is seen.
    pub(crate) async fn list(&self, directory: &str, flush: bool) -> Result<Vec<String>> {
        let flushed = flush.then(|| self.client.sync(directory));
        let listed = self.client.list_children(directory);
        let both = async {
            if let Some(flushed) = flushed {
                flushed.await?;
            }
            listed.await
        };
        match self.limited(both, Effect::None).await {
            Ok(listed) => Ok(listed),
            Err(ZkErrorOr::Zk(ZkError::NoNode)) => Ok(Vec::new()),
            Err(error) => Err(error.into_error(Effect::None)),
        }
    }

    /// The nodes at these paths, with what they say; `None` for those that are not there.
    pub(crate) async fn read(&self, paths: &[String]) -> Result<Vec<Option<(Node, Vec<u8>)>>> {
        let mut found = Vec::new();
        for some in paths.chunks(AT_ONCE) {
            let asked = some.iter().map(|path| guarded(self.client.get_data(path)));
            let answers = timeout(self.limit, join_all(asked)).await;
            let answers = answers.map_err(|_| silent(Effect::None))?;
            for (path, answer) in some.iter().zip(answers) {
                found.push(match answer {
                    Ok((data, stat)) => {
                        let (created, owner) = (stat.czxid, stat.ephemeral_owner);
                        Some((Node { path: path.clone(), created, owner }, data))
                    }
                    Err(ZkError::NoNode) => None,
                    Err(error) => return Err(error::of(error, Effect::None)),
                });
            }
        }
        Ok(found)
    }

    /// The nodes at these paths; `None` for those that are not there. They may be another user's: no
    /// right is needed.
    pub(crate) async fn look(&self, paths: &[String]) -> Result<Vec<Option<Node>>> {
        let mut found = Vec::new();
        for some in paths.chunks(AT_ONCE) {
            let asked = some.iter().map(|path| guarded(self.client.check_stat(path)));
            let answers = timeout(self.limit, join_all(asked)).await;
            let answers = answers.map_err(|_| silent(Effect::None))?;
            for (path, answer) in some.iter().zip(answers) {
                let stat = answer.map_err(|error| error::of(error, Effect::None))?;
                found.push(stat.map(|stat| Node {
                    path: path.clone(),
                    created: stat.czxid,
                    owner: stat.ephemeral_owner,
                }));
            }
        }
        Ok(found)
    }

    /// Watches the nodes at these paths; `None` for those that are not there. No right is needed.
    pub(crate) async fn watch(&self, paths: &[String]) -> Result<Vec<Option<Watched>>> {
        let asked = paths.iter().map(|path| guarded(self.client.check_and_watch_stat(path)));
        let answers = timeout(self.limit, join_all(asked)).await;
        let answers = answers.map_err(|_| silent(Effect::None))?;
        let watched = answers.into_iter().map(|answer| {
            // One that is not there would be watched for being made: the watch goes when it is dropped.
            let (stat, watcher) = answer.map_err(|error| error::of(error, Effect::None))?;
            Ok(stat.map(|stat| Watched { owner: stat.ephemeral_owner, watcher }))
        });
        watched.collect()
    }

    /// Removes the node at this path; false if it was not there.
    pub(crate) async fn remove(&self, path: &str) -> Result<bool> {
        let effect = Effect::Until(BootInstant::now());
        match self.limited(self.client.delete(path, None), effect).await {
            Ok(()) => Ok(true),
            Err(ZkErrorOr::Zk(ZkError::NoNode)) => Ok(false),
            Err(error) => Err(error.into_error(effect)),
        }
    }

    /// The paths below `top` that end with this session.
    pub(crate) async fn owned(&self, top: &str) -> Result<Vec<String>> {
        let top = if top.is_empty() { "/" } else { top };
        let owned = self.limited(self.client.list_ephemerals(top), Effect::None).await;
        owned.map_err(|error| error.into_error(Effect::None))
    }

    /// Asks for something that a quorum has to agree to, and that changes nothing.
    pub(crate) async fn probe(&self) -> Probed {
        let mut probe = self.client.new_multi_writer();
        if probe.add_check_version("/", ANY_VERSION).is_err() {
            return Probed::Silent;
        }
        let Ok(agreed) = AssertUnwindSafe(probe.commit()).catch_unwind().await else {
            return Probed::Silent;
        };
        match agreed {
            // That the check failed was agreed to as well.
            Ok(_) | Err(MultiWriteError::OperationFailed { .. }) => Probed::Answered,
            Err(MultiWriteError::RequestFailed { source }) => match source {
                ZkError::NoNode | ZkError::NoAuth | ZkError::BadVersion => Probed::Answered,
                source if error::is_broken(&source) => Probed::Broke,
                _ if self.is_over() => Probed::Ended,
                _ => Probed::Silent,
            },
        }
    }

    /// Ends the session, and waits until the store has. Whoever else has the connection delays it.
    async fn end(self: Arc<Self>) -> Result<()> {
        let (mut states, limit) = (self.state().clone(), self.limit);
        drop(self);
        let ended = async {
            let mut state = states.state();
            while !state.is_terminated() {
                state = states.changed().await;
            }
        };
        timeout(limit, ended).await.map_err(|_| silent(Effect::None))
    }

    fn acls(&self) -> Acls<'static> {
        if self.has_login { Acls::creator_all() } else { Acls::anyone_all() }
    }

    fn state(&self) -> MutexGuard<'_, StateWatcher> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn limited<T>(
        &self,
        request: impl Future<Output = Result<T, ZkError>>,
        effect: Effect,
    ) -> Result<T, ZkErrorOr> {
        match timeout(self.limit, guarded(request)).await {
            Ok(answer) => answer.map_err(ZkErrorOr::Zk),
            Err(_) => Err(ZkErrorOr::Ours(silent(effect))),
        }
    }
}

impl Watched {
    /// Waits until something happened to the node; false if it was not that it was removed.
    pub(crate) async fn until_removed(self) -> bool {
        let event = AssertUnwindSafe(self.watcher.changed()).catch_unwind().await;
        event.is_ok_and(|event| event.event_type == EventType::NodeDeleted)
    }
}

enum ZkErrorOr {
    Zk(ZkError),
    Ours(Error),
}

impl ZkErrorOr {
    fn into_error(self, effect: Effect) -> Error {
        match self {
            Self::Zk(error) => error::of(error, effect),
            Self::Ours(error) => error,
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &self.client.state()).finish_non_exhaustive()
    }
}

/// At some answers that no server should give, the client library panics: those are no answers.
async fn guarded<T>(request: impl Future<Output = Result<T, ZkError>>) -> Result<T, ZkError> {
    let answer = AssertUnwindSafe(request).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(ZkError::UnexpectedError("an answer that is none".to_owned())))
}

fn silent(effect: Effect) -> Error {
    let message = "the server did not answer in time";
    match effect {
        Effect::None => Error::new(ErrorKind::Unavailable, message),
        Effect::Until(until) => Error::indeterminate(until, message),
    }
}

/// The paths of a directory and of those above it, from the top.
fn ways_to(directory: &str) -> Vec<String> {
    let ends = directory.match_indices('/').map(|(at, _)| at).skip(1).chain([directory.len()]);
    ends.map(|end| directory[..end].to_owned()).collect()
}

/// Why directories that were to be made are not there; nothing if they were not to be made, or have
/// gone again. Those that are there may be refused to us without harm.
fn not_made<T>(made: Vec<Result<T, ZkError>>) -> Result<()> {
    for (place, answer) in made.into_iter().enumerate() {
        match answer {
            Ok(_) | Err(ZkError::NodeExists) => {}
            Err(ZkError::NoNode) if place == 0 => {
                return Err(Error::new(
                    ErrorKind::InvalidConfig,
                    "the chroot of the URL is not there: make it first, for example by `zkCli.sh \
                     create /PATH`",
                ));
            }
            // The one above it has gone since.
            Err(ZkError::NoNode) => return Ok(()),
            Err(error) => return Err(error::of(error, Effect::None)),
        }
    }
    Ok(())
}

/// So many nodes are read in one trip.
const AT_ONCE: usize = 100;
const ANY_VERSION: i32 = -1;
