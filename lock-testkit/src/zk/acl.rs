//! Who may do what with a node, and what kind of node it is.

use std::time::Duration;

use crate::zk::digest::digest;
use crate::zk::error::ZkError;
use crate::zk::jute::{Reader, Writer};

/// What somebody may do with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZkAcl {
    /// The sum of [`READ`](ZkAcl::READ) and the like.
    pub permissions: i32,
    /// How somebody is known, as `world` or `digest`.
    pub scheme: String,
    /// Who it is, as `anyone`.
    pub id: String,
}

impl ZkAcl {
    /// May read its data and list its children.
    pub const READ: i32 = 1;
    /// May write its data.
    pub const WRITE: i32 = 2;
    /// May create children.
    pub const CREATE: i32 = 4;
    /// May delete children.
    pub const DELETE: i32 = 8;
    /// May change its ACL.
    pub const ADMIN: i32 = 16;
    /// May do all of it.
    pub const ALL: i32 = 31;

    /// Anybody may do this.
    pub fn anyone(permissions: i32) -> Self {
        Self { permissions, scheme: "world".to_owned(), id: "anyone".to_owned() }
    }

    /// Who has authenticated as this user by `digest` may do this.
    pub fn user(user: &str, password: &str, permissions: i32) -> Self {
        Self { permissions, scheme: "digest".to_owned(), id: digest(user, password) }
    }

    pub(crate) fn write_all(list: &[Self], writer: Writer) -> Writer {
        let length = i32::try_from(list.len()).expect("an ACL is a short list");
        list.iter().fold(writer.int(length), |writer, acl| {
            writer.int(acl.permissions).string(&acl.scheme).string(&acl.id)
        })
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ZkError> {
        let permissions = reader.int()?;
        Ok(Self { permissions, scheme: reader.string()?, id: reader.string()? })
    }
}

/// What kind of node is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZkMode {
    /// Stays until somebody deletes it.
    Persistent,
    /// Stays, and its name is ended with a number.
    PersistentSequential,
    /// Goes with the session that created it.
    Ephemeral,
    /// Goes with its session, and its name is ended with a number.
    EphemeralSequential,
    /// Goes some time after its last child.
    Container,
    /// Goes when it is not written for so long and has no children.
    /// Needs [`extended_types`](crate::ZkOptions::extended_types).
    Ttl(Duration),
}

impl ZkMode {
    pub(crate) fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::Ttl(_) => 5,
        }
    }
}
