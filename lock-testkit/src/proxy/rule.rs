//! Faults of single requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::End;
use super::record::Frame;
use crate::wait::scaled;

/// What becomes of a connection that has lost a reply. Replies have no number in RESP, so the next
/// one would be taken for the lost one; in ZooKeeper's protocol they have one, and a client takes
/// it for an error when they are out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Swallow {
    /// It is closed, when the replies before it are through: the client reads an end of file.
    #[default]
    ThenCut,
    /// It stays open, and nothing passes any more in either direction.
    ThenSilence,
    /// It is closed by `RST`, when the replies before it are through. What the client has not read
    /// by then may be lost to it. Not for gRPC.
    ThenReset,
    /// It stays open and looks alive: requests go on to the server and are applied, and nothing
    /// comes back but the answers to pings. For ZooKeeper only.
    ThenPings,
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

    /// Calls it off, if its command has not come yet.
    pub fn disarm(&self) {
        self.rule.left.store(DISARMED, Ordering::SeqCst);
    }
}

/// Requests or replies that are held back. They go on when this is released or dropped.
#[derive(Debug)]
#[must_use = "they are held until this is dropped"]
pub struct HoldHandle {
    rule: Arc<HoldRule>,
}

impl HoldHandle {
    fn new(matcher: Matcher) -> Self {
        let (fate, holding) = (watch::Sender::new(Fate::Held), watch::Sender::new(0));
        Self { rule: Arc::new(HoldRule { matcher, fate, holding }) }
    }

    /// How many connections stand still now, each at a command that matches or at its reply.
    pub fn holding(&self) -> usize {
        *self.rule.holding.borrow()
    }

    /// Waits until a connection stands still at a command that matches or at its reply.
    ///
    /// # Panics
    ///
    /// When none does within `deadline`.
    pub async fn held(&self, deadline: Duration) {
        let mut holding = self.rule.holding.subscribe();
        let held = timeout(scaled(deadline), holding.wait_for(|count| *count > 0)).await;
        assert!(held.is_ok(), "nothing was held within {deadline:?}");
    }

    /// Lets everything go on, and holds nothing any more.
    pub fn release(self) {}

    /// Closes the connections that stand still, so that what was held never reaches its other end,
    /// and holds nothing any more. What was before it is through.
    pub fn close(self) {
        self.end(End::Closed);
    }

    /// As [`close`](HoldHandle::close), by `RST`.
    pub fn reset(self) {
        self.end(End::Reset);
    }

    fn end(&self, end: End) {
        self.rule.fate.send_replace(Fate::Over(end));
    }
}

impl Drop for HoldHandle {
    fn drop(&mut self) {
        self.rule.fate.send_if_modified(|fate| {
            let held = *fate == Fate::Held;
            if held {
                *fate = Fate::Released;
            }
            held
        });
    }
}

pub(super) type Matcher = Box<dyn Fn(&[Bytes]) -> bool + Send + Sync>;

/// The rules of a proxy, and what it has counted.
#[derive(Debug, Default)]
pub(super) struct Rules {
    swallows: Vec<Arc<SwallowRule>>,
    holds: Vec<Weak<HoldRule>>,
    reply_holds: Vec<Weak<HoldRule>>,
    pub(super) seen: BTreeMap<String, u64>,
    pub(super) notifications_lost: u64,
    /// Those that have passed, by the number of their link.
    pub(super) notifications: BTreeMap<usize, u64>,
    pub(super) record: Vec<Frame>,
}

impl Rules {
    pub(super) fn swallow(&mut self, nth: u64, then: Swallow, matcher: Matcher) -> SwallowHandle {
        let rule = Arc::new(SwallowRule {
            matcher,
            then,
            left: AtomicU64::new(nth),
            landed: watch::Sender::new(false),
        });
        self.swallows.push(Arc::clone(&rule));
        SwallowHandle { rule }
    }

    pub(super) fn hold(&mut self, matcher: Matcher) -> HoldHandle {
        let handle = HoldHandle::new(matcher);
        self.holds.push(Arc::downgrade(&handle.rule));
        handle
    }

