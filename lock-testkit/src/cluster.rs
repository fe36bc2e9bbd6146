//! A Redis Cluster of three masters.

use std::time::Duration;

use crate::redis::Redis;
use crate::redis_options::{Flavour, RedisOptions};
use crate::resp::{Resp, Value};
use crate::wait::eventually;

/// Three masters on 127.0.0.1 that share the slots, killed when this is dropped.
///
/// A dead master is declared so after two seconds, and then nobody answers, as a slot is missing.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts one, and returns when all its nodes say that it is whole.
    ///
    /// # Panics
    ///
    /// When it is not within 30 s.
    pub async fn start(flavour: Flavour) -> Self {
        Self::start_with(RedisOptions::new(flavour)).await
    }

    /// Starts one of nodes with these options.
    ///
    /// # Panics
    ///
    /// When it is not whole within 30 s.
    pub async fn start_with(options: RedisOptions) -> Self {
        let node = || options.clone().cluster_node().start();
        let (a, b, c) = tokio::join!(node(), node(), node());
        let cluster = Self { nodes: vec![a, b, c] };
        cluster.share_slots().await;
        cluster.introduce().await;
        cluster.whole().await;
        cluster
    }

    /// Its nodes, in the order of their slots.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// `redis+cluster://127.0.0.1:…,127.0.0.1:…,127.0.0.1:…`, with the password, if there is one.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        let password = self.nodes[0].options_used().password.as_ref();
        let credentials = password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis+cluster://{credentials}{}", hosts.join(","))
    }

    /// The node that was given the slot of `key`.
    pub fn node_of_key(&self, key: impl AsRef<[u8]>) -> &Redis {
        self.node_of_slot(key_slot(key.as_ref()))
    }

    /// The node that was given `slot`.
    ///
    /// # Panics
    ///
    /// When there is no such slot.
    pub fn node_of_slot(&self, slot: u16) -> &Redis {
        assert!(slot < SLOTS, "there are {SLOTS} slots");
        let node = (0..self.nodes.len()).find(|&node| slot <= last_slot(node, self.nodes.len()));
        &self.nodes[node.expect("BUG: the last node has the last slot")]
    }

    /// A connection to the node that was given `slot`.
    ///
    /// # Panics
    ///
    /// When there is no such slot, or when the node is down.
    pub async fn resp_for_slot(&self, slot: u16) -> Resp {
        self.node_of_slot(slot).resp().await
    }

    /// All keys of all nodes that live, in order.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let listed = node.resp().await.command(&["KEYS", "*"]).await;
            let Some(listed) = listed.as_slice() else { panic!("no list of keys: {listed:?}") };
            keys.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        keys.sort_unstable();
        keys
    }

    /// Waits until every node says that the cluster is whole, after one of them was restarted for
    /// example.
    ///
    /// # Panics
    ///
    /// When it is not within 30 s.
    pub async fn whole(&self) {
        for node in &self.nodes {
            eventually("the cluster is whole", WHOLE, || async {
                let mut resp = node.resp().await;
                let info = resp.command(&["CLUSTER", "INFO"]).await;
                let slots = resp.command(&["CLUSTER", "SLOTS"]).await;
                (self.is_whole(&info) && self.are_ours(&slots)).then_some(())
            })
            .await;
        }
    }

    async fn share_slots(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let first = index.checked_sub(1).map_or(0, |i| last_slot(i, self.nodes.len()) + 1);
            let last = last_slot(index, self.nodes.len());
            let (first, last) = (first.to_string(), last.to_string());
            let mut resp = node.resp().await;
            ok(&mut resp, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
            // Nodes of the same epoch would first quarrel over it.
            let epoch = (index + 1).to_string();
            ok(&mut resp, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
    }

    /// Everyone meets everyone, which is quicker than gossip.
    async fn introduce(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut resp = node.resp().await;
            for other in &self.nodes[index + 1..] {
                let addr = other.plain_addr().expect("the nodes of a cluster have a plain port");
                let bus = other.bus_port().expect("BUG: a node of a cluster has a bus");
                let (ip, port, bus) =
                    (addr.ip().to_string(), addr.port().to_string(), bus.to_string());
                ok(&mut resp, &["CLUSTER", "MEET", &ip, &port, &bus]).await;
            }
        }
    }

    fn is_whole(&self, info: &Value) -> bool {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        let expected = ["cluster_state:ok", "cluster_slots_ok:16384", &known];
        let lines: Vec<_> = info.as_str().unwrap_or_default().lines().collect();
        expected.iter().all(|line| lines.contains(line))
    }

    /// Whether every range of slots is where it was put.
    fn are_ours(&self, slots: &Value) -> bool {
        let ranges = slots.as_slice().unwrap_or_default();
        let right = |range: &&Value| {
            let [_, last, owner, ..] = range.as_slice().unwrap_or_default() else { return false };
            let slot = last.as_int().and_then(|slot| u16::try_from(slot).ok());
            let port = owner.as_slice().and_then(|owner| owner.get(1)?.as_int());
            slot.is_some_and(|slot| Some(i64::from(self.node_of_slot(slot).port())) == port)
        };
        ranges.len() == self.nodes.len() && ranges.iter().filter(right).count() == ranges.len()
    }
}

/// The slot of a key: the CRC16 of it, or of what stands in its first braces.
pub fn key_slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then_some(&rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

fn last_slot(node: usize, nodes: usize) -> u16 {
    let end = usize::from(SLOTS) * (node + 1) / nodes;
    u16::try_from(end - 1).expect("BUG: it is below the number of slots")
}

async fn ok(resp: &mut Resp, command: &[&str]) {
    let reply = resp.command(command).await;
    assert_eq!(reply.as_str(), Some("OK"), "{command:?}: {reply:?}");
}

const SLOTS: u16 = 16384;
const WHOLE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    // From the specification of the cluster, and from a server.
    #[test]
    fn slots_are_those_of_the_server() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"{foo}bar"), 12182);
        assert_eq!(key_slot(b"x{foo}{bar}"), 12182);
        assert_eq!(key_slot(b"foo{}"), crc16(b"foo{}") % SLOTS);
        assert_eq!(key_slot(b"foo{bar"), crc16(b"foo{bar") % SLOTS);
    }
}
