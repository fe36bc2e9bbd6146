//! One connection.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, RedisError, Value};

use crate::error;
use crate::script::Script;

/// A connection, for as long as it works.
pub(super) struct Wire {
    pub(super) connection: Connection,
    pub(super) delete: Option<NativeDelete>,
    pub(super) is_broken: Arc<AtomicBool>,
}

#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// How the server deletes a key only if it has a value, if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NativeDelete {
    /// Valkey since 9.
    DelIfEq,
    /// Redis since 8.4.
    DelEx,
}

impl Wire {
    /// Whether the connection is of no use any more after this error.
    pub(super) fn is_done_after(&self, error: &RedisError) -> bool {
        match self.connection {
            Connection::Single(_) => error.is_io_error() || error::wants_other_server(error),
            // The client of a cluster reconnects by itself.
            Connection::Cluster(_) => false,
        }
    }
}

/// Lets the server know the scripts, and asks how it deletes. A user who may do neither can
/// nevertheless send whole scripts.
pub(super) async fn prepare(
    mut connection: impl ConnectionLike,
) -> Result<Option<NativeDelete>, RedisError> {
    let is_lost = |error: &RedisError| error.is_io_error();
    for script in Script::ALL {
        let mut cmd = Cmd::new();
        cmd.arg("SCRIPT").arg("LOAD").arg(script.body());
        let answer = connection.req_packed_command(&cmd).await.and_then(Value::extract_error);
        if let Err(error) = answer
            && (is_lost(&error) || error::is_unauthorized(&error))
        {
            return Err(error);
        }
    }
    let mut cmd = Cmd::new();
    cmd.arg("COMMAND").arg("INFO").arg("DELIFEQ").arg("DELEX");
    let answer = connection.req_packed_command(&cmd).await.and_then(Value::extract_error);
    match answer {
        Ok(Value::Array(known)) => {
            let commands = [NativeDelete::DelIfEq, NativeDelete::DelEx];
            let mut known = commands.into_iter().zip(known);
            Ok(known.find(|(_, info)| matches!(info, Value::Array(_))).map(|(command, _)| command))
        }
        Err(error) if is_lost(&error) => Err(error),
        _ => Ok(None),
    }
}
