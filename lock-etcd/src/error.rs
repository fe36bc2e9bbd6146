//! From errors of the client library to ours.

use std::error::Error as _;

use etcd_client::Error as EtcdError;
use lockcore::{Error, ErrorKind, LossCause};
use tonic::{Code, ConnectError, Status};

/// What became of a request that was not answered as it should be.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The store said no, and did nothing.
    Refused(Error),
    /// It was surely not done, and another member may do it.
    Elsewhere(&'static str),
    /// It may have been done.
    Unknown(&'static str),
}

/// What an error says of its request.
pub(crate) fn fate(error: &EtcdError) -> Fate {
    let status = match error {
        EtcdError::GRpcStatus(status) => status,
        // A renewal of a lease that the store does not have.
        EtcdError::LeaseKeepAliveError(_) => return Fate::Refused(session_gone()),
        EtcdError::WatchError(_) | EtcdError::TransportError(_) | EtcdError::Internal(_) => {
            return Fate::Unknown("the connection ended");
        }
        _ => {
            let message = "the client library did not send the request";
            return Fate::Refused(Error::new(ErrorKind::Backend, message));
        }
    };
    if was_never_sent(status) {
        return Fate::Elsewhere("the member cannot be reached: is the server up?");
    }
    if status.message().contains("etcdserver: no leader") {
        return Fate::Elsewhere("the cluster has no leader: are most of its members up?");
    }
    if status.message().contains("revision of auth store is old") {
        // A new connection logs in anew.
        return Fate::Elsewhere("the server has changed its users, and does not know our login");
    }
    match refused(status) {
        Some(error) => Fate::Refused(error),
        None => Fate::Unknown("the connection ended, or the member did not know the outcome"),
    }
}

/// There is no connection: surely nothing was done.
pub(crate) fn unreachable(error: tonic::transport::Error, has_tls: bool) -> Error {
    let text = chain(&error);
    let is_about = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let message = if is_about(&["lookup address", "Name or service"]) {
        "the host name cannot be resolved: is it right?"
    } else if is_about(&["not valid for name"]) {
        "TLS: the server's certificate is for another host than the one that was named"
    } else if is_about(&["certificate expired", "Expired"]) {
        "TLS: the server's certificate has expired, or the clock of this machine is wrong"
    } else if is_about(&["UnknownIssuer"]) {
        "TLS: the authority of the server's certificate is not trusted: `tls_ca` names it"
    } else if has_tls && is_about(&["certificate", "tls", "TLS", "InvalidContentType", "corrupt"]) {
        "TLS could not be agreed: is it a TLS port, and does `tls_ca` name the authority of the \
         server's certificate?"
    } else if is_about(&["refused"]) {
        "nothing listens there: is the server up, and are host and port right?"
    } else if is_about(&["elapsed", "timed out", "timeout"]) {
        "the member did not answer in time"
    } else {
        "the member cannot be reached"
    };
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

/// The member was reached, and did not let us in.
pub(crate) fn at_login(error: EtcdError, has_tls: bool) -> Error {
    let answer = match &error {
        EtcdError::GRpcStatus(status) => refused(status),
        _ => None,
    };
    answer.unwrap_or_else(|| unspoken(has_tls)).with_source(error)
}

/// The first request of all had no answer that makes sense.
pub(crate) fn at_first(error: Error, has_tls: bool) -> Error {
    let is_foreign = error
        .source()
        .and_then(|source| source.downcast_ref::<EtcdError>())
        .is_some_and(|source| match source {
            EtcdError::GRpcStatus(status) => !status.message().contains("etcdserver"),
            _ => true,
        });
    if error.kind() != ErrorKind::Indeterminate {
        return error;
    }
    if is_foreign {
        return unspoken(has_tls).with_source(error);
    }
    // What the trial may have left holds no lock.
    Error::new(
        ErrorKind::Unavailable,
        "no member answered in time: are most members of the cluster up?",
    )
    .with_source(error)
}

/// Whether the store has the lease that we wanted to make.
pub(crate) fn is_lease_there(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<Status>());
    source.is_some_and(|status| status.message().contains("lease already exists"))
}

/// Whether the store takes no writes, because it is full.
pub(crate) fn is_full(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.message() == FULL
}

/// Whether the request may be lost with the leader of then: it is worth to ask again at once.
pub(crate) fn is_led_anew(error: &Error) -> bool {
    error.kind() == ErrorKind::Indeterminate && error.message() == LED_ANEW
}

/// The same failure, for another one who waits for it.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message().to_owned())
}

/// The session's lease is gone.
pub(crate) fn session_gone() -> Error {
    Error::lost(LossCause::SessionEnded)
}

/// What the store answered, if it says that nothing was done.
fn refused(status: &Status) -> Option<Error> {
    let text = status.message();
    let says = |words: &str| text.contains(words);
    let (kind, message) = if says("requested lease not found") {
        return Some(session_gone().with_source(status.clone()));
    } else if says("permission denied") {
        (
            ErrorKind::Unauthorized,
            "the user lacks a permission: it needs a role with read and write on all keys that \
             begin with `PREFIX/`",
        )
    } else if says("user name is empty") {
        (
            ErrorKind::Unauthorized,
            "the server wants a user and a password, and there are none: `etcd://USER:PASSWORD@HOST`, \
             or `login`",
        )
    } else if says("invalid user ID or password") || says("authentication failed") {
        (ErrorKind::Unauthorized, "the server refused user or password")
    } else if says("invalid auth token") {
        (ErrorKind::Unauthorized, "the server does not know our login any more")
    } else if says("authentication is not enabled") {
        (
            ErrorKind::InvalidConfig,
            "the server has no authentication enabled: leave user and password out",
        )
    } else if says("database space exceeded") {
        (ErrorKind::Unavailable, FULL)
    } else if says("too many requests") {
        (ErrorKind::Unavailable, "the server has too many requests at hand")
    } else if says("too large lease TTL") {
        (ErrorKind::InvalidConfig, "the server does not take so long a TTL")
    } else if says("lease already exists") {
        (ErrorKind::Backend, "the lease exists")
    } else if says("corrupt cluster") {
        (ErrorKind::Unavailable, "the server found its data corrupt, and takes no requests")
    } else if status.code() == Code::Unimplemented {
        (ErrorKind::InvalidConfig, "the server does not speak version 3 of the protocol of etcd")
    } else if matches!(
        status.code(),
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::NotFound
    ) {
        let message = format!("the server refused the request: {text}");
        return Some(Error::new(ErrorKind::Backend, message).with_source(status.clone()));
    } else {
        return None;
    };
    Some(Error::new(kind, message).with_source(status.clone()))
}

/// No connection was there to send it on.
fn was_never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn unspoken(has_tls: bool) -> Error {
    let message = if has_tls {
        "what listens there does not speak to us: is it etcd's port for clients, with TLS, and does \
         it want a certificate of its clients (`tls_cert` and `tls_key`)?"
    } else {
        "what listens there does not speak to us: is it etcd's port for clients, and if it expects \
         TLS, is the URL `etcds://`?"
    };
    Error::new(ErrorKind::Unavailable, message)
}

/// An error with all that caused it, in words.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}

/// Of a request that had no answer by the time of another leader.
pub(crate) const LED_ANEW: &str =
    "the leader that the cluster had leads no more, and did not answer";
const FULL: &str = "the server's database has reached its quota (alarm NOSPACE): compact and \
                    defragment it, and disarm the alarm";
