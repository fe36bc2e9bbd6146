//! What a watch tells.

use crate::zk::error::ZkError;
use crate::zk::jute::Reader;

/// That a watch has fired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZkEvent {
    /// What has happened.
    pub kind: ZkEventKind,
    /// To this node.
    pub path: String,
}

impl ZkEvent {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ZkError> {
        let kind = match reader.int()? {
            1 => ZkEventKind::Created,
            2 => ZkEventKind::Deleted,
            3 => ZkEventKind::DataChanged,
            4 => ZkEventKind::ChildrenChanged,
            other => ZkEventKind::Other(other),
        };
        let _state = reader.int()?;
        Ok(Self { kind, path: reader.string()? })
    }
}

/// What a watch tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZkEventKind {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was changed.
    DataChanged,
    /// A child came or went.
    ChildrenChanged,
    /// Something else, by its number.
    Other(i32),
}
