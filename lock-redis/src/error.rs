//! From errors of the crate `redis` to ours.

use std::io;

use lockcore::{BootInstant, Error, ErrorKind};
use redis::{ErrorKind as Kind, RedisError, ServerErrorKind as Server};

/// The answer to a command was an error, or did not come. What the command may have left is gone
/// at `until`.
pub(crate) fn failed(error: &RedisError, until: BootInstant) -> Error {
    if let Some(refused) = refused(error) {
        return refused;
    }
    match error.kind() {
        // The server had the command, ran it, and did not like what it found.
        Kind::Server(_) | Kind::Extension => {
            Error::new(ErrorKind::Backend, format!("the server refused the command: {error}"))
        }
        Kind::ClusterConnectionNotFound => Error::new(
            ErrorKind::Unavailable,
            "no node of the cluster serves this name; is the cluster up?",
        ),
        _ => Error::indeterminate(until, "the connection ended, or no answer came in time"),
    }
    .with_source(error.clone())
}

/// There is no connection: surely nothing was done.
pub(crate) fn unreachable(error: &RedisError) -> Error {
    if let Some(refused) = refused(error) {
        return refused;
    }
    let text = error.to_string();
    let message = if is_tls(error) {
        "TLS could not be agreed: is it a TLS port, and does `tls_ca` name the authority of the \
         server's certificate?"
    } else if text.contains("refused to switch database") || text.contains("DB index") {
        return Error::new(
            ErrorKind::InvalidConfig,
            "the server has no database of this number: 0 to 15 by default, only 0 in a cluster",
        )
        .with_source(error.clone());
    } else if error.kind() == Kind::MasterNameNotFoundBySentinel {
        return Error::new(
            ErrorKind::InvalidConfig,
            "the sentinels know no master of this name: the path of the URL names it",
        )
        .with_source(error.clone());
    } else if error.is_connection_refusal() {
        "nothing listens there: is the server up, and are host and port right?"
    } else if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connection_dropped() {
        "the server closed the connection: if it expects TLS, write `rediss://`"
    } else {
        "the server cannot be reached"
    };
    Error::new(ErrorKind::Unavailable, message).with_source(error.clone())
}

/// There is no subscription to notifications.
pub(crate) fn no_listening(error: &RedisError) -> Error {
    if is_forbidden(error) {
        let message = "the user may not subscribe to the channels of this prefix: grant \
                       `&PREFIX:wake:*` and the command SUBSCRIBE";
        return Error::new(ErrorKind::Unauthorized, message).with_source(error.clone());
    }
    unreachable(error)
}

/// Addresses, certificates or keys that make no sense.
pub(crate) fn misconfigured(error: &RedisError) -> Error {
    let message = format!("the addresses or certificates cannot be used: {error}");
    Error::new(ErrorKind::InvalidConfig, message).with_source(error.clone())
}

/// The tasks of this client are gone.
pub(crate) fn runtime_ended() -> Error {
    Error::new(ErrorKind::Closed, "the runtime of this client has ended")
}

/// No answer came in time.
pub(crate) fn no_answer() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// The server refused, and said so before it did anything.
fn refused(error: &RedisError) -> Option<Error> {
    let (kind, message) = if is_unauthorized(error) {
        (ErrorKind::Unauthorized, "the server refused user or password")
    } else if is_forbidden(error) {
        (
            ErrorKind::Unauthorized,
            "the user lacks a permission: see the access list in the documentation of lock-redis",
        )
    } else if says(error, "READONLY") {
        (ErrorKind::Unavailable, "this server is a replica: name the master, or use the sentinels")
    } else if is_wrong_type(error) {
        (
            ErrorKind::Backend,
            "a key of this lock holds something else: choose another name or `prefix`, or remove \
             the key",
        )
    } else if says(error, "OOM") {
        (ErrorKind::Unavailable, "the server has reached its `maxmemory`: raise it or free memory")
    } else if REFUSING.iter().any(|code| says(error, code)) {
        (ErrorKind::Unavailable, "the server refuses work for the time being")
    } else {
        return None;
    };
    Some(Error::new(kind, message).with_source(error.clone()))
}

pub(crate) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == Kind::Server(Server::NoScript)
}

/// The credentials are wrong, or there are none.
pub(crate) fn is_unauthorized(error: &RedisError) -> bool {
    error.kind() == Kind::AuthenticationFailed || says(error, "WRONGPASS") || says(error, "NOAUTH")
}

/// The credentials are right and do not suffice.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    // The codes of Redis 7.0 do not tell.
    let words = ["no permissions", "The user executing the script can't"];
    says(error, "NOPERM") || words.iter().any(|words| error.to_string().contains(words))
}

/// A key does not hold what we write there.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    says(error, "WRONGTYPE")
}

/// The sentinels name no master: there is none of this name, or it is down.
pub(crate) fn is_no_master(error: &RedisError) -> bool {
    error.kind() == Kind::MasterNameNotFoundBySentinel
}

/// The server is not the one that takes writes, or not any more.
pub(crate) fn wants_other_server(error: &RedisError) -> bool {
    says(error, "READONLY") || says(error, "MASTERDOWN") || is_unauthorized(error)
}

fn is_tls(error: &RedisError) -> bool {
    let text = error.to_string();
    ["certificate", "tls", "TLS", "InvalidContentType", "corrupt message"]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether the server's answer has this code: at its beginning, or within, where it came out of a
/// script.
fn says(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code)
        || (matches!(error.kind(), Kind::Server(_) | Kind::Extension)
            && error
                .detail()
                .is_some_and(|detail| detail.split([' ', ':', '-']).any(|word| word == code)))
}

/// Codes of servers that did not run the command.
const REFUSING: [&str; 9] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "TRYAGAIN",
    "MOVED",
    "ASK",
];
