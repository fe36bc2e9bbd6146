//! What a server counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::zk::event::ZkEventKind;
use crate::zk::server::Zk;
use crate::zk::words::id;

/// What it counts, since it was started. Each panics when it does not reply within ten seconds.
///
/// The kit's own requests count too: compare what nothing of the kit asks for meanwhile. Each look at
/// counters or sessions is a packet received and a connection. The requests of one client are in
/// [`ZkSession::received`](crate::ZkSession::received) alone.
impl Zk {
    /// All numbers that it counts, by name, as `zk_packets_received`, `zk_ephemerals_count` or
    /// `zk_outstanding_requests`.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        numbers(&self.must_tell("mntr").await)
    }

    /// One of its [`metrics`](Zk::metrics), and 0 if there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        self.metrics().await.get(name).copied().unwrap_or(0.0)
    }

    /// The nodes that are watched, each with the sessions that watch it.
    pub async fn watches(&self) -> BTreeMap<String, BTreeSet<i64>> {
        watches(&self.must_tell("wchp").await)
    }

    /// The nodes that a session watches.
    pub async fn watches_of(&self, session: i64) -> Vec<String> {
        let all = self.watches().await.into_iter();
        all.filter(|(_, by)| by.contains(&session)).map(|(path, _)| path).collect()
    }

    /// How many watches there are. A session may watch a node twice, for its data and its children.
    pub async fn watch_count(&self) -> u64 {
        whole(self.metric("zk_watch_count").await)
    }

    /// How many watches have fired for this reason. A session that watched the data and the
    /// children of a node that is deleted hears of it once, and counts twice.
    pub async fn watches_fired(&self, kind: ZkEventKind) -> u64 {
        let name = match kind {
            ZkEventKind::Created => "zk_sum_node_created_watch_count",
            ZkEventKind::Deleted => "zk_sum_node_deleted_watch_count",
            ZkEventKind::DataChanged => "zk_sum_node_changed_watch_count",
            ZkEventKind::ChildrenChanged => "zk_sum_node_children_watch_count",
            ZkEventKind::Other(_) => return 0,
        };
        whole(self.metric(name).await)
    }

    /// How many watches have fired for any reason.
    pub async fn all_watches_fired(&self) -> u64 {
        let fired = |name: &str| name.starts_with("zk_sum_node_") && name.ends_with("_watch_count");
        let metrics = self.metrics().await;
        whole(metrics.iter().filter(|(name, _)| fired(name)).map(|(_, value)| value).sum())
    }
}

fn numbers(text: &str) -> BTreeMap<String, f64> {
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

fn watches(text: &str) -> BTreeMap<String, BTreeSet<i64>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut path = String::new();
    for line in text.lines() {
        if line.starts_with('/') {
            line.clone_into(&mut path);
        } else if let Some(session) = id(line.trim()) {
            found.entry(path.clone()).or_default().insert(session);
        }
    }
    found
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let found =
            numbers("zk_version\t3.8.0-x, built on\nzk_avg_latency\t3.5\nzk_watch_count\t2\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found["zk_avg_latency"], found["zk_watch_count"]), (3.5, 2.0));
    }

    #[test]
    fn watches_are_read() {
        let found = watches("/a b\n\t0x10001\n\t0xffffffffffffffff\n/c\n\t0x10001\n\n");
        assert_eq!(found["/a b"], BTreeSet::from([-1, 0x10001]));
        assert_eq!(found["/c"], BTreeSet::from([0x10001]));
    }
}
