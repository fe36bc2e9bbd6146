//! The resource's side of fencing.

use std::collections::HashMap;
use std::fmt;

use crate::FencingToken;

/// Remembers the greatest token seen for each resource and refuses older ones.
///
/// A resource is whatever the lock protects, by a name of your choice: often the lock's own. Ask
/// the gate inside the same critical section as the write that it guards: between the check and the
/// write no newer token may come in. A resource that outlives the process keeps the maximum beside
/// its data and tells it to the gate with [`Gate::observe`], or does without a gate; the rule is
/// the same everywhere:
///
/// ```sql
/// UPDATE orders SET state = 'charged', fence = :token WHERE id = :id AND fence <= :token
/// ```
///
/// In etcd it is a comparison in the transaction that writes (`mod_revision` or value of the fence
/// key), in Redis a script that compares before it sets.
///
/// A gate keeps every resource that it was ever asked about: a resource with endless names keeps the
/// tokens beside its data.
///
/// ```
/// use lockcore::{FencingToken, Gate};
///
/// let (old, new) = (FencingToken::new(33).unwrap(), FencingToken::new(34).unwrap());
///
/// let mut gate = Gate::new();
/// assert!(gate.admit("orders/123", new).is_ok());
/// assert!(gate.admit("orders/123", new).is_ok(), "a holder may write many times");
/// assert_eq!(gate.admit("orders/123", old).unwrap_err().newest(), new);
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    newest: HashMap<String, FencingToken>,
}

impl Gate {
    /// A gate that has seen no token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `token` through and remembers it, or refuses it because a newer one was here.
    ///
    /// # Errors
    ///
    /// [`StaleToken`], with both tokens. The write must not be made.
    pub fn admit(&mut self, resource: &str, token: FencingToken) -> Result<(), StaleToken> {
        match self.observe(resource, token) {
            newest if newest > token => Err(StaleToken { offered: token, newest }),
            _ => Ok(()),
        }
    }

    /// Takes notice of a token that the resource was written with before, and returns the greatest
    /// seen by now.
    pub fn observe(&mut self, resource: &str, token: FencingToken) -> FencingToken {
        match self.newest.get_mut(resource) {
            Some(newest) => {
                *newest = token.max(*newest);
                *newest
            }
            None => {
                self.newest.insert(resource.to_owned(), token);
                token
            }
        }
    }

    /// The greatest token seen for `resource`.
    #[must_use]
    pub fn newest(&self, resource: &str) -> Option<FencingToken> {
        self.newest.get(resource).copied()
    }
}

/// A write came with the token of a holder that others have followed since.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StaleToken {
    offered: FencingToken,
    newest: FencingToken,
}

impl StaleToken {
    /// The token that was refused.
    #[must_use]
    pub fn offered(&self) -> FencingToken {
        self.offered
    }

    /// The greatest token seen before.
    #[must_use]
    pub fn newest(&self) -> FencingToken {
        self.newest
    }
}

impl fmt::Debug for StaleToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaleToken({} < {})", self.offered, self.newest)
    }
}

impl fmt::Display for StaleToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fencing token {} is stale: {} was seen already", self.offered, self.newest)
    }
}

impl std::error::Error for StaleToken {}
