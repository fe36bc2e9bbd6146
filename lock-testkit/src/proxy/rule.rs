//! Faults of single requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::wait::scaled;

/// What becomes of a connection that has lost a reply. Replies have no number in RESP, so the next
/// one would be taken for the lost one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Swallow {
    /// It is closed, when the replies before it are through.
    #[default]
    ThenCut,
    /// It stays open, and nothing passes any more in either direction.
    ThenSilence,
}

/// The reply that is to be lost. Dropping this does not call it off.
#[derive(Clone, Debug)]
pub struct SwallowHandle {
    rule: Arc<SwallowRule>,
}

impl SwallowHandle {
    /// Whether the reply was lost: the command was applied, and the client will not hear of it.
    pub fn has_landed(&self) -> bool {
        *self.rule.landed.borrow()
    }

    /// Waits until the reply is lost.
    ///
    /// # Panics
    ///
    /// When it is not within `deadline`.
    pub async fn landed(&self, deadline: Duration) {
        let mut landed = self.rule.landed.subscribe();
        let lost = timeout(scaled(deadline), landed.wait_for(|landed| *landed)).await;
        assert!(lost.is_ok(), "no reply was swallowed within {deadline:?}");
    }

    /// Calls it off, if no command has matched yet.
    pub fn disarm(&self) {
        self.rule.armed.send_replace(false);
    }
}

/// Requests that are held back. They go on when this is released or dropped.
#[derive(Debug)]
#[must_use = "requests are held until this is dropped"]
pub struct HoldHandle {
    rule: Arc<HoldRule>,
}

impl HoldHandle {
    /// How many connections stand still now, each at a command that matches.
    pub fn holding(&self) -> usize {
        *self.rule.holding.borrow()
    }

    /// Waits until a connection stands still at a command that matches.
    ///
    /// # Panics
    ///
    /// When none does within `deadline`.
    pub async fn held(&self, deadline: Duration) {
        let mut holding = self.rule.holding.subscribe();
        let held = timeout(scaled(deadline), holding.wait_for(|count| *count > 0)).await;
        assert!(held.is_ok(), "no request was held within {deadline:?}");
    }

    /// Lets everything go on, and holds nothing any more.
    pub fn release(self) {}
}

impl Drop for HoldHandle {
    fn drop(&mut self) {
        self.rule.released.send_replace(true);
    }
}

pub(super) type Matcher = Box<dyn Fn(&[Bytes]) -> bool + Send + Sync>;

/// The rules of a proxy, and what it has counted.
#[derive(Debug, Default)]
pub(super) struct Rules {
    swallows: Vec<Arc<SwallowRule>>,
    holds: Vec<Weak<HoldRule>>,
    pub(super) seen: BTreeMap<String, u64>,
    pub(super) notifications_lost: u64,
}

impl Rules {
    pub(super) fn swallow(&mut self, then: Swallow, matcher: Matcher) -> SwallowHandle {
        let rule = Arc::new(SwallowRule {
            matcher,
            then,
            armed: watch::Sender::new(true),
            landed: watch::Sender::new(false),
        });
        self.swallows.push(Arc::clone(&rule));
        SwallowHandle { rule }
    }

    pub(super) fn hold(&mut self, matcher: Matcher) -> HoldHandle {
        let rule = Arc::new(HoldRule {
            matcher,
            released: watch::Sender::new(false),
            holding: watch::Sender::new(0),
        });
        self.holds.push(Arc::downgrade(&rule));
        HoldHandle { rule }
    }

    pub(super) fn count(&mut self, words: &[Bytes]) {
        if let Some(name) = words.first() {
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            *self.seen.entry(name).or_default() += 1;
        }
    }

    /// The rule that wants this command's reply; it has no other chance.
    pub(super) fn take_swallow(&mut self, words: &[Bytes]) -> Option<Arc<SwallowRule>> {
        self.swallows.retain(|rule| *rule.armed.borrow());
        let matching = self.swallows.iter().position(|rule| (rule.matcher)(words))?;
        Some(self.swallows.remove(matching))
    }

    /// The rule that holds this command back.
    pub(super) fn hold_for(&mut self, words: &[Bytes]) -> Option<Arc<HoldRule>> {
        self.holds.retain(|rule| rule.strong_count() > 0);
        let mut rules = self.holds.iter().filter_map(Weak::upgrade);
        rules.find(|rule| !*rule.released.borrow() && (rule.matcher)(words))
    }
}

pub(super) struct SwallowRule {
    matcher: Matcher,
    pub(super) then: Swallow,
    armed: watch::Sender<bool>,
    landed: watch::Sender<bool>,
}

impl SwallowRule {
    pub(super) fn land(&self) {
        self.landed.send_replace(true);
    }
}

pub(super) struct HoldRule {
    matcher: Matcher,
    released: watch::Sender<bool>,
    holding: watch::Sender<usize>,
}

impl HoldRule {
    /// Waits until the handle lets go.
    pub(super) async fn pass(&self) {
        let _held = Held::new(&self.holding);
        // The sender lives as long as this, so waiting cannot fail.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}

/// Counts a connection that stands still.
struct Held<'a>(&'a watch::Sender<usize>);

impl<'a> Held<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for SwallowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landed = *self.landed.borrow();
        f.debug_struct("SwallowRule").field("then", &self.then).field("landed", &landed).finish()
    }
}

impl fmt::Debug for HoldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holding = *self.holding.borrow();
        f.debug_struct("HoldRule").field("holding", &holding).finish()
    }
}
