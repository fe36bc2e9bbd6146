//! Requests of the kit to a server, by somebody who may do all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::etcd::gateway::{self, EtcdError};
use crate::etcd::server::{Etcd, PAUSE};
use crate::redis_options::OBSERVER;
use crate::wait::scaled;

impl Etcd {
    /// A request to a path of its JSON gateway, as `/v3/kv/range`, by somebody who may do all.
    /// Bytes are in base64, and the numbers of a reply in text.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// The request may have been sent.
    pub async fn call(&self, path: &str, body: Value) -> Result<Value, EtcdError> {
        let token = self.token().await?;
        let reply = gateway::post(self.observer(), path, &body, token.as_deref()).await;
        match reply {
            // The token ran out, or rights have changed since it was given.
            Err(error) if error.code() == Some(UNAUTHENTICATED) || error.is_old_token() => {
                *self.kept_token() = None;
                let token = self.token().await?;
                gateway::post(self.observer(), path, &body, token.as_deref()).await
            }
            reply => reply,
        }
    }

    /// As [`call`](Etcd::call), by whom [`authenticate`](Etcd::authenticate) gave this token.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// The request may have been sent.
    pub async fn call_with(
        &self,
        token: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, EtcdError> {
        gateway::post(self.observer(), path, &body, Some(token)).await
    }

    /// A token of a user.
    ///
    /// # Errors
    ///
    /// What the server or the socket says, or that there was no reply within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// The server may have made a token.
    pub async fn authenticate(&self, user: &str, password: &str) -> Result<String, EtcdError> {
        let body = json!({"name": user, "password": password});
        let reply = gateway::post(self.observer(), "/v3/auth/authenticate", &body, None).await?;
        Ok(reply["token"].as_str().unwrap_or_default().to_owned())
    }

    /// As [`call`](Etcd::call), where no error is expected but that a leader is being elected: then
    /// it is asked again. What is asked for here may be done twice.
    pub(crate) async fn must(&self, path: &str, body: Value) -> Value {
        let begun = Instant::now();
        loop {
            match self.call(path, body.clone()).await {
                Ok(reply) => return reply,
                Err(error) if is_electing(&error) && begun.elapsed() < scaled(ELECTION) => {}
                Err(error) => panic!("{}: {path}: {error}", self.name()),
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether it asks clients who they are, if it is to.
    pub(crate) async fn knows_users(&self) -> bool {
        self.options_used().users.is_empty() || matches!(self.token().await, Ok(Some(_)))
    }

    async fn token(&self) -> Result<Option<String>, EtcdError> {
        if self.options_used().users.is_empty() {
            return Ok(None);
        }
        let kept = self.kept_token().clone();
        if kept.is_some() {
            return Ok(kept);
        }
        match self.authenticate(ROOT, OBSERVER).await {
            Ok(token) => {
                *self.kept_token() = Some(token.clone());
                Ok(Some(token))
            }
            // It has no users yet.
            Err(error) if error.message().contains("authentication is not enabled") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether it says that it has no leader, or another one than a moment ago.
fn is_electing(error: &EtcdError) -> bool {
    let says = |words| error.message().contains(words);
    error.code() == Some(UNAVAILABLE) && (says("leader changed") || says("no leader"))
}

/// The user that the kit is.
pub(super) const ROOT: &str = "root";
/// Longer than a cluster takes to elect a leader on a busy machine.
const ELECTION: Duration = Duration::from_secs(10);
/// Codes of gRPC.
const UNAUTHENTICATED: i64 = 16;
const UNAVAILABLE: i64 = 14;
