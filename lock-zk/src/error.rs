//! From errors of the client library to ours.

use lockcore::{BootInstant, Error, ErrorKind, LossCause};
use zookeeper_client::Error as ZkError;

/// What a request does in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing that anybody minds.
    None,
    /// Something that may stand there until then.
    Until(BootInstant),
}

/// The error of a request that was not answered as it should be.
pub(crate) fn of(error: ZkError, effect: Effect) -> Error {
    let known = match &error {
        ZkError::SessionExpired | ZkError::SessionMoved | ZkError::ClientClosed => {
            return session_gone().with_source(error);
        }
        ZkError::NoAuth => Some((
            ErrorKind::Unauthorized,
            "the ACL of a node forbids it: locks need the rights `cdrw` on the directory of all names \
             and on those of the names, for the user of this client",
        )),
        ZkError::AuthFailed => Some((
            ErrorKind::Unauthorized,
            "the server refused the login: `zk://USER:PASSWORD@HOST`, or `login`",
        )),
        ZkError::InvalidAcl => Some((
            ErrorKind::Unauthorized,
            "the server takes no ACL of this login: is the scheme `digest` switched on there?",
        )),
        ZkError::QuotaExceeded => Some((
            ErrorKind::Unavailable,
            "the quota of a node is used up: raise it with `setquota`, or remove it with `delquota`",
        )),
        ZkError::Throttled => Some((ErrorKind::Unavailable, "the server has too much to do")),
        ZkError::NotReadOnly => {
            Some((ErrorKind::Unavailable, "the member has no leader, and takes no writes"))
        }
        ZkError::NoHosts => Some((ErrorKind::Unavailable, "no member can be reached")),
        ZkError::Unimplemented => Some((
            ErrorKind::InvalidConfig,
            "the server is too old: locks need ZooKeeper 3.5.3 or later, for container nodes",
        )),
        ZkError::NoChildrenForEphemerals => Some((
            ErrorKind::Backend,
            "a node that another program made is where directories of ours belong, and is ephemeral: \
             choose another `prefix`",
        )),
        ZkError::NoNode | ZkError::NodeExists | ZkError::NotEmpty | ZkError::BadVersion => {
            Some((ErrorKind::Backend, "a node was not as it should be"))
        }
        ZkError::BadArguments(_) | ZkError::MarshallingError => {
            Some((ErrorKind::Backend, "the server or its client library refused the request"))
        }
        _ => None,
    };
    match known {
        Some((kind, message)) => Error::new(kind, message).with_source(error),
        None => lost(effect).with_source(error),
    }
}

/// There was no answer: the connection broke, or nothing came.
pub(crate) fn lost(effect: Effect) -> Error {
    let message = "the connection ended before the answer came";
    match effect {
        Effect::None => Error::new(ErrorKind::Unavailable, message),
        Effect::Until(until) => Error::indeterminate(until, message),
    }
}

/// Whether it says that the connection broke, by which the request was sent.
pub(crate) fn is_broken(error: &ZkError) -> bool {
    matches!(error, ZkError::ConnectionLoss | ZkError::Custom(_))
}

/// The end of a session that somebody lent us says nothing of what we wanted there.
pub(crate) fn of_another(error: Error) -> Error {
    if error.kind() != ErrorKind::Lost {
        return error;
    }
    Error::new(ErrorKind::Unavailable, "one session after the other ended").with_source(error)
}

/// The session is over.
pub(crate) fn session_gone() -> Error {
    Error::lost(LossCause::SessionEnded)
}
