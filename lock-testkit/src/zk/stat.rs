//! What a server knows of a node.

use crate::zk::error::ZkError;
use crate::zk::jute::Reader;

/// What a server knows of a node besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZkStat {
    /// The transaction that created it.
    pub czxid: i64,
    /// The transaction that last changed its data.
    pub mzxid: i64,
    /// When it was created, in milliseconds of the server's clock since 1970.
    pub ctime: i64,
    /// When its data was last changed, in milliseconds of the server's clock since 1970.
    pub mtime: i64,
    /// How often its data was changed.
    pub version: i32,
    /// How often its children came and went; for the next sequential child, its number.
    pub cversion: i32,
    /// How often its ACL was changed.
    pub aversion: i32,
    /// The session it hangs on, or 0, also of a container and of a node with a TTL.
    pub ephemeral_owner: i64,
    /// How long its data is.
    pub data_length: i32,
    /// How many children it has.
    pub num_children: i32,
    /// The transaction that last created or deleted a child.
    pub pzxid: i64,
}

impl ZkStat {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ZkError> {
        Ok(Self {
            czxid: reader.long()?,
            mzxid: reader.long()?,
            ctime: reader.long()?,
            mtime: reader.long()?,
            version: reader.int()?,
            cversion: reader.int()?,
            aversion: reader.int()?,
            ephemeral_owner: reader.long()?,
            data_length: reader.int()?,
            num_children: reader.int()?,
            pzxid: reader.long()?,
        })
    }
}
