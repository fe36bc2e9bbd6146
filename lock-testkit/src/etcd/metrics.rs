//! What a server counts.

use std::collections::BTreeMap;

use crate::etcd::gateway;
use crate::etcd::server::Etcd;

/// What it counts, since it was started. Each panics when it does not reply within ten seconds.
///
/// The kit's own requests count among the RPCs: compare what nothing of the kit calls meanwhile.
/// Reading counters is no RPC.
impl Etcd {
    /// All that it counts, by name and labels, as `name{label="…",other="…"}`.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        match gateway::get(self.observer(), "/metrics").await {
            Ok(text) => parse(&text),
            Err(error) => panic!("no metrics of {}: {error}", self.addr()),
        }
    }

    /// One of its [`metrics`](Etcd::metrics): that of exactly this name and these labels, or of
    /// a name without labels the sum over all labels, and 0 if there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics().await;
        let of_name = |full: &str| full == name || full.split('{').next() == Some(name);
        metrics.iter().filter(|(full, _)| of_name(full)).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// How many RPCs of this method were begun, as `Txn`, `LeaseKeepAlive` or `Watch`.
    pub async fn rpcs(&self, method: &str) -> u64 {
        self.rpc_metric("grpc_server_started_total", method).await
    }

    /// How many messages it has sent for this method: those of a stream, or one for each reply.
    pub async fn messages_sent(&self, method: &str) -> u64 {
        self.rpc_metric("grpc_server_msg_sent_total", method).await
    }

    /// How many messages it has received for this method.
    pub async fn messages_received(&self, method: &str) -> u64 {
        self.rpc_metric("grpc_server_msg_received_total", method).await
    }

    /// How many watches there are.
    pub async fn watchers(&self) -> u64 {
        whole(self.metric("etcd_debugging_mvcc_watcher_total").await)
    }

    /// How many of the watches lag behind.
    pub async fn slow_watchers(&self) -> u64 {
        whole(self.metric("etcd_debugging_mvcc_slow_watcher_total").await)
    }

    /// How many streams of watches there are.
    pub async fn watch_streams(&self) -> u64 {
        whole(self.metric("etcd_debugging_mvcc_watch_stream_total").await)
    }

    async fn rpc_metric(&self, name: &str, method: &str) -> u64 {
        let method = format!("grpc_method=\"{method}\"");
        let metrics = self.metrics().await;
        // gRPC's own service of health has a method `Watch` too.
        let ours = |full: &str| {
            full.starts_with(&format!("{name}{{"))
                && full.contains(&method)
                && !full.contains("grpc_service=\"grpc.")
        };
        whole(metrics.iter().filter(|(full, _)| ours(full)).map(|(_, value)| value).sum())
    }
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_numbers_are_read() {
        let text = "# HELP a It is.\na 1.5e+06\nb{x=\"1 2\",le=\"+Inf\"} 3\nc NaN\n";
        let metrics = parse(text);
        assert_eq!(metrics["a"], 1_500_000.0);
        assert_eq!(metrics["b{x=\"1 2\",le=\"+Inf\"}"], 3.0);
        assert_eq!(metrics.len(), 3);
    }
}
