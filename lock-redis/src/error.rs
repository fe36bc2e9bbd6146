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

/// What an error alone does not tell of the way to the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) has_tls: bool,
    pub(crate) has_sentinels: bool,
}

/// There is no connection: surely nothing was done.
pub(crate) fn unreachable(error: &RedisError, way: Way) -> Error {
    if let Some(refused) = refused(error) {
        return refused;
    }
    let (kind, message) = unusable(error).unwrap_or_else(|| {
        let message = match tls(error) {
            Some(message) => message,
            None if error.to_string().contains(MASTER_IS_DOWN) => {
                "the sentinels know the master, and it is down: they will name another one"
            }
            None if error.to_string().contains("lookup address") => {
                "the host name cannot be resolved: is it right?"
            }
            None if error.is_connection_refusal() && way.has_sentinels => {
                "nothing listens there: are the sentinels and their master up, and are hosts and \
                 ports right?"
            }
            None if error.is_connection_refusal() => {
                "nothing listens there: is the server up, and are host and port right?"
            }
            None if error.is_timeout() && way.has_tls => {
                "the server did not answer in time: is it a TLS port?"
            }
            None if error.is_timeout() => "the server did not answer in time",
            None if error.is_connection_dropped() => {
                "the server closed the connection: if it expects TLS, write `rediss://`"
            }
            None => "the server cannot be reached",
        };
        (ErrorKind::Unavailable, message)
    });
    Error::new(kind, message).with_source(error.clone())
}

/// What no later attempt will mend.
fn unusable(error: &RedisError) -> Option<(ErrorKind, &'static str)> {
    let text = error.to_string();
    let message = if text.contains("refused to switch database") || text.contains("DB index") {
        "the server has no database of this number: 0 to 15 by default, only 0 in a cluster"
    } else if is_no_master(error) {
        "the sentinels know no master of this name: the path of the URL names it"
    } else if text.contains("does not point to a sentinel") {
        "this server is no sentinel: name the sentinels, on port 26379 by default, or write `redis://`"
    } else if text.contains("cluster support disabled") {
        "this server is not part of a cluster: name it as a single one"
    } else {
        return None;
    };
    Some((ErrorKind::InvalidConfig, message))
}

/// Why TLS could not be agreed, if that is why.
fn tls(error: &RedisError) -> Option<&'static str> {
    let text = error.to_string();
    let is_about = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if is_about(&["CertificateRequired"]) {
        Some("TLS: the server wants a certificate of its clients: give `tls_cert` and `tls_key`")
    } else if is_about(&["not valid for name"]) {
        Some("TLS: the server's certificate is for another host than the one that was named")
    } else if is_about(&["certificate expired"]) {
        Some("TLS: the server's certificate has expired, or the clock of this machine is wrong")
    } else if is_about(&["UnknownIssuer"]) {
        Some("TLS: the authority of the server's certificate is not trusted: `tls_ca` names it")
    } else if is_about(&[
        "certificate",
        "tls",
        "TLS",
        "fatal alert",
        "InvalidContentType",
        "corrupt message",
    ]) {
        Some(
            "TLS could not be agreed: is it a TLS port, and does `tls_ca` name the authority of the \
             server's certificate?",
        )
    } else {
        None
    }
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

/// The sentinels know the master, and that it is down.
pub(crate) fn master_is_down() -> RedisError {
    io::Error::other(MASTER_IS_DOWN).into()
}

/// The server refused, and said so before it did anything.
fn refused(error: &RedisError) -> Option<Error> {
    let (kind, message) = if says(error, "NOAUTH") {
        (
            ErrorKind::Unauthorized,
            "the server wants a password, and there is none: `redis://:PASSWORD@HOST`, or `login`",
        )
    } else if is_unauthorized(error) {
        (ErrorKind::Unauthorized, "the server refused user or password")
    } else if is_forbidden(error) {
        let words = error.detail().unwrap_or_default();
        let words = words.split(" script: ").next().unwrap_or_default();
        let message = format!(
            "the user lacks a permission ({words}): beside the commands that the documentation of \
             lock-redis lists, it needs `~PREFIX:*`, `~{{PREFIX:*` and `&PREFIX:wake:*`"
        );
        return Some(Error::new(ErrorKind::Unauthorized, message).with_source(error.clone()));
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
    // The client of a cluster wraps the answers of its nodes.
    let text = error.to_string();
    let in_cluster = |code| error.kind() == Kind::Io && text.contains(code);
    let codes = ["WRONGPASS", "NOAUTH"];
    error.kind() == Kind::AuthenticationFailed
        || codes.iter().any(|code| says(error, code) || in_cluster(*code))
}

/// The credentials are right and do not suffice.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    // The codes of Redis 7.0 do not tell.
    let words = ["no permissions", "The user executing the script can't"];
    says(error, "NOPERM") || words.iter().any(|words| error.to_string().contains(words))
}

/// A key does not hold what we write there.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    // The latter is said of a fence.
    says(error, "WRONGTYPE") || error.to_string().contains("value is not an integer")
}

/// The sentinels name no master: there is none of this name, or it is down.
pub(crate) fn is_no_master(error: &RedisError) -> bool {
    error.kind() == Kind::MasterNameNotFoundBySentinel
}

/// The server is not the one that takes writes, or not any more.
pub(crate) fn wants_other_server(error: &RedisError) -> bool {
    says(error, "READONLY") || says(error, "MASTERDOWN") || is_unauthorized(error)
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

const MASTER_IS_DOWN: &str = "the master is down";
