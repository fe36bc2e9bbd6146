//! Ours, as an application uses it: through the handles, which go through `dyn Lock`.

use anyhow::{Result, bail};
use lockcore::{Locks, Mutex, RwLock, Semaphore};

use super::names;
use crate::subjects::{At, CLIENTS, PERMIT, PERMITS, READ, Subject, WRITE};
use crate::workload::Workload;

/// Clients with handles for all names.
pub(crate) struct Ours {
    name: &'static str,
    clients: Vec<Vec<Handle>>,
}

enum Handle {
    Mutex(Mutex),
    Read(RwLock),
    Write(RwLock),
    Permit(Semaphore),
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
            let handle = |(at, name): (usize, &String)| Handle::new(&locks, at, name);
            clients.push(names.iter().enumerate().map(handle).collect::<Result<_>>()?);
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
        let guard = match &self.clients[at.client][at.name] {
            Handle::Mutex(mutex) => mutex.lock().await?,
            Handle::Read(table) => table.read().await?,
            Handle::Write(table) => table.write().await?,
            Handle::Permit(slots) => slots.acquire().await?,
        };
        inside().await;
        guard.release().await?;
        Ok(())
    }

    async fn is_taken(&self, at: At) -> Result<bool> {
        let Handle::Mutex(mutex) = &self.clients[at.client][at.name] else {
            bail!("BUG: no mutex");
        };
        Ok(match mutex.try_lock().await? {
            Some(guard) => {
                guard.release().await?;
                true
            }
            None => false,
        })
    }

    fn does(&self, workload: Workload) -> bool {
        !matches!(workload, Workload::Command { .. })
    }
}

impl Handle {
    fn new(locks: &Locks, at: usize, name: &str) -> Result<Self> {
        Ok(match at {
            READ => Self::Read(locks.rw_lock(name)?),
            WRITE => Self::Write(locks.rw_lock(name)?),
            PERMIT => Self::Permit(locks.semaphore(name, PERMITS as u32)?),
            _ => Self::Mutex(locks.mutex(name)?),
        })
    }
}
