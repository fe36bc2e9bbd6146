//! Ours, as an application uses it: through the handles, which go through `dyn Lock`.

use anyhow::Result;
use lockcore::{Locks, Mutex};

use super::{CLIENTS, names};
use crate::subjects::{At, Subject};

/// Clients with handles for all names.
pub(crate) struct Ours {
    name: &'static str,
    clients: Vec<Vec<Mutex>>,
}

impl Ours {
    /// As many clients as compete, each connected by itself.
    pub(crate) async fn connect(
        name: &'static str,
        connect: impl AsyncFn() -> Result<Locks>,
    ) -> Result<Self> {
        let names = names(name);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let locks = connect().await?;
            clients.push(names.iter().map(|name| locks.mutex(name)).collect::<Result<_, _>>()?);
        }
        Ok(Self { name, clients })
    }
}

impl Subject for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn cycle<F>(&self, at: At, inside: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let guard = self.clients[at.client][at.name].lock().await?;
        inside().await;
        guard.release().await?;
        Ok(())
    }
}
