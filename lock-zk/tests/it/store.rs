//! A server, or an ensemble of three.

use futures_util::future::join_all;
use lock_testkit::Zk;

/// A store of one member or more.
#[derive(Debug)]
pub(crate) enum Store {
    Single(Box<Zk>),
}

impl Store {
    pub(crate) async fn single() -> Self {
        Self::Single(Box::new(Zk::start().await))
    }

    pub(crate) fn members(&self) -> &[Zk] {
        match self {
            Self::Single(server) => std::slice::from_ref(&**server),
        }
    }

    /// Any member: all know the same.
    pub(crate) fn any(&self) -> &Zk {
        &self.members()[0]
    }

    pub(crate) async fn restart(&self) {
        // One alone of several cannot serve.
        self.members().iter().for_each(Zk::kill);
        join_all(self.members().iter().map(Zk::restart)).await;
    }
}
