//! What is in a server: keys, leases, revisions.

use serde_json::{Value, json};

use crate::etcd::gateway::{decode, encode, number};
use crate::etcd::server::Etcd;

/// A key that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdKey {
    /// Its name; what is not UTF-8 is replaced.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision in which it came to be.
    pub create_revision: i64,
    /// The revision in which it was last written.
    pub mod_revision: i64,
    /// The lease it hangs on, or 0.
    pub lease: i64,
}

impl EtcdKey {
    fn read(json: &Value) -> Self {
        Self {
            key: String::from_utf8_lossy(&decode(&json["key"])).into_owned(),
            value: decode(&json["value"]),
            create_revision: number(&json["create_revision"]),
            mod_revision: number(&json["mod_revision"]),
            lease: number(&json["lease"]),
        }
    }
}

/// Looking and reaching into it, by somebody who may do all. Each panics when the server refuses, or
/// does not reply within ten seconds. Who does not wait for it does not know whether it was done.
impl Etcd {
    /// The keys that begin with `prefix`, in their order.
    pub async fn keys(&self, prefix: impl AsRef<[u8]>) -> Vec<EtcdKey> {
        let reply = self.must("/v3/kv/range", range(prefix.as_ref())).await;
        list(&reply["kvs"]).iter().map(EtcdKey::read).collect()
    }

    /// The key of this name.
    pub async fn key(&self, key: impl AsRef<[u8]>) -> Option<EtcdKey> {
        let reply = self.must("/v3/kv/range", json!({"key": encode(key)})).await;
        list(&reply["kvs"]).first().map(EtcdKey::read)
    }

    /// Writes a key, and returns the revision.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> i64 {
        self.put_with_lease(key, value, 0).await
    }

    /// Writes a key that hangs on a lease, and returns the revision.
    pub async fn put_with_lease(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lease: i64,
    ) -> i64 {
        let body = json!({"key": encode(key), "value": encode(value), "lease": lease.to_string()});
        revision(&self.must("/v3/kv/put", body).await)
    }

    /// Deletes a key, and says whether it was there.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> bool {
        let reply = self.must("/v3/kv/deleterange", json!({"key": encode(key)})).await;
        number(&reply["deleted"]) > 0
    }

    /// Deletes the keys that begin with `prefix`, and says how many there were.
    pub async fn delete_prefix(&self, prefix: impl AsRef<[u8]>) -> i64 {
        let reply = self.must("/v3/kv/deleterange", range(prefix.as_ref())).await;
        number(&reply["deleted"])
    }

    /// The leases that live.
    pub async fn leases(&self) -> Vec<i64> {
        let reply = self.must("/v3/lease/leases", json!({})).await;
        list(&reply["leases"]).iter().map(|lease| number(&lease["ID"])).collect()
    }

    /// Grants a lease of so many seconds, or of [`min_lease_ttl`](Etcd::min_lease_ttl) if that is
    /// more, and returns its id.
    pub async fn grant_lease(&self, ttl: i64) -> i64 {
        number(&self.must("/v3/lease/grant", json!({"TTL": ttl.to_string()})).await["ID"])
    }

    /// Ends a lease, and so the keys that hang on it.
    pub async fn revoke_lease(&self, id: i64) {
        self.must("/v3/lease/revoke", json!({"ID": id.to_string()})).await;
    }

    /// How many seconds a lease has left, if it lives.
    pub async fn lease_ttl(&self, id: i64) -> Option<i64> {
        let reply = self.must("/v3/lease/timetolive", json!({"ID": id.to_string()})).await;
        let ttl = number(&reply["TTL"]);
        (ttl >= 0).then_some(ttl)
    }

    /// The revision that it is at.
    pub async fn revision(&self) -> i64 {
        revision(&self.must("/v3/kv/range", json!({"key": encode([0]), "limit": "1"})).await)
    }

    /// Forgets all revisions before the one that it is at, and returns that.
    pub async fn compact(&self) -> i64 {
        let revision = self.revision().await;
        let body = json!({"revision": revision.to_string(), "physical": true});
        match self.call("/v3/kv/compaction", body).await {
            Ok(_) => revision,
            // Nothing was written since the last time.
            Err(error) if error.message().contains("has been compacted") => revision,
            Err(error) => panic!("compaction up to {revision}: {error}"),
        }
    }
}

pub(crate) fn revision(reply: &Value) -> i64 {
    number(&reply["header"]["revision"])
}

/// The items of a field, which is left out when it has none.
pub(crate) fn list(field: &Value) -> &[Value] {
    field.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The keys that begin with `prefix`, in a request.
pub(crate) fn range(prefix: &[u8]) -> Value {
    // By convention, no key is before this one.
    let first = if prefix.is_empty() { &[0] } else { prefix };
    json!({"key": encode(first), "range_end": encode(range_end(prefix))})
}

/// The first name after all that begin with `prefix`; by convention a zero, if there is none.
pub(crate) fn range_end(prefix: &[u8]) -> Vec<u8> {
    let Some(last) = prefix.iter().rposition(|byte| *byte < u8::MAX) else { return vec![0] };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(range_end(b"a"), b"b");
        assert_eq!(range_end(b"a\xff\xff"), b"b");
        assert_eq!(range_end(b"\xff"), [0]);
        assert_eq!(range_end(b""), [0]);
    }
}
