#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acquisition;
mod audit;
pub mod clock;
mod detached;
mod driver;
mod engine;
mod engine_lease;
mod error;
mod fence;
mod guarantees;
mod guard;
mod handle;
mod inspect;
mod keeper;
mod lanes;
mod lease;
mod lock;
mod locks;
mod mutex;
mod name;
pub mod options;
mod pace;
pub mod queue;
pub mod record;
mod request;
#[cfg(not(shuttle))]
mod rt;
#[cfg(shuttle)]
#[doc(hidden)]
pub mod rt;
mod rw_lock;
mod semaphore;
mod tally;
mod telemetry;
pub mod term;
mod token;
mod ttl;
mod withdrawal;

pub use clock::{BootInstant, sleep_until};
pub use driver::{Driver, Entry, EntryId, Renewed, Sessions, Standing, Wake, Withdrawn};
pub use engine::{Engine, EngineConfig};
pub use error::{Error, ErrorKind, Result};
pub use fence::{Gate, StaleToken};
pub use guarantees::{Guarantees, Rule};
pub use guard::{Guard, Held};
pub use inspect::{Claim, Inspection};
pub use lease::{Lease, LossCause, Released};
pub use lock::{Lock, TryLock};
pub use locks::Locks;
pub use mutex::Mutex;
pub use name::LockName;
pub use request::{Mode, OwnerLabel, Renewal, Request};
pub use rw_lock::RwLock;
pub use semaphore::Semaphore;
pub use term::Term;
pub use token::FencingToken;
pub use ttl::Ttl;