    pub(super) fn hold_reply(&mut self, matcher: Matcher) -> HoldHandle {
        let handle = HoldHandle::new(matcher);
        self.reply_holds.push(Arc::downgrade(&handle.rule));
        handle
    }

    pub(super) fn count(&mut self, name: Option<String>) {
        if let Some(name) = name {
            *self.seen.entry(name).or_default() += 1;
        }
    }

    pub(super) fn count_notification(&mut self, link: usize) {
        *self.notifications.entry(link).or_default() += 1;
    }

    /// The rule about this command's reply. One that loses it comes before one that holds it.
    pub(super) fn of_reply(&mut self, words: &[Bytes]) -> Option<ReplyRule> {
        let swallow = self.take_swallow(words).map(ReplyRule::Swallow);
        swallow.or_else(|| Some(ReplyRule::Hold(holds(&mut self.reply_holds, words)?)))
    }

    /// The rule that wants this command's reply; it has no other chance.
    fn take_swallow(&mut self, words: &[Bytes]) -> Option<Arc<SwallowRule>> {
        self.swallows.retain(|rule| rule.left.load(Ordering::SeqCst) != DISARMED);
        let mut taken = None;
        for rule in &self.swallows {
            if (rule.matcher)(words) && counts_down(&rule.left, taken.is_some()) {
                taken = Some(Arc::clone(rule));
            }
        }
        taken
    }

    /// The rule that holds this command back.
    pub(super) fn hold_for(&mut self, words: &[Bytes]) -> Option<Arc<HoldRule>> {
        holds(&mut self.holds, words)
    }
}

fn holds(rules: &mut Vec<Weak<HoldRule>>, words: &[Bytes]) -> Option<Arc<HoldRule>> {
    rules.retain(|rule| rule.strong_count() > 0);
    let mut rules = rules.iter().filter_map(Weak::upgrade);
    rules.find(|rule| *rule.fate.borrow() == Fate::Held && (rule.matcher)(words))
}

/// What is to become of a reply.
#[derive(Clone, Debug)]
pub(super) enum ReplyRule {
    Swallow(Arc<SwallowRule>),
    Hold(Arc<HoldRule>),
}

pub(super) struct SwallowRule {
    matcher: Matcher,
    pub(super) then: Swallow,
    /// How many commands are still to come until its own; see [`counts_down`].
    left: AtomicU64,
    landed: watch::Sender<bool>,
}

impl SwallowRule {
    pub(super) fn land(&self) {
        self.landed.send_replace(true);
    }
}

pub(super) struct HoldRule {
    matcher: Matcher,
    fate: watch::Sender<Fate>,
    holding: watch::Sender<usize>,
}

impl HoldRule {
    /// Waits until the handle lets go, and returns how the link ends if it does.
    pub(super) async fn pass(&self) -> Option<End> {
        let _held = Held::new(&self.holding);
        // The sender lives as long as this, so waiting cannot fail.
        let _ = self.fate.subscribe().wait_for(|fate| *fate != Fate::Held).await;
        match *self.fate.borrow() {
            Fate::Held | Fate::Released => None,
            Fate::Over(end) => Some(end),
        }
    }
}

/// What becomes of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Held,
    Released,
    Over(End),
}

/// Whether this is the last of those that `left` counts. Who asks holds the lock of all rules.
pub(crate) fn counts_down(left: &AtomicU64, taken: bool) -> bool {
    // One step, for the handle disarms without that lock.
    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| match now {
        DISARMED => None,
        1 if taken => None,
        now => Some(now - 1),
    });
    before == Ok(1)
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

pub(crate) const DISARMED: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_is_hit_once_and_a_taken_one_is_left_for_the_next() {
        let left = AtomicU64::new(2);
        let hits: Vec<_> =
            [false, true, true, false, false].map(|taken| counts_down(&left, taken)).to_vec();
        assert_eq!(hits, [false, false, false, true, false]);
    }
}
