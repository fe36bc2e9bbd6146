//! What the links and calls of a proxy share with it.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::message::PREFIX;
use super::rule::{self, CallRule, Kind, ReplySwallow, Rule, SwallowRule};
use crate::proxy::counts_down;

#[derive(Debug)]
pub(super) struct Shared {
    book: Mutex<Book>,
    resets: watch::Sender<u64>,
    connections: AtomicUsize,
}

/// Everything that is asked and changed in one go.
#[derive(Debug)]
struct Book {
    target: SocketAddr,
    rules: Vec<Weak<Rule>>,
    swallows: Vec<Arc<SwallowRule>>,
    record: Vec<Arc<str>>,
    open: BTreeMap<u64, Open>,
    next: u64,
    /// How many messages went to the server and to the client, for each path.
    messages: BTreeMap<Arc<str>, [u64; 2]>,
    /// The patterns of paths whose requests are kept, and those of the past.
    kept: Vec<(String, Vec<Bytes>)>,
}

#[derive(Debug)]
struct Open {
    path: Arc<str>,
    kill: oneshot::Sender<()>,
}

/// A direction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Reply,
}

impl Shared {
    pub(super) fn new(target: SocketAddr) -> Self {
        let book = Book {
            target,
            rules: Vec::new(),
            swallows: Vec::new(),
            record: Vec::new(),
            open: BTreeMap::new(),
            next: 0,
            messages: BTreeMap::new(),
            kept: Vec::new(),
        };
        let (resets, connections) = (watch::Sender::new(0), AtomicUsize::new(0));
        Self { book: Mutex::new(book), resets, connections }
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.book().target
    }

    pub(super) fn set_target(&self, target: SocketAddr) {
        self.book().target = target;
    }

    pub(super) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Tells when the links of now are to be reset.
    pub(super) fn resets(&self) -> watch::Receiver<u64> {
        self.resets.subscribe()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn record(&self) -> Vec<String> {
        self.book().record.iter().map(|path| path.to_string()).collect()
    }

    pub(super) fn calls(&self, pattern: &str) -> u64 {
        let book = self.book();
        let matching = book.record.iter().filter(|path| rule::matches(pattern, path));
        matching.map(|_| 1).sum()
    }

    pub(super) fn open(&self, pattern: &str) -> usize {
        self.book().open.values().filter(|open| rule::matches(pattern, &open.path)).count()
    }

    pub(super) fn messages(&self, pattern: &str, way: Way) -> u64 {
        let book = self.book();
        let matching = book.messages.iter().filter(|(path, _)| rule::matches(pattern, path));
        matching.map(|(_, counts)| counts[way as usize]).sum()
    }

    pub(super) fn keep(&self, pattern: &str) {
        self.book().kept.push((pattern.to_owned(), Vec::new()));
    }

    pub(super) fn kept(&self, pattern: &str) -> Vec<Bytes> {
        let book = self.book();
        let kept = book.kept.iter().find(|(kept, _)| kept == pattern);
        kept.map(|(_, messages)| messages.clone()).unwrap_or_default()
    }

    pub(super) fn add_rule(&self, path: &str, kind: Kind) -> CallRule {
        let rule = Arc::new(Rule::new(path, kind));
        self.book().rules.push(Arc::downgrade(&rule));
        CallRule { rule }
    }

    pub(super) fn add_swallow(&self, rule: SwallowRule) -> ReplySwallow {
        let rule = Arc::new(rule);
        self.book().swallows.push(Arc::clone(&rule));
        ReplySwallow { rule }
    }

    /// Tells all open calls that match to end, and how many they are.
    pub(super) fn kill(&self, pattern: &str) -> usize {
        let mut book = self.book();
        let (matching, others) = mem::take(&mut book.open)
            .into_iter()
            .partition(|(_, open)| rule::matches(pattern, &open.path));
        book.open = others;
        let matching: BTreeMap<_, Open> = matching;
        // A call that ends at this moment does not listen, and does not count.
        matching.into_values().filter_map(|open| open.kill.send(()).ok()).count()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call is to the proxy.
#[derive(Debug)]
pub(super) struct Ticket {
    shared: Arc<Shared>,
    id: u64,
    path: Arc<str>,
    pub(super) swallow: Option<Arc<SwallowRule>>,
    /// The rule that refuses it.
    pub(super) fail: Option<Arc<Rule>>,
    pub(super) killed: oneshot::Receiver<()>,
}

impl Ticket {
    /// A call has come.
    pub(super) fn new(shared: &Arc<Shared>, path: &str) -> Self {
        let path: Arc<str> = path.into();
        let mut book = shared.book();
        book.record.push(Arc::clone(&path));
        book.next += 1;
        let id = book.next;
        let (kill, killed) = oneshot::channel();
        book.open.insert(id, Open { path: Arc::clone(&path), kill });

        let mut fail: Option<Arc<Rule>> = None;
        book.rules.retain(|rule| rule.strong_count() > 0);
        for rule in book.rules.iter().filter_map(Weak::upgrade) {
            let Kind::Fail { left, .. } = &rule.kind else { continue };
            let turn = |left| counts_down(left, fail.is_some());
            if rule.is_for(&path) && left.as_ref().is_none_or(turn) {
                fail.get_or_insert(rule);
            }
        }
        let mut swallow = None;
        book.swallows.retain(|rule| {
            // A call that is refused has no reply to lose.
            if rule.is_its_turn(&path, fail.is_some() || swallow.is_some()) {
                swallow = Some(Arc::clone(rule));
            }
            rule.is_armed()
        });
        drop(book);
        Self { shared: Arc::clone(shared), id, path, swallow, fail, killed }
    }

    /// The rule that lets nothing pass in this direction now.
    pub(super) fn barrier(&self, way: Way) -> Option<Arc<Rule>> {
        self.rule(|kind| match kind {
            Kind::Hold => way == Way::Request,
            Kind::HoldReplies => way == Way::Reply,
            Kind::Stall => true,
            _ => false,
        })
    }

    /// The rule that drops what the server says.
    pub(super) fn black_hole(&self) -> Option<Arc<Rule>> {
        self.rule(|kind| matches!(kind, Kind::BlackHole))
    }

    /// How long what the client says now takes on its way.
    pub(super) fn delay(&self) -> Duration {
        let rule = self.rule(|kind| matches!(kind, Kind::Delay(_)));
        match rule.as_deref() {
            Some(rule @ Rule { kind: Kind::Delay(delay), .. }) => {
                rule.strike();
                *delay
            }
            _ => Duration::ZERO,
        }
    }

    /// A message goes on.
    pub(super) fn count(&self, way: Way) {
        let mut book = self.shared.book();
        book.messages.entry(Arc::clone(&self.path)).or_default()[way as usize] += 1;
    }

    /// Keeps a message to the server, if that is wanted.
    pub(super) fn keep(&self, message: &Bytes) {
        for (pattern, messages) in &mut self.shared.book().kept {
            if rule::matches(pattern, &self.path) {
                messages.push(message.slice(PREFIX.min(message.len())..));
            }
        }
    }

    fn rule(&self, wanted: impl Fn(&Kind) -> bool) -> Option<Arc<Rule>> {
        let book = self.shared.book();
        let mut rules = book.rules.iter().filter_map(Weak::upgrade);
        rules.find(|rule| wanted(&rule.kind) && rule.is_for(&self.path))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.book().open.remove(&self.id);
    }
}

/// A connection, while it is there.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
